//! What a disk holds: which request was the last to change each of its sectors.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Sectors that a request changed last, or that are as they were in the base.
pub(super) type Segment = (Range<u64>, Option<usize>);

/// Extents that do not overlap, by their first sector. What is in none is as it was in the base.
#[derive(Clone, Debug, Default)]
pub struct Content(BTreeMap<u64, (u64, usize)>);

impl Content {
    /// The segments of `sectors`, first to last, without gaps.
    pub fn segments(&self, sectors: &Range<u64>) -> Vec<Segment> {
        let before = self.0.range(..sectors.start).next_back();
        let before = before.filter(|(_, (end, _))| *end > sectors.start);
        let extents = before.into_iter().chain(self.0.range(sectors.clone()));
        let (mut segments, mut at) = (Vec::new(), sectors.start);
        for (start, (end, request)) in extents {
            let (start, end) = (*start.max(&sectors.start), *end.min(&sectors.end));
            if at < start {
                segments.push((at..start, None));
            }
            segments.push((start..end, Some(*request)));
            at = end;
        }
        if at < sectors.end {
            segments.push((at..sectors.end, None));
        }
        segments
    }

    /// Has `request` change `sectors`, apart from those that a later request has changed. Returns what
    /// it replaces.
    pub fn apply(&mut self, request: usize, sectors: &Range<u64>) -> Vec<Segment> {
        let mut replaced = self.segments(sectors);
        replaced.retain(|(_, last)| last.is_none_or(|last| last < request));
        for (part, _) in &replaced {
            self.split_at(part.start);
            self.split_at(part.end);
            let inside: Vec<_> = self
                .0
                .range(part.clone())
                .map(|(start, _)| *start)
                .collect();
            for start in inside {
                self.0.remove(&start);
            }
            self.0.insert(part.start, (part.end, request));
        }
        replaced
    }

    /// Has no extent lie on both sides of `sector`.
    fn split_at(&mut self, sector: u64) {
        let before = self.0.range_mut(..sector).next_back();
        if let Some((_, (end, request))) = before
            && *end > sector
        {
            let rest = (*end, *request);
            *end = sector;
            self.0.insert(sector, rest);
        }
    }

    /// All extents, first to last.
    pub fn extents(&self) -> impl Iterator<Item = (Range<u64>, usize)> + '_ {
        self.0
            .iter()
            .map(|(start, (end, request))| (*start..*end, *request))
    }

    /// Reads what [`Display`](fmt::Display) prints. None for another text.
    pub fn parse(text: &str) -> Option<Self> {
        let extent = |word: &str| {
            let (sectors, request) = word.split_once('=')?;
            let (start, count) = sectors.split_once('+')?;
            let start: u64 = start.parse().ok()?;
            let end = start.checked_add(count.parse().ok()?)?;
            Some((start, (end, request.parse().ok()?)))
        };
        text.split_whitespace()
            .map(extent)
            .collect::<Option<_>>()
            .map(Self)
    }
}

/// Prints as `START+COUNT=REQUEST`, with spaces between them.
impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for (sectors, request) in self.extents() {
            let count = sectors.end - sectors.start;
            write!(f, "{before}{}+{count}={request}", sectors.start)?;
            before = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn content_is_what_a_list_of_sectors_says(
            applied in prop::collection::vec((0_usize..40, 0_u64..48, 1_u64..16), 0..40)
        ) {
            let (mut content, mut model) = (Content::default(), [None; 64]);
            for (request, start, len) in applied {
                content.apply(request, &(start..start + len));
                for last in &mut model[start as usize..(start + len) as usize] {
                    if last.is_none_or(|last| last < request) {
                        *last = Some(request);
                    }
                }
            }
            let mut found = Vec::new();
            for (sectors, request) in content.segments(&(0..64)) {
                found.extend(sectors.map(|_| request));
            }
            prop_assert_eq!(found, model);
            let parsed = Content::parse(&content.to_string()).unwrap();
            prop_assert!(parsed.extents().eq(content.extents()));
        }
    }
}
