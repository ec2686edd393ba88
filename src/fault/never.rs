//! Rules that can never act, or not as it seems: what whoever arms one is told.

use std::collections::{HashMap, HashSet};

use super::{Action, Armed, FaultSet, How, Op, Ops, Rule};
use crate::protocol::names::SECTOR;

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

/// What is to be known of an armed rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// It can never act; why.
    Never(String),
    /// It acts, and this may surprise.
    Note(String),
}

/// Requests that change the disk.
const CHANGES: Ops = Ops::of(&[Op::Write, Op::Discard, Op::Zero]);
/// Requests that are cut to the longest.
const CUT: Ops = Ops::of(&[Op::Read, Op::Write]);
/// Requests without a place and without bytes.
const PLACELESS: Ops = Ops::of(&[Op::Flush]);

impl FaultSet {
    /// What is to be known of each rule, on a disk of this `kind`, in the order armed.
    pub fn remarks(&self, kind: DiskKind) -> Vec<Option<Remark>> {
        let tags = self.tags_that_can_fire(kind);
        let mut deciders = Vec::new();
        let remark = |armed: &std::sync::Arc<Armed>| {
            let rule = &armed.rule;
            let never = rule.never(kind);
            let never = never.or_else(|| self.never_woken(armed, &tags));
            let never = never.or_else(|| hidden_by(&deciders, rule));
            if rule.is_plain() && hidden_by(&deciders, rule).is_none() && rule.decides() {
                deciders.push(rule.clone());
            }
            let note = || armed.note_of_repetition().or_else(|| rule.note(kind));
            never
                .map(Remark::Never)
                .or_else(|| note().map(Remark::Note))
        };
        self.armed().iter().map(remark).collect()
    }

    /// The tags of rules that have fired, or that nothing keeps from it for ever.
    fn tags_that_can_fire(&self, kind: DiskKind) -> HashSet<&str> {
        let mut waiting: HashMap<&str, Vec<&Rule>> = HashMap::new();
        let mut able = Vec::new();
        for armed in self.armed() {
            let rule = &armed.rule;
            match &rule.when {
                _ if armed.fired() > 0 => able.push(rule),
                _ if rule.never(kind).is_some() => {}
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

/// Why `rule` never has its turn, if one of `deciders` stands before all that it could act on.
fn hidden_by(deciders: &[Rule], rule: &Rule) -> Option<String> {
    let first = deciders.iter().find(|earlier| earlier.hides(rule))?;
    Some(format!("`{first}` stands before it and decides first"))
}

impl Armed {
    fn note_of_repetition(&self) -> Option<String> {
        let adds_up = match self.rule.action {
            Action::Delay(..) | Action::Misdirect(_) => true,
            Action::Corrupt(how) => matches!(how, How::Flip(_)),
            _ => false,
        };
        (adds_up && self.times_armed > 1).then(|| {
            format!(
                "armed {} times and acts once: equal rules are one; a `tag=` makes two of them",
                self.times_armed
            )
        })
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
        if !self.at.is_empty() && only(PLACELESS) {
            return Some("a flush has no sectors".into());
        }
        let size = self.size?;
        if size.min > 0 && only(PLACELESS) {
            return Some("a flush has no bytes".into());
        }
        if size.max == 0 && self.ops.and(PLACELESS).is_empty() {
            return Some("no request has 0 bytes".into());
        }
        if size.min > kind.longest && only(CUT) {
            return Some(format!("no request has more than {} bytes", kind.longest));
        }
        None
    }

    fn note(&self, kind: DiskKind) -> Option<String> {
        let is_past = !self.at.is_empty() && self.at.iter().all(|at| at.bytes().0 >= kind.size);
        is_past.then(|| {
            let sectors = kind.size.div_ceil(SECTOR);
            format!(
                "the disk ends before its sectors: it has {sectors}, and a guest asks for no more"
            )
        })
    }

    /// Whether it keeps later rules from acting.
    fn decides(&self) -> bool {
        matches!(
            self.action,
            Action::Error(_) | Action::Lose | Action::Tear(..)
        )
    }

    /// Whether it acts on each request of its kinds.
    fn is_plain(&self) -> bool {
        let plain = Self {
            ops: self.ops,
            tag: self.tag.clone(),
            seed: self.seed,
            ..Self::new(self.action.clone())
        };
        *self == plain
    }

    /// Whether whatever `later` could act on is decided here before, by a plain rule.
    fn hides(&self, later: &Self) -> bool {
        let undone = matches!(self.action, Action::Error(_) | Action::Lose);
        let is_decided = match later.action {
            Action::Error(_) | Action::Lose | Action::Tear(..) => self.decides(),
            Action::Corrupt(_) | Action::Misdirect(_) | Action::Stale => undone,
            Action::Delay(..) | Action::Hang(..) => false,
        };
        is_decided && later.ops.without(self.ops).is_empty()
    }
}
