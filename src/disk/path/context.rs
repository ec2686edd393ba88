//! The context of a request, from its arrival to its answer.

use std::sync::Arc;
use std::time::Instant;

use super::lane::Lane;
use super::request::Fua;
use super::reservation::Reservation;
use crate::disk::device::Disk;
use crate::disk::observe::in_flight::Visible;
use crate::disk::observe::{Entered, Recorder, Ticket};
use crate::disk::power::gate::{Era, Pass};
use crate::fault::{Armed, Client, FaultSet, IoRange, RuleHits};
use crate::protocol::Effect;

/// A request under way: its range, its client, and what has become of it so far.
pub(super) struct RequestContext<R> {
    pub(super) range: IoRange,
    /// As `Disk::open` numbered it.
    pub(super) client: u64,
    pub(super) arrived: Instant,
    /// Its place in the order of arrivals and answers; 0 where nobody asks for it.
    pub(super) arrival: u64,
    /// When it arrived, as the disk's power has it.
    pub(super) era: Era,
    /// While it is inside the gate of the disk's power.
    pub(super) pass: Option<Pass>,
    pub(super) durability: Durability,
    /// The generation of the rules in which none could decide what becomes of it.
    pub(super) undecided: Option<u64>,
    /// Those that it has, until it is answered.
    pub(super) lanes: Vec<Lane>,
    /// Most requests meet no rule, and carry nothing along.
    rules: Option<Box<RuleContext>>,
    pub(super) reply: R,
}

/// What a request has to do for stable storage.
#[derive(Clone, Copy, Debug)]
pub(super) enum Durability {
    /// Nothing: its client flushes.
    None,
    /// A write that is to be flushed before it is answered.
    Due(Fua),
    /// The flush of such a write, which has written this many bytes.
    FlushOf(u64),
}

/// What rules have to do with a request, and what it has while it waits.
#[derive(Default)]
pub(super) struct RuleContext {
    hits: RuleHits,
    /// Where it was counted for those who read the decisions.
    entered: Entered,
    /// Those that acted.
    pub(super) acted: Vec<Arc<Armed>>,
    /// For the data of a write that has waited, until it is answered.
    pub(super) reservation: Option<Reservation>,
    /// Once it is deferred.
    ticket: Option<Ticket>,
    /// When it went on, if that counted the time that it takes itself.
    pub(super) due: Option<Instant>,
    /// The effects of waiting that it is counted with.
    pub(super) waited: [bool; Effect::ALL.len()],
}

impl<R> RequestContext<R> {
    /// That of a request which arrives at `disk` now.
    pub(super) fn new(
        disk: &Disk,
        range: IoRange,
        client: u64,
        durability: Durability,
        reply: R,
    ) -> Self {
        Self {
            range,
            client,
            arrived: Instant::now(),
            arrival: disk.arrival(range.op),
            era: disk.power.gate.era(),
            pass: None,
            durability,
            undecided: None,
            lanes: Vec::new(),
            rules: None,
            reply,
        }
    }

    /// Whether it has to be durable when it is answered.
    pub(super) fn is_fua(&self) -> bool {
        matches!(self.durability, Durability::Due(_))
    }

    pub(super) fn rules(&mut self) -> &mut RuleContext {
        self.rules.get_or_insert_default()
    }

    /// When it went on, if that counted the time that it takes itself.
    pub(super) fn due(&self) -> Option<Instant> {
        self.rules.as_ref()?.due
    }

    /// The rules that have counted the request so far.
    pub(super) fn hits(&mut self, disk: &Disk, faults: &FaultSet) -> &mut RuleHits {
        let client = self.client;
        let hits = &mut self.rules().hits;
        // Asked only where it matters: it takes a lock.
        hits.client = match faults.tells_clients_apart() {
            true => disk.client_of(client),
            false => Client::default(),
        };
        hits
    }

    /// The same for a look that `recorder` records.
    pub(super) fn hits_for(
        &mut self,
        disk: &Disk,
        faults: &FaultSet,
        recorder: Option<&Recorder<'_>>,
    ) -> &mut RuleHits {
        let hits = self.hits(disk, faults);
        if recorder.is_some() {
            hits.record.get_or_insert_default();
        }
        hits
    }

    /// The rules that have counted the request, as the look that is under way has them.
    pub(super) fn known_hits(&mut self) -> &mut RuleHits {
        &mut self.rules().hits
    }

    /// It waits for these rules.
    pub(super) fn waits_for(&mut self, rules: &[Arc<Armed>]) {
        let acted = &mut self.rules().acted;
        match rules {
            // It may wait twice for one limit: for its time, and for a lane.
            [only] if acted.iter().any(|armed| armed.id == only.id) => {}
            rules => acted.extend(rules.iter().cloned()),
        }
    }

    /// It goes on with a lane of the rule with the ID `rule`.
    pub(super) fn goes_on_in(&mut self, lane: Lane, rule: u64) {
        self.lanes.push(lane);
        self.rules().hits.take_lane(rule);
    }

    /// It is over before it has passed the limits that it waits for.
    pub(super) fn leave_limits(&mut self) {
        self.rules().hits.leave_limits();
    }

    /// Has `recorder` count the request, with what has happened to it in the look before.
    pub(super) fn recorded(&mut self, recorder: Option<Recorder<'_>>) {
        let range = self.range;
        let rules = self.rules();
        let record = rules.hits.record.take();
        if let (Some(mut recorder), Some(record)) = (recorder, record) {
            recorder.note(range, rules.hits.client, &record, &mut rules.entered);
        }
    }

    /// Has `recorder` count the request, which no rule is for.
    pub(super) fn passed(&mut self, disk: &Disk, recorder: Option<Recorder<'_>>) {
        if let Some(mut recorder) = recorder {
            let client = match recorder.tells_clients_apart() {
                true => disk.client_of(self.client),
                false => Client::default(),
            };
            let range = self.range;
            recorder.pass(range, client, &mut self.rules().entered);
        }
    }

    /// Lists it until it is answered, since it leaves the thread that took it in.
    pub(super) fn defer(&mut self, disk: &Disk) -> &Ticket {
        let (range, arrived) = (self.range, self.arrived);
        let ticket = &mut self.rules().ticket;
        ticket.get_or_insert_with(|| disk.deferred.add(range, arrived))
    }

    fn ticket(&self) -> Option<&Ticket> {
        self.rules.as_ref()?.ticket.as_ref()
    }

    /// Shows that its I/O begins, until the returned guard is dropped.
    pub(super) fn begin_io<'a>(&self, disk: &'a Disk) -> Option<Visible<'a>> {
        match self.ticket() {
            None => disk.serving.enter(self.range, self.arrived, false),
            Some(_) => disk.serving.enter(self.range, Instant::now(), true),
        }
    }

    /// It has a thread again, and has neither been counted nor looked at so far: whoever finds it in the list expects
    /// that.
    pub(super) fn end_deferral(&mut self) {
        self.rules().ticket = None;
    }

    /// Takes out the reservation for its data.
    pub(super) fn take_reservation(&mut self) -> Option<Reservation> {
        self.rules.as_mut()?.reservation.take()
    }

    /// Ends its dealings with rules, gives back its reservation, and takes it out of the list. Returns the rules that
    /// acted.
    pub(super) fn end_rules(&mut self) -> Vec<Arc<Armed>> {
        self.rules
            .take()
            .map(|rules| rules.acted)
            .unwrap_or_default()
    }
}

impl Durability {
    pub(super) fn of(fua: Option<Fua>) -> Self {
        fua.map_or(Self::None, Self::Due)
    }
}
