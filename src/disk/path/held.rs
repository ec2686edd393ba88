//! A request that waits.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

use super::lead::Lead;
use super::request::Request;
use crate::disk::observe::Waiting;
use crate::disk::pool::{Owner, Pool};
use crate::fault::{Armed, Then};

/// A waiting request. It owns its reply through `go_on`: dropping it answers EIO.
pub(in crate::disk) struct Held {
    pub(in crate::disk) due: Instant,
    pub(in crate::disk) arrived: Instant,
    /// The disk.
    pub(in crate::disk) owner: Owner,
    /// Those that it waits for.
    pub(in crate::disk) rules: Vec<Arc<Armed>>,
    pub(in crate::disk) is_hang: bool,
    /// Shows that it waits.
    pub(in crate::disk) shown: Waiting,
    pub(in crate::disk) request: Request<'static>,
    pub(in crate::disk) go_on: Box<dyn FnOnce(Request<'static>, GoOn) + Send>,
}

/// Why a waiting request goes on.
#[derive(Clone, Copy, Debug)]
pub(in crate::disk) enum GoOn {
    /// It is due.
    Due,
    /// It was released, and goes on in this way.
    Released(Then),
    /// The power was cut, which it learns as an error. Its request is of no use any more.
    PowerOff,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}
impl Eq for Held {}
impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.cmp(&other.due)
    }
}

impl Held {
    /// Goes on with it on a thread of the pool. It waits for no rule any more.
    pub(in crate::disk) fn go_on(self, pool: &Pool, how: GoOn) {
        self.go_on_after(pool, how, || ());
    }

    /// The same once it is due, from which it is `lead` away.
    pub(super) fn go_on_when_due(self, pool: &Pool, lead: &Arc<Lead>) {
        let (arrived, due, lead) = (self.arrived, self.due, Arc::clone(lead));
        self.go_on_after(pool, GoOn::Due, move || lead.arrive(arrived, due));
    }

    fn go_on_after(self, pool: &Pool, how: GoOn, first: impl FnOnce() + Send + 'static) {
        let Self {
            owner,
            shown,
            request,
            go_on,
            ..
        } = self;
        drop(shown);
        pool.run(owner, move || {
            first();
            go_on(request, how);
        });
    }
}
