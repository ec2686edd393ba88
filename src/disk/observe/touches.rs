//! Which request it is, of those that touch the same sectors, that a rule acts on: counted while somebody reads
//! `decisions`.
//!
//! A rule counts a request at its stage, once, since it was armed. So requests are counted by stage, and apart for
//! each time in which no rule was armed: an epoch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::ranges_seen::RangesSeen;
use crate::fault::{Client, FaultSet, Firing, IoRange, Op, Record, Sectors, Stage};

/// Requests that are counted, in memory of up to 64 MiB.
const MOST: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };
/// An epoch counts as this many requests.
const EPOCH: usize = 16;

/// The requests that were counted so far.
#[derive(Debug, Default)]
pub(super) struct Touches {
    /// The rules that the latest request has met.
    faults: Arc<FaultSet>,
    /// The operations for which there is a rule at each stage.
    counted: [Vec<Op>; Stage::ALL.len()],
    epochs: VecDeque<Epoch>,
    /// The number of the first epoch of the list.
    first: u64,
    /// The ID that no rule has had yet.
    next_id: u64,
    /// The rules with lower IDs were armed when requests had to be forgotten.
    known_from: u64,
    /// Requests and epochs, in requests.
    size: usize,
}

/// The time from when rules were armed until others were.
#[derive(Debug, Default)]
struct Epoch {
    /// The lowest ID of its rules.
    first_id: u64,
    /// The sequence of the latest decision before it.
    since: u64,
    seen: BTreeMap<Kind, Seen>,
}

/// The requests that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    op: Op,
    stage: Stage,
    client: Client,
}

#[derive(Debug, Default)]
struct Seen {
    counted: RangesSeen,
    /// Those of them that were counted again in a later epoch.
    moved: RangesSeen,
}

/// The epochs in which a request was counted last, by stage.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::disk) struct Entered([Option<u64>; Stage::ALL.len()]);

/// The place of a fault among the requests since its rule was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Touch {
    /// Its number, from 1; None if it is not known.
    pub(super) number: Option<u64>,
    /// The sequence of the latest decision before its rule was armed.
    pub(super) since: u64,
}

impl Touches {
    /// Says which rules the next request meets, when `decisions` were made before.
    pub(super) fn meet(&mut self, faults: &Arc<FaultSet>, decisions: u64) {
        if Arc::ptr_eq(faults, &self.faults) {
            return;
        }
        self.faults = Arc::clone(faults);
        let armed = faults.armed();
        let of_stage = |stage: Stage| {
            let rules = armed.iter().map(|armed| &armed.rule);
            let rules = rules.filter(|rule| rule.action.phase().stage() == stage);
            let mut ops: Vec<_> = rules.flat_map(|rule| rule.ops.iter()).collect();
            ops.sort_unstable();
            ops.dedup();
            ops
        };
        self.counted = Stage::ALL.map(of_stage);
        let ids = || armed.iter().map(|armed| armed.id);
        if let Some(newest) = ids().max().filter(|newest| *newest >= self.next_id) {
            self.begin_epoch(newest + 1, decisions);
        }
        if let Some(oldest) = ids().min() {
            self.forget_before(oldest);
        }
    }

    /// Whether a rule is for the requests of some clients alone.
    pub(super) fn tells_clients_apart(&self) -> bool {
        self.faults.tells_clients_apart()
    }

    fn begin_epoch(&mut self, next_id: u64, since: u64) {
        self.epochs.push_back(Epoch {
            first_id: self.next_id,
            since,
            seen: BTreeMap::new(),
        });
        self.next_id = next_id;
        self.size += EPOCH;
    }

    /// Forgets what was before the rule with the ID `oldest` was armed.
    fn forget_before(&mut self, oldest: u64) {
        while self
            .epochs
            .get(1)
            .is_some_and(|second| second.first_id <= oldest)
        {
            let gone = self.epochs.pop_front();
            let seen = gone.iter().flat_map(|epoch| epoch.seen.values());
            let requests =
                seen.map(|seen| seen.counted.overlapping(&[]) + seen.moved.overlapping(&[]));
            self.size -= EPOCH + requests.sum::<u64>() as usize;
            self.first += 1;
        }
    }

    /// Counts a request that came to these stages. Returns whether all requests had to be forgotten.
    pub(super) fn count(
        &mut self,
        range: IoRange,
        client: Client,
        stages: &[Stage],
        entered: &mut Entered,
    ) -> bool {
        let Some(latest) = self
            .first
            .checked_add(self.epochs.len() as u64)
            .and_then(|end| end.checked_sub(1))
        else {
            return false;
        };
        for stage in stages {
            if !self.counted[*stage as usize].contains(&range.op) {
                continue;
            }
            let kind = Kind {
                op: range.op,
                stage: *stage,
                client,
            };
            let before = entered.0[*stage as usize].replace(latest);
            if before == Some(latest) {
                continue;
            }
            if let Some(before) = before.and_then(|number| self.seen(number, kind)) {
                before.moved.add(range.offset, range.end());
                self.size += 1;
            }
            if let Some(seen) = self.seen(latest, kind) {
                seen.counted.add(range.offset, range.end());
                self.size += 1;
            }
        }
        self.size > MOST && {
            self.forget_all();
            true
        }
    }

    fn seen(&mut self, epoch: u64, kind: Kind) -> Option<&mut Seen> {
        let place = epoch.checked_sub(self.first)? as usize;
        let epoch = self.epochs.get_mut(place)?;
        Some(epoch.seen.entry(kind).or_default())
    }

    fn forget_all(&mut self) {
        let since = self.epochs.back().map_or(0, |epoch| epoch.since);
        self.first += self.epochs.len() as u64;
        self.epochs.clear();
        self.size = 0;
        self.known_from = self.next_id;
        self.begin_epoch(self.next_id, since);
    }

    /// The place of a fault at these sectors, whose request has been counted.
    pub(super) fn touch(&self, firing: &Firing, op: Op, at: &[Sectors]) -> Touch {
        let (id, stage) = (firing.rule.id, firing.stage());
        let after = self.epochs.partition_point(|epoch| epoch.first_id <= id);
        let epochs = self.epochs.range(after.saturating_sub(1)..);
        let parts: Vec<_> = at.iter().map(|at| at.bytes()).collect();
        let clients: &[Client] = match firing.rule.rule.client {
            Some(client) => &[client],
            None => &Client::ALL,
        };
        let count = |epoch: &Epoch| {
            let kinds = clients.iter().map(|client| Kind {
                op,
                stage,
                client: *client,
            });
            let seen = kinds.filter_map(|kind| epoch.seen.get(&kind));
            seen.map(|seen| seen.counted.overlapping(&parts) - seen.moved.overlapping(&parts))
                .sum::<u64>()
        };
        let since = epochs.clone().next().map_or(0, |epoch| epoch.since);
        let is_known = id >= self.known_from && !firing.rule.is_returned;
        Touch {
            number: is_known.then(|| epochs.map(count).sum()),
            since,
        }
    }
}

impl Entered {
    /// What a request that no rule is for comes to.
    pub(super) fn all_stages() -> Record {
        Record {
            stages: Stage::ALL.to_vec(),
            firings: Vec::new(),
        }
    }
}
