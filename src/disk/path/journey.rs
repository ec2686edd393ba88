//! A request from its arrival to its answer: the looks at the fault set, the waits, the I/O.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::apply::{Done, Plan};
use super::delays::{Held, Room};
use super::{Answer, Reply, Request};
use crate::disk::Disk;
use crate::disk::observe::in_flight::Visible;
use crate::disk::observe::trace::Verdict;
use crate::fault::{Armed, Decision, FaultSet, IoRange, Op, Outcome, RuleHits, Then, Wait};
use crate::protocol::{Effect, Errno};
use crate::storage::{Image, with_buffer};

/// Who asked, and what became of it so far.
pub(in crate::disk) struct Journey {
    client: u64,
    arrived: Instant,
    /// The `faults_swapped` at which no rule was for it.
    unconcerned: Option<u64>,
    /// What rules have to do with it. Most requests meet none, and carry nothing along.
    met: Option<Box<Met>>,
}

/// Where the I/O of a request is done.
#[derive(Clone, Copy)]
enum Place {
    Here,
    Pool,
}

/// What rules have to do with a request.
#[derive(Default)]
struct Met {
    hits: RuleHits,
    /// Those that acted.
    acted: Vec<Arc<Armed>>,
    /// For the data of a write that has waited, until it is answered.
    room: Option<Room>,
    /// What it is counted as that it has waited for.
    waited: [bool; Effect::ALL.len()],
}

impl Journey {
    fn met(&mut self) -> &mut Met {
        self.met.get_or_insert_default()
    }

    /// The rules that have counted the request so far.
    fn hits(&mut self, disk: &Disk, faults: &FaultSet) -> &mut RuleHits {
        let client = self.client;
        let hits = &mut self.met().hits;
        // Asked only where it matters: it takes a lock.
        hits.of_test = faults.tells_guests_apart() && disk.is_test(client);
        hits
    }

    /// The room that the request has for its data.
    fn room(&mut self) -> Option<Room> {
        self.met.as_mut()?.room.take()
    }

    fn acted(self) -> Vec<Arc<Armed>> {
        self.met.map(|met| met.acted).unwrap_or_default()
    }
}

impl Request<'_> {
    fn ask(&self) -> IoRange {
        IoRange {
            op: self.op(),
            offset: self.offset(),
            len: self.len(),
        }
    }

    /// How many bytes of data it brings along.
    fn data_len(&self) -> u64 {
        match self {
            Self::Write { data, .. } => data.len() as u64,
            _ => 0,
        }
    }
}

impl Disk {
    /// Takes in a request of `client` and answers it through `reply`: on this thread, or later on
    /// one of the pool when a fault delays it, when the storage is slow, and always unless this thread
    /// `may_wait` for storage.
    pub fn submit(
        self: &Arc<Self>,
        request: Request<'_>,
        client: u64,
        may_wait: bool,
        reply: impl Reply,
    ) {
        let journey = Journey {
            client,
            arrived: Instant::now(),
            unconcerned: None,
            met: None,
        };
        if self.must_wait_first(&request) {
            return self.on_pool(request, journey, reply, |disk, request, journey, reply| {
                disk.settle();
                disk.take_in(request, Place::Here, journey, reply);
            });
        }
        let place = match may_wait && !self.strain(request.op()).is_slow() {
            true => Place::Here,
            false => Place::Pool,
        };
        self.take_in(request, place, journey, reply);
    }

    /// Whether the request has to wait before it is looked at: for word of a last close, or because
    /// the host has to say where the disk ends.
    fn must_wait_first(&self, request: &Request<'_>) -> bool {
        let is_armed = self.faults_swapped.load(Ordering::SeqCst) != 0;
        is_armed && self.settling.is_expected() || self.asks_for_end(request)
    }

    fn take_in(
        self: &Arc<Self>,
        request: Request<'_>,
        place: Place,
        journey: Journey,
        reply: impl Reply,
    ) {
        let ask = request.ask();
        match self.admit(request) {
            Ok(request) => {
                self.counters.of(ask.op).arrived(request.len());
                self.look(request, place, journey, reply);
            }
            Err(errno) => {
                self.counters.of(ask.op).arrived(ask.len);
                self.fail(ask, errno, journey, reply);
            }
        }
    }

    /// The first look, and the second: the one after a wait. Rules that were counted are not asked
    /// again, so that it ends.
    fn look(
        self: &Arc<Self>,
        request: Request<'_>,
        place: Place,
        mut journey: Journey,
        reply: impl Reply,
    ) {
        let ask = request.ask();
        let swapped = self.faults_swapped.load(Ordering::SeqCst);
        let faults = (swapped != 0).then(|| self.acting.load());
        let Some(faults) = faults.filter(|faults| faults.concerns(ask)) else {
            journey.unconcerned = Some(swapped);
            return match place {
                Place::Here => self.serve(&request, &Plan::default(), journey, reply),
                Place::Pool => self.carry_out_on_pool(request, Outcome::default(), journey, reply),
            };
        };
        let now = self.now();
        if let Some(wait) = faults.wait(ask, now, journey.hits(self, &faults)) {
            drop(faults);
            return self.hold(request, wait, journey, reply);
        }
        let outcome = faults.outcome(ask, now, journey.hits(self, &faults));
        drop(faults);
        journey.met().acted.extend(outcome.rules().cloned());
        match outcome.decision {
            Some((Decision::Error(errno), _)) => self.refuse(ask, errno, journey, reply),
            Some((Decision::Lose, rule)) => {
                self.counters.of(ask.op).acted_on([Effect::Lost]);
                let done = Done::Lost(&request, rule);
                self.answer(ask, Ok(Answer::Done(ask.len)), done, journey, reply);
            }
            Some((Decision::Tear(..), _)) | None => match place {
                Place::Here => self.carry_out(&request, outcome, journey, reply),
                Place::Pool => self.carry_out_on_pool(request, outcome, journey, reply),
            },
        }
    }

    fn carry_out_on_pool(
        self: &Arc<Self>,
        request: Request<'_>,
        outcome: Outcome,
        journey: Journey,
        reply: impl Reply,
    ) {
        self.on_pool(request, journey, reply, |disk, request, journey, reply| {
            let (op, begun) = (request.op(), Instant::now());
            disk.carry_out(&request, outcome, journey, reply);
            disk.strain(op).learn(begun.elapsed());
        });
    }

    /// Has a thread of the pool go on with the request, of which it gets a copy.
    #[cold]
    fn on_pool<R: Reply>(
        self: &Arc<Self>,
        request: Request<'_>,
        mut journey: Journey,
        reply: R,
        go_on: impl FnOnce(&Arc<Self>, Request<'static>, Journey, R) + Send + 'static,
    ) {
        let ask = request.ask();
        let (request, room) = match self.kept(request, journey.room()) {
            Ok(kept) => kept,
            Err(errno) => return self.fail(ask, errno, journey, reply),
        };
        journey.met().room = Some(room);
        let disk = Arc::clone(self);
        let arrived = journey.arrived;
        let work = move || go_on(&disk, request, journey, reply);
        let pool = self.delays.pool();
        pool.serve(self.owner, ask, arrived, work);
    }

    /// Does what the looks have decided, on this thread.
    fn carry_out(
        &self,
        request: &Request<'_>,
        outcome: Outcome,
        journey: Journey,
        reply: impl Reply,
    ) {
        let ask = request.ask();
        match Plan::new(self, ask, outcome) {
            Ok(plan) => self.serve(request, &plan, journey, reply),
            Err(errno) => self.refuse(ask, errno, journey, reply),
        }
    }

    fn hold(
        self: &Arc<Self>,
        request: Request<'_>,
        wait: Wait,
        mut journey: Journey,
        reply: impl Reply,
    ) {
        journey.met().acted.extend(wait.rules.iter().cloned());
        let ask = request.ask();
        let (request, room) = match self.kept(request, journey.room()) {
            Ok(kept) => kept,
            Err(errno) => return self.fail(ask, errno, journey, reply),
        };
        journey.met().room = Some(room);
        let counted = &mut journey.met().waited;
        let effects = wait
            .rules
            .iter()
            .filter_map(|rule| rule.rule.action.kind().effect());
        let new = effects.filter(|effect| !std::mem::replace(&mut counted[*effect as usize], true));
        self.counters.of(ask.op).acted_on(new);
        let disk = Arc::clone(self);
        let ids: Vec<_> = wait.rules.iter().map(|armed| armed.id).collect();
        self.delays.hold(Held {
            due: Instant::now() + wait.time,
            arrived: journey.arrived,
            owner: self.owner,
            ask,
            rules: wait.rules,
            is_hang: wait.is_hang,
            go_on: Box::new(move |released| match released.unwrap_or(wait.then) {
                Then::Ok => disk.look(request, Place::Here, journey, reply),
                Then::Error(errno) => disk.refuse(ask, errno, journey, reply),
            }),
        });
        // Disarmed between the look and here: nobody else would let it go.
        let faults = self.faults.load();
        if !ids.iter().any(|id| faults.has(*id)) {
            self.release_unarmed();
        }
    }

    /// The request as it can wait, with room for its data. It keeps the `room` that it has: a request
    /// that waits again takes no more.
    fn kept(
        &self,
        request: Request<'_>,
        room: Option<Room>,
    ) -> Result<(Request<'static>, Room), Errno> {
        let room = match room {
            Some(room) => room,
            None => {
                let mut room = self.delays.room();
                room.grow(request.data_len())?;
                room
            }
        };
        Ok((request.into_owned()?, room))
    }

    /// Does the I/O on this thread, takes the third look, and answers.
    fn serve(&self, request: &Request<'_>, plan: &Plan, journey: Journey, reply: impl Reply) {
        let ask = request.ask();
        // Out of the list before the answer: a client that has it finds its request gone.
        let visible = self.serving.enter(ask, journey.arrived);
        let image = &*self.image;
        let keep = |offset, len| {
            let kept = self.snapshots.preserve(image, &self.delays, offset, len);
            kept.map_err(std::io::Error::from)
        };
        let result = match *request {
            Request::Read { offset, len } => {
                return self.serve_read(offset, len, plan, visible, journey, reply);
            }
            Request::Write { offset, ref data } => self.write(data, offset, plan),
            Request::Flush { data_only } => image.flush(data_only),
            Request::Discard { offset, len } => {
                keep(offset, len).and_then(|()| image.discard(offset, len))
            }
            Request::Zero {
                offset,
                len,
                keep_size,
            } => {
                let zeroed =
                    keep(offset, len).and_then(|()| image.write_zeroes(offset, len, keep_size));
                if zeroed.is_ok() && !keep_size {
                    self.questions.learn_end(offset.saturating_add(len));
                }
                zeroed
            }
            Request::Erase { offset, len } => {
                keep(offset, len).and_then(|()| erase(image, offset, len))
            }
        };
        drop(visible);
        match (result, plan.afterwards()) {
            (Ok(()), Some(errno)) => self.refuse(ask, errno, journey, reply),
            (result, _) => {
                let result = result.map(|()| Answer::Done(ask.len));
                self.answer(ask, result, Done::Served(plan), journey, reply);
            }
        }
    }

    fn serve_read(
        &self,
        offset: u64,
        len: u32,
        plan: &Plan,
        visible: Option<Visible<'_>>,
        journey: Journey,
        reply: impl Reply,
    ) {
        let ask = IoRange {
            op: Op::Read,
            offset,
            len: u64::from(len),
        };
        let place = plan.place(offset);
        with_buffer(plan.len(len) as usize, |buffer| {
            let read = buffer.and_then(|buffer| {
                let n = self.image.read_at(buffer, place)?;
                Ok(&mut buffer[..n])
            });
            drop(visible);
            let data = read.and_then(|data| {
                self.change_read(data, offset, plan)?;
                Ok(Answer::Data(data))
            });
            self.answer(ask, data, Done::Served(plan), journey, reply);
        });
    }

    /// The third look, after the I/O, and the answer.
    fn answer(
        &self,
        ask: IoRange,
        result: std::io::Result<Answer<'_>>,
        done: Done<'_>,
        mut journey: Journey,
        reply: impl Reply,
    ) {
        let late = self.late_error(ask, &mut journey);
        if result.is_ok() {
            self.note_damage(ask, &done, late.as_ref().map(|(_, rule)| rule));
        }
        if let Some((errno, rule)) = late {
            journey.met().acted.push(rule);
            return self.refuse(ask, errno, journey, reply);
        }
        match result {
            Ok(answer) => {
                self.account(ask, Verdict::Done, journey);
                reply.send(Ok(answer));
            }
            Err(error) => self.fail(ask, Errno::of(&error), journey, reply),
        }
    }

    fn late_error(&self, ask: IoRange, journey: &mut Journey) -> Option<(Errno, Arc<Armed>)> {
        if journey.unconcerned == Some(self.faults_swapped.load(Ordering::SeqCst)) {
            return None;
        }
        let faults = self.acting.load();
        faults.late_error(ask, self.now(), journey.hits(self, &faults))
    }

    /// Answers with an error of the host.
    fn fail(&self, ask: IoRange, errno: Errno, journey: Journey, reply: impl Reply) {
        self.counters.of(ask.op).host_error();
        self.account(ask, Verdict::Host(errno), journey);
        reply.send(Err(errno));
    }

    /// Answers with an injected error.
    fn refuse(&self, ask: IoRange, errno: Errno, journey: Journey, reply: impl Reply) {
        self.counters.of(ask.op).injected_error();
        if let Some(injected) = self.clients.lock().injected.get_mut(&journey.client) {
            *injected += 1;
        }
        self.account(ask, Verdict::Injected(errno), journey);
        reply.send(Err(errno));
    }

    /// Counts an answer, before it is sent: a client that has seen it also finds it counted.
    fn account(&self, ask: IoRange, verdict: Verdict, journey: Journey) {
        let latency = journey.arrived.elapsed();
        self.counters.of(ask.op).answered(latency);
        if self.trace.is_on() {
            self.trace.tell(ask, verdict, latency, journey.acted());
        }
    }
}

/// Makes the range read as zeros in the way that takes the least room.
fn erase(image: &dyn Image, offset: u64, len: u64) -> std::io::Result<()> {
    match image.discard(offset, len) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            image.write_zeroes(offset, len, true)
        }
        result => result,
    }
}
