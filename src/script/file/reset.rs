//! `provium.reset_between_tests`: the VMs of a file go back, after each test, to what they were before the first one.

use std::time::{Duration, Instant};

use crate::events::Event;
use crate::script::context::{Context, SharedVm};
use crate::vm::{RestoreClock, State, VmSnapshot};

/// How long going back may take, for all VMs of a file together.
const GO_BACK: Duration = Duration::from_secs(60);

/// What the VMs of a file are put back to. Nothing for a file that does not ask for it.
#[derive(Default)]
pub(super) struct Reset(Vec<(SharedVm, VmSnapshot)>);

impl Reset {
    /// Takes snapshots of the VMs of the file that run, if the file asks for it.
    pub(super) fn begin(context: &Context) -> Result<Self, String> {
        let vms = match context.resets() {
            true => context.scope(),
            false => Vec::new(),
        };
        let runs = |vm: &SharedVm| matches!(vm.borrow_mut().state(), State::Booted | State::Paused);
        let snapshots = vms.into_iter().filter(runs).map(|vm| {
            let taken = vm.borrow_mut().snapshot();
            let taken = taken.map_err(|error| {
                let name = vm.borrow().name().to_owned();
                format!("provium.reset_between_tests: vm `{name}`: {error}")
            });
            Ok((vm, taken?))
        });
        snapshots.collect::<Result<_, _>>().map(Self)
    }

    /// A test has ended: puts the VMs back. One that cannot go back fails the tests that use it.
    pub(super) fn put_back(&self, context: &Context) {
        context.limit().set(Some(Instant::now() + GO_BACK));
        for (vm, snapshot) in &self.0 {
            let mut vm = vm.borrow_mut();
            let restored = vm.restore(snapshot, RestoreClock::Now);
            let failed = restored.map_err(|error| {
                let name = vm.name();
                format!("vm `{name}` was not put back after the test: {error}")
            });
            for text in vm.take_notes().into_iter().chain(failed.err()) {
                context.emit(Event::Log { text });
            }
        }
        context.limit().set(None);
    }
}
