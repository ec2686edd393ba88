//! Rules that can never act: what whoever arms one is told.

use super::{Action, FaultSet, Op, Ops, Rule};
use crate::names::SECTOR;

/// What a disk is like, as far as that decides which requests it can see.
#[derive(Clone, Copy, Debug)]
pub struct DiskKind {
    /// Its size in bytes.
    pub size: u64,
    /// Whether it refuses whatever changes it.
    pub read_only: bool,
    /// Bytes of its longest read or write.
    pub longest: u64,
}

/// Requests that change the disk.
const CHANGES: Ops = Ops::of(&[Op::Write, Op::Discard, Op::Zero]);
/// Requests that are cut to the longest.
const CUT: Ops = Ops::of(&[Op::Read, Op::Write]);

impl FaultSet {
    /// Why the rule at `place` of this set can never act on a disk of this `kind`; None when it can.
    pub fn never(&self, place: usize, kind: DiskKind) -> Option<String> {
        let rule = &self.armed().get(place)?.rule;
        rule.never(kind).or_else(|| self.never_among_others(place))
    }

    fn never_among_others(&self, place: usize) -> Option<String> {
        let rule = &self.armed()[place].rule;
        if let Some(tag) = &rule.when
            && !self.rules().any(|other| other.tag.as_ref() == Some(tag))
        {
            return Some(format!("no rule has the tag `{tag}`"));
        }
        let first = self.rules().take(place).find(|earlier| earlier.hides(rule));
        first.map(|first| format!("`{first}` stands before it and decides first"))
    }
}

impl Rule {
    fn never(&self, kind: DiskKind) -> Option<String> {
        let only = |ops: Ops| self.ops.without(ops).is_empty();
        if self.times == Some(0) {
            return Some("times=0".into());
        }
        if self.probability.is_some_and(|p| p.get() == 0.0) {
            return Some("p=0".into());
        }
        if self.lasts.is_some_and(|lasts| lasts.is_zero()) {
            return Some("for= is no time".into());
        }
        if self.cycle.is_some_and(|(up, _)| up.is_zero()) {
            return Some("up= is no time".into());
        }
        if kind.read_only && only(CHANGES) {
            return Some(format!("the disk is read-only and sees no {}", self.ops));
        }
        if !self.at.is_empty() && only(Ops::of(&[Op::Flush])) {
            return Some("a flush has no sectors".into());
        }
        let is_past = |start: u64| start >= kind.size;
        // A write past the end makes an image longer; a guest never does that.
        if !self.at.is_empty() && self.at.iter().all(|at| is_past(at.bytes().0)) {
            let sectors = kind.size.div_ceil(SECTOR);
            return Some(format!(
                "the disk ends before its sectors: it has {sectors}"
            ));
        }
        let (min, longest) = (self.size.map_or(0, |size| size.min), kind.longest);
        if min > longest && only(CUT) {
            return Some(format!("no request has more than {longest} bytes"));
        }
        None
    }

    /// Whether whatever `later` could act on is decided here before.
    fn hides(&self, later: &Self) -> bool {
        let undone = matches!(self.action, Action::Error(_) | Action::Lose);
        let decides = undone || matches!(self.action, Action::Tear(..));
        let is_decided = match later.action {
            Action::Error(_) | Action::Lose | Action::Tear(..) => decides,
            Action::Corrupt(_) | Action::Misdirect(_) | Action::Stale => undone,
            Action::Delay(..) | Action::Hang(..) => false,
        };
        let plain = Self {
            ops: self.ops,
            ..Self::new(self.action.clone())
        };
        let same_name = Self {
            tag: self.tag.clone(),
            ..plain
        };
        is_decided && *self == same_name && later.ops.without(self.ops).is_empty()
    }
}
