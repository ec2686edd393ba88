//! The model of a disk with a volatile write cache: a list of requests, and the bytes that are durable.

use std::ops::Range;

/// What a request makes of its range.
#[derive(Clone, Debug)]
pub enum Content {
    Data(Vec<u8>),
    /// Zeros up to the end of the disk, or beyond it.
    Zeroes {
        grows: bool,
    },
    /// The disk ends at the end of the range, at least.
    Grown,
}

/// A request that is not durable.
#[derive(Clone, Debug)]
pub struct Change {
    /// None if it was not answered.
    pub number: Option<u64>,
    pub op: &'static str,
    pub range: Range<usize>,
    pub content: Content,
    /// The parts over which nothing newer is durable.
    live: Vec<Range<usize>>,
}

/// A part of a request that survives a cut or does not.
#[derive(Clone, Debug)]
pub struct Piece<'a> {
    pub change: &'a Change,
    pub parts: Vec<Range<usize>>,
}

/// A disk of the model.
#[derive(Clone, Default)]
pub struct Model {
    pub durable: Vec<u8>,
    pub pending: Vec<Change>,
    last: u64,
}

fn common(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    a.start.max(b.start)..a.end.min(b.end)
}

impl Change {
    pub fn new(op: &'static str, range: Range<usize>, content: Content) -> Self {
        let live = vec![range.clone()];
        Self {
            number: None,
            op,
            range,
            content,
            live,
        }
    }

    fn forget(&mut self, passed: &Range<usize>) {
        let live = self.live.iter().flat_map(|part| {
            let before = part.start..part.end.min(passed.start);
            let after = part.start.max(passed.end)..part.end;
            [before, after]
        });
        self.live = live.filter(|part| !part.is_empty()).collect();
    }

    pub fn apply(&self, image: &mut Vec<u8>, part: &Range<usize>) {
        let grows = !matches!(self.content, Content::Zeroes { grows: false });
        if grows && image.len() < part.end {
            image.resize(part.end, 0);
        }
        let part = part.start..part.end.min(image.len());
        if part.is_empty() {
            return;
        }
        let from = part.start - self.range.start;
        match &self.content {
            Content::Data(data) => image[part.clone()].copy_from_slice(&data[from..][..part.len()]),
            Content::Zeroes { .. } => image[part].fill(0),
            Content::Grown => {}
        }
    }

    /// The pieces of `tear` sectors; a request that is no write is one.
    pub fn pieces(&self, tear: Option<usize>) -> Vec<Piece<'_>> {
        let len = match (&self.content, tear) {
            (Content::Data(_), Some(tear)) => tear * 512,
            _ => usize::MAX / 2,
        };
        let first = self.range.start / 512 * 512;
        let mut pieces = Vec::new();
        let mut at = first;
        while at < self.range.end {
            let parts = self.live.iter().map(|live| common(live, &(at..at + len)));
            let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
            if !parts.is_empty() {
                let change = self;
                pieces.push(Piece { change, parts });
            }
            at += len;
        }
        pieces
    }

    /// `NUMBER OP SECTOR COUNT`, as `pending` has it.
    fn line(&self) -> String {
        let Range { start, end } = self.range;
        let (first, after) = (start / 512, end.div_ceil(512));
        let number = self.number.unwrap_or_default();
        format!("{number} {} {first} {}", self.op, after - first)
    }
}

impl Model {
    pub fn of_size(size: usize) -> Self {
        Self {
            durable: vec![0; size],
            ..Self::default()
        }
    }

    /// What a reader finds.
    pub fn seen(&self) -> Vec<u8> {
        let mut seen = self.durable.clone();
        for change in &self.pending {
            change
                .live
                .iter()
                .for_each(|part| change.apply(&mut seen, part));
        }
        seen
    }

    pub fn add(&mut self, mut change: Change) {
        self.last += 1;
        change.number = Some(self.last);
        self.pending.push(change);
    }

    pub fn flush(&mut self) {
        self.durable = self.seen();
        self.pending.clear();
    }

    pub fn write_durably(&mut self, at: usize, data: &[u8]) {
        let range = at..at + data.len();
        let change = Change::new("write", range.clone(), Content::Data(data.to_vec()));
        change.apply(&mut self.durable, &range);
        self.pending
            .iter_mut()
            .for_each(|older| older.forget(&range));
        self.pending.retain(|older| !older.live.is_empty());
    }

    /// What `pending` reads as, without the ages.
    pub fn lines(&self) -> Vec<String> {
        self.pending.iter().map(Change::line).collect()
    }

    pub fn pending_bytes(&self) -> usize {
        self.pending.iter().map(|change| change.range.len()).sum()
    }

    /// The image that a cut leaves of which `survives` tells for each piece, oldest first; and how many do.
    pub fn after_cut(
        &self,
        unanswered: &[Change],
        tear: Option<usize>,
        survives: impl Fn(usize, &Piece<'_>) -> bool,
    ) -> (Vec<u8>, u64) {
        let (mut image, mut kept) = (self.durable.clone(), 0);
        let all = self.pending.iter().chain(unanswered);
        let pieces = all.flat_map(|change| change.pieces(tear));
        for (at, piece) in pieces.enumerate() {
            if survives(at, &piece) {
                kept += 1;
                let Piece { change, parts } = &piece;
                parts.iter().for_each(|part| change.apply(&mut image, part));
            }
        }
        (image, kept)
    }
}

/// Looks for the subset of pieces that makes an image of another one.
pub struct Search<'a> {
    pub durable: &'a [u8],
    pub found: &'a [u8],
    /// Oldest first.
    pub pieces: Vec<Piece<'a>>,
    /// Ranges of sectors that may have any bytes.
    pub garbage: Vec<Range<usize>>,
}

impl Search<'_> {
    /// Whether some subset of `kept` pieces, applied in order, is what was found.
    pub fn succeeds(&self, kept: usize) -> bool {
        let covered = vec![false; self.found.len()];
        self.decide(
            self.pieces.len(),
            kept,
            covered,
            self.durable.len(),
            &mut Vec::new(),
        )
    }

    /// Decides about the piece before `next`: newer ones first, since they cover older ones.
    fn decide(
        &self,
        next: usize,
        kept: usize,
        covered: Vec<bool>,
        end: usize,
        free: &mut Vec<usize>,
    ) -> bool {
        let Some(next) = next.checked_sub(1) else {
            return self.fits(kept, &covered, end, free);
        };
        let piece = &self.pieces[next];
        let uncovered: Vec<_> = piece
            .parts
            .iter()
            .flat_map(|part| part.start..part.end.min(self.found.len()))
            .filter(|at| !covered[*at])
            .collect();
        let piece_end = piece.end();
        if uncovered.is_empty() {
            // It does not show whether it survived, but for the end of the disk.
            free.push(piece_end);
            let fits = self.decide(next, kept, covered, end, free);
            free.pop();
            return fits;
        }
        if kept > 0 && piece_end <= self.found.len() && self.shows(piece, &uncovered) {
            let mut covered = covered.clone();
            if !matches!(piece.change.content, Content::Grown) {
                uncovered.iter().for_each(|at| covered[*at] = true);
            }
            if self.decide(next, kept - 1, covered, end.max(piece_end), free) {
                return true;
            }
        }
        let is_garbage = |at: &usize| self.garbage.iter().any(|range| range.contains(at));
        if !self.garbage.is_empty() && uncovered.iter().all(is_garbage) {
            let mut covered = covered.clone();
            uncovered.iter().for_each(|at| covered[*at] = true);
            if self.decide(next, kept, covered, end, free) {
                return true;
            }
        }
        self.decide(next, kept, covered, end, free)
    }

    fn shows(&self, piece: &Piece<'_>, uncovered: &[usize]) -> bool {
        uncovered.iter().all(|at| match &piece.change.content {
            Content::Data(data) => self.found[*at] == data[at - piece.change.range.start],
            Content::Zeroes { .. } => self.found[*at] == 0,
            Content::Grown => true,
        })
    }

    fn fits(&self, kept: usize, covered: &[bool], end: usize, free: &[usize]) -> bool {
        let is_durable = |at: usize| self.found[at] == self.durable.get(at).copied().unwrap_or(0);
        let len = self.found.len();
        kept <= free.len()
            && (end == len || end < len && kept > 0 && free.contains(&len))
            && (0..len).all(|at| covered[at] || is_durable(at))
    }
}

impl Piece<'_> {
    /// Where the disk ends at least if it survives.
    fn end(&self) -> usize {
        match self.change.content {
            Content::Zeroes { grows: false } => 0,
            _ => self.parts.last().map_or(0, |part| part.end),
        }
    }
}
