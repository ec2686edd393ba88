//! Arming, switching and ending the rules of a disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::device::Disk;
use super::path::LARGEST_REQUEST;
use super::path::held::Held;
use crate::fault::{Action, Armed, DiskKind, Edit, FaultSet, IoRange, NoSuchTag, Op, Then};
use crate::protocol::names::SECTOR;
use crate::protocol::{Errno, Remark, RuleLine, Switch};

impl Disk {
    /// The armed rules and what they have done, oldest first. Asks neither the host nor a lock.
    pub fn rules(&self) -> Vec<RuleLine> {
        let mut rules = Vec::new();
        self.each_rule(|line| rules.push(line));
        rules
    }

    /// The same, one after the other: no more than one is in memory.
    pub fn each_rule(&self, mut to: impl FnMut(RuleLine)) {
        let (faults, now) = (self.rules.armed.load(), self.now());
        let kind = DiskKind {
            size: self.known_size(),
            read_only: self.read_only,
            longest: u64::from(LARGEST_REQUEST),
        };
        for (armed, remark) in faults.armed().iter().zip(faults.remarks(kind)) {
            to(armed.line(now, remark.or_else(|| self.note(armed))));
        }
    }

    fn note(&self, armed: &Armed) -> Option<Remark> {
        let is_full = armed.rule.action == Action::Stale && self.snapshots.is_full(armed);
        is_full.then(|| {
            Remark::Note(format!(
                "the {} MiB that may wait in memory are full: what would change more of its sectors fails with ENOMEM",
                self.held_bytes_limit() >> 20
            ))
        })
    }

    /// The armed faults, as of now.
    pub fn faults(&self) -> Arc<FaultSet> {
        self.rules.armed.load_full()
    }

    /// Edits the armed set, or with `replace` an empty one. Requests that arrive after this
    /// returns see the result; those that wait for a rule that was removed go on.
    pub fn arm(&self, edits: &[Edit], replace: bool) -> Result<(), NoSuchTag> {
        let disk_sectors = self.known_size() / SECTOR;
        let new = self
            .rules
            .edited(edits, replace, self.now(), disk_sectors)?;
        // Before any read is sent to the snapshots: contents that are overwritten from now on are kept.
        self.snapshots.keep_for(&new.faults);
        new.arm();
        self.release_unarmed();
        Ok(())
    }

    /// Switches all rules off, those that are armed later included, or on again. Requests that wait go on
    /// waiting.
    pub fn switch_rules(&self, to: Switch) {
        self.rules.set_switch(to);
    }

    /// Whether the rules are on.
    pub fn rules_switch(&self) -> Switch {
        self.rules.switch()
    }

    /// Takes all faults away and lets every waiting request go on at once.
    pub fn clear(&self) {
        // Cannot fail: there is no edit.
        let _ = self.arm(&[], true);
    }

    /// Lets requests go on that wait for rules of which none is armed any more.
    pub(super) fn release_unarmed(&self) {
        self.outwait_looks();
        let faults = self.rules.armed.load();
        let is_over = |held: &Held| held.rules.iter().all(|rule| !faults.has(rule.id));
        self.delays.release(self.owner, Then::Ok, is_over);
    }

    /// Lets the requests go on that a `hang` holds: all, or those that wait for a rule with this
    /// tag. Returns how many; None when nothing has the tag.
    pub fn release(&self, tag: Option<&str>, then: Then) -> Option<usize> {
        self.let_go(tag, then, |held| held.is_hang)
    }

    /// Drops the requests that wait, delayed ones too: they fail with EIO and are not done. For all,
    /// or those that wait for a rule with this tag. Returns as [`release`](Self::release).
    pub fn drop_waiting(&self, tag: Option<&str>) -> Option<usize> {
        self.let_go(tag, Then::Error(Errno(libc::EIO)), |_| true)
    }

    fn let_go(
        &self,
        tag: Option<&str>,
        then: Then,
        chosen: impl Fn(&Held) -> bool,
    ) -> Option<usize> {
        let has_tag = |armed: &Armed| tag.is_none() || armed.rule.tag.as_deref() == tag;
        let held = |held: &Held| chosen(held) && held.rules.iter().any(|armed| has_tag(armed));
        self.outwait_looks();
        let released = self.delays.release(self.owner, then, held);
        let is_known = |tag| self.rules.armed.load().has_tag(tag);
        (released > 0 || tag.is_none_or(is_known)).then_some(released)
    }

    /// The default seed for rules without `seed=`; for those that are armed from now on.
    pub fn seed(&self) -> u64 {
        self.rules.seed.load(Ordering::SeqCst)
    }

    /// Sets [`seed`](Self::seed).
    pub fn set_seed(&self, seed: u64) {
        self.rules.seed.store(seed, Ordering::SeqCst);
    }

    /// Changes whenever the rules that requests meet do, after it. 0 while there never was one.
    #[inline]
    pub fn rules_changed(&self) -> u64 {
        self.rules.generation()
    }

    /// Whether there is a rule for such a request, whatever else it asks for.
    pub fn has_rule_for(&self, op: Op, offset: u64, len: u64) -> bool {
        let range = IoRange { op, offset, len };
        self.rules_changed() != 0 && self.rules.acting.load().concerns(range)
    }
}
