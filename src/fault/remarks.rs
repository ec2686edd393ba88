//! Remarks on armed rules that can never act, or act otherwise than they seem to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Armed, Decision, FaultSet, Op, Phase, Rule};
use crate::protocol::Remark;
use crate::protocol::names::SECTOR;
use crate::units::counted;

/// The properties of a disk that decide which requests it can get.
#[derive(Clone, Copy, Debug)]
pub struct DiskKind {
    /// Its size in bytes.
    pub size: u64,
    /// Whether it rejects requests that change it.
    pub read_only: bool,
    /// Bytes of its longest read or write.
    pub longest: u64,
}

impl FaultSet {
    /// The remark on each rule, if there is one, on a disk of this `kind`; in the order armed.
    pub fn remarks(&self, kind: DiskKind) -> impl Iterator<Item = Option<Remark>> {
        let tags = self.tags_that_can_fire(kind);
        let mut deciders = Vec::new();
        let remark = move |armed: &Arc<Armed>| {
            let rule = &armed.rule;
            let never = armed.never(kind);
            let never = never.or_else(|| self.never_woken(armed, &tags));
            let never = never.or_else(|| hidden_by(&deciders, rule));
            if rule.is_plain() && hidden_by(&deciders, rule).is_none() && rule.decides() {
                deciders.push(rule.clone());
            }
            let note = || {
                armed
                    .note_of_repetition()
                    .or_else(|| armed.note_of_place(kind))
            };
            never
                .map(Remark::Never)
                .or_else(|| note().map(Remark::Note))
        };
        self.armed().iter().map(remark)
    }

    /// The tags of rules that have fired or may still fire.
    fn tags_that_can_fire(&self, kind: DiskKind) -> HashSet<&str> {
        let mut waiting: HashMap<&str, Vec<&Rule>> = HashMap::new();
        let mut able = Vec::new();
        for armed in self.armed() {
            let rule = &armed.rule;
            match &rule.when {
                _ if armed.fired() > 0 => able.push(rule),
                _ if armed.never(kind).is_some() => {}
                Some(tag) if !armed.is_woken() => waiting.entry(tag).or_default().push(rule),
                _ => able.push(rule),
            }
        }
        let mut tags = HashSet::new();
        while let Some(rule) = able.pop() {
            if let Some(tag) = rule.tag.as_deref()
                && tags.insert(tag)
            {
                able.extend(waiting.remove(tag).unwrap_or_default());
            }
        }
        tags
    }

    fn never_woken(&self, armed: &Armed, tags: &HashSet<&str>) -> Option<String> {
        let tag = armed.rule.when.as_deref()?;
        match (armed.is_woken() || tags.contains(tag), self.has_tag(tag)) {
            (true, _) => None,
            (false, true) => Some(format!("no other rule with the tag `{tag}` can act")),
            (false, false) => Some(format!("no rule has the tag `{tag}`")),
        }
    }
}

/// Why `rule` is never asked, if one of `deciders` decides all requests that it could act on.
fn hidden_by(deciders: &[Rule], rule: &Rule) -> Option<String> {
    let first = deciders.iter().find(|earlier| earlier.hides(rule))?;
    Some(format!("`{first}` stands before it and decides first"))
}

impl Armed {
    /// Why it can never act on a disk of this `kind`, if it cannot.
    fn never(&self, kind: DiskKind) -> Option<String> {
        self.rule.never(kind).or_else(|| self.never_on_the_disk())
    }

    /// Why its ranges have no sector.
    fn never_on_the_disk(&self) -> Option<String> {
        let is_nowhere = !self.rule.is_anywhere() && self.ranges.is_empty();
        is_nowhere.then(|| {
            let sectors = counted(self.disk_sectors, "sector");
            if self.rule.draw.is_some() || self.rule.at.is_empty() {
                return format!(
                    "none of its sectors is on the disk, which had {sectors} when it was armed"
                );
            }
            format!(
                "its sectors would be before the first: the disk had {sectors} when it was armed"
            )
        })
    }

    fn note_of_place(&self, kind: DiskKind) -> Option<String> {
        let is_past =
            !self.rule.is_anywhere() && self.ranges.iter().all(|(start, _)| start >= kind.size);
        if is_past {
            let sectors = kind.size.div_ceil(SECTOR);
            return Some(format!(
                "the disk ends before its sectors: it has {sectors}, and a guest asks for no more"
            ));
        }
        let drawn: u64 = self.ranges.sectors().map(|range| range.count).sum();
        if self.rule.draw.is_some_and(|draw| draw.count > drawn) {
            let drawn = counted(drawn, "sector");
            return Some(format!(
                "it is for {drawn}: there were no more to draw from"
            ));
        }
        let sectors = self.disk_sectors;
        let cut = self.rule.at.iter().find(|at| at.starts_before(sectors))?;
        let sectors = counted(sectors, "sector");
        Some(format!(
            "{cut} begins at the first sector: the disk had {sectors} when it was armed"
        ))
    }

    fn note_of_repetition(&self) -> Option<String> {
        (self.rule.action.adds_up() && self.times_armed > 1).then(|| {
            format!(
                "armed {} times and acts once: equal rules are one; a `tag=` makes two of them",
                self.times_armed
            )
        })
    }
}

impl Rule {
    /// Why it can never act on a disk of this `kind`, if it cannot.
    fn never(&self, kind: DiskKind) -> Option<String> {
        let owned = |reason: Option<&str>| reason.map(str::to_owned);
        owned(self.never_chosen())
            .or_else(|| kind.read_only.then(|| self.never_done()).flatten())
            .or_else(|| owned(self.never_placed()))
            .or_else(|| self.never_so_long(kind.longest))
    }

    /// Why a read-only disk gets none of its requests.
    fn never_done(&self) -> Option<String> {
        let only_changes = self.ops.iter().all(Op::is_change);
        only_changes.then(|| format!("the disk is read-only and sees no {} requests", self.ops))
    }

    /// Why its counts and times choose no request.
    fn never_chosen(&self) -> Option<&'static str> {
        if self.times == Some(0) {
            return Some("times=0");
        }
        if self.probability.is_some_and(|p| p.get() == 0.0) {
            return Some("p=0");
        }
        if self.lasts.is_some_and(|lasts| lasts.is_zero()) {
            return Some("for=0s");
        }
        let never_up = self.cycle.is_some_and(|(up, _)| up.is_zero());
        never_up.then_some("up=0s")
    }

    /// Why its sectors and sizes are those of no request.
    fn never_placed(&self) -> Option<&'static str> {
        let no_ranges = !self.ops.iter().any(Op::has_range);
        if no_ranges && !self.is_anywhere() {
            return Some("a flush has no sectors");
        }
        let size = self.size?;
        if no_ranges && size.min > 0 {
            return Some("a flush has no bytes");
        }
        let all_ranges = self.ops.iter().all(Op::has_range);
        (size.max == 0 && all_ranges).then_some("no request has 0 bytes")
    }

    /// Why its sizes are larger than those of requests with at most `longest` bytes.
    fn never_so_long(&self, longest: u64) -> Option<String> {
        let is_longer = self.size.is_some_and(|size| size.min > longest);
        let only_limited = self.ops.iter().all(Op::is_limited);
        (is_longer && only_limited)
            .then(|| format!("no request has more than {}", counted(longest, "byte")))
    }

    /// Whether it keeps later rules from deciding.
    fn decides(&self) -> bool {
        self.action.phase().decision().is_some()
    }

    /// Whether it leaves nothing of a request to change.
    fn leaves_undone(&self) -> bool {
        let decision = self.action.phase().decision();
        decision.is_some_and(Decision::leaves_undone)
    }

    /// Whether it acts on each request of its operations.
    fn is_plain(&self) -> bool {
        let plain = Self {
            ops: self.ops,
            tag: self.tag.clone(),
            seed: self.seed,
            ..Self::new(self.action.clone())
        };
        self.is_anywhere() && *self == plain
    }

    /// Whether this plain rule decides all requests that `later` could act on.
    fn hides(&self, later: &Self) -> bool {
        let is_decided = match later.action.phase() {
            Phase::Wait(_) => false,
            Phase::Decide(_) => self.decides(),
            Phase::Change(_) => self.leaves_undone(),
        };
        is_decided && later.ops.without(self.ops).is_empty()
    }
}
