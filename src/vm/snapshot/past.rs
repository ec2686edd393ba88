//! What a VM remembers: a snapshot that it goes back to makes all forgotten that came after the snapshot.

use std::ops::Range;

/// A point in the life of a VM. Later ones are larger, whatever the VM has gone back to meanwhile.
pub(in crate::vm) type Moment = u64;

/// The moments of a VM's life that its guest knows of.
#[derive(Clone, Debug, Default)]
pub(in crate::vm) struct Past {
    latest: Moment,
    /// Those before the snapshot that it has gone back to last.
    before: Vec<Range<Moment>>,
    /// And all from this one on.
    since: Moment,
}

/// What the guest knew of when a snapshot was made.
#[derive(Clone, Debug)]
pub(super) struct Known(Vec<Range<Moment>>);

impl Past {
    /// This moment.
    pub(in crate::vm) fn now(&mut self) -> Moment {
        self.latest += 1;
        self.latest
    }

    /// Whether the guest knows of `moment`.
    pub(in crate::vm) fn has(&self, moment: Moment) -> bool {
        moment >= self.since || self.before.iter().any(|known| known.contains(&moment))
    }

    /// All that the guest knows of.
    pub(super) fn known(&mut self) -> Known {
        let now = self.now();
        let mut known = self.before.clone();
        known.push(self.since..now);
        Known(known)
    }

    /// The guest knows of no more than it did then.
    pub(super) fn go_back(&mut self, known: &Known) {
        self.before.clone_from(&known.0);
        self.since = self.now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_has_what_came_before_the_snapshot_and_after_the_return() {
        let mut past = Past::default();
        let before = past.now();
        let first = past.known();
        let between = past.now();
        let second = past.known();
        let lost = past.now();
        past.go_back(&first);
        let other = past.now();
        let has = |past: &Past| [before, between, lost, other].map(|moment| past.has(moment));
        assert_eq!(has(&past), [true, false, false, true]);
        past.go_back(&second);
        assert_eq!(has(&past), [true, true, false, false]);
        past.go_back(&first);
        assert_eq!(has(&past), [true, false, false, false]);
    }
}
