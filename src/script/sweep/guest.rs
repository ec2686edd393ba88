//! A function of a test, swept.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::{Function, IntoLua, IntoLuaMulti, Value};

use super::crash_states::{CutDisk, remove};
use super::options::Wanted;
use super::origin::Origin;
use crate::client::{DiskControl, SweptDisk};
use crate::fault::Rule;
use crate::protocol::{PowerCommand, PowerState};
use crate::script::bind::{CallError, CallResult};
use crate::script::context::{Context, SharedVm};
use crate::script::disk::Disk;
use crate::script::raised;
use crate::script::vm::{Vm, boot_vm};
use crate::sweep::{Judgement, Subject, Watched};
use crate::units::duration::show_duration;
use crate::vm::{BootOptions, State};

/// How long a guest may take to end when a rule has cut its power.
const POWER_CUT: Duration = Duration::from_secs(10);

/// A function that is swept.
pub(super) struct Guest<'a> {
    context: &'a Context,
    wanted: &'a Wanted,
    function: &'a Function,
    vm: SharedVm,
    disk: &'a Disk,
    swept: SweptDisk,
    origin: Origin,
    /// Where the present run is logged, if it is.
    log: Option<PathBuf>,
    began: Instant,
}

impl<'a> Guest<'a> {
    /// Begins where the VM of the disk is now.
    pub(super) fn start(
        context: &'a Context,
        wanted: &'a Wanted,
        disk: &'a Disk,
        function: &'a Function,
    ) -> CallResult<Self> {
        let control = disk.control()?;
        let vm = Rc::clone(disk.vm());
        let swept = SweptDisk::follow(&control)?;
        let origin = Origin::save(&vm, &control)?;
        Ok(Self {
            context,
            wanted,
            function,
            vm,
            disk,
            swept,
            origin,
            log: None,
            began: Instant::now(),
        })
    }

    /// Leaves the VM as it was.
    pub(super) fn end(mut self) -> CallResult<()> {
        self.end_log();
        let _ = self.swept.disarm();
        self.origin.restore(&self.vm)
    }

    fn control(&self) -> &DiskControl {
        self.swept.control()
    }

    fn handle(&self) -> Vm {
        Vm::new(Rc::clone(&self.vm))
    }

    /// What is wrong after `function`, which may take as long as a run.
    fn call(&self, function: &Function, args: impl IntoLuaMulti) -> CallResult<Option<String>> {
        let limit = self.context.limit();
        let narrowed = limit.narrow(self.wanted.timeout);
        let result = raised::judged(self.context, function, args);
        let is_late = limit.check().is_err();
        drop(narrowed);
        limit.check()?;
        let text = match result? {
            Err(raised) => raised.text,
            Ok(values) if values.front() == Some(&Value::Boolean(false)) => "returned false".into(),
            Ok(_) if is_late => String::new(),
            Ok(_) => return Ok(None),
        };
        let most = show_duration(self.wanted.timeout);
        Ok(Some(match is_late {
            true => format!("took longer than {most}: {text}"),
            false => text,
        }))
    }

    /// The guest starts again. Returns what is wrong if it does not.
    fn boot(&self) -> CallResult<Option<String>> {
        let narrowed = self.context.limit().narrow(self.wanted.timeout);
        let booted = boot_vm(self.context, &self.handle(), BootOptions::default());
        drop(narrowed);
        self.context.limit().check()?;
        Ok(booted
            .err()
            .map(|error| format!("the guest does not boot: {error}")))
    }

    /// Starts what was cut, or shut down, and has the check look at it.
    fn restart_and_check(&self, k: u64, state: impl IntoLua) -> CallResult<Option<String>> {
        self.return_power()?;
        if self.origin.has_guest()
            && let Some(wrong) = self.boot()?
        {
            return Ok(Some(wrong));
        }
        self.check(k, state)
    }

    fn check(&self, k: u64, state: impl IntoLua) -> CallResult<Option<String>> {
        match &self.wanted.check {
            Some(check) => self.call(check, (self.handle(), k, state)),
            None => Ok(None),
        }
    }

    fn return_power(&self) -> CallResult<()> {
        let mount = self.control().mount();
        for (id, power) in mount.power()? {
            if power != PowerState::On {
                mount.disk(&id)?.switch_power(&PowerCommand::On)?;
            }
        }
        Ok(())
    }

    /// The power of the disk was cut: its guest, if it has one, is over.
    fn await_power_cut(&self) -> CallResult<()> {
        let mut vm = self.vm.borrow_mut();
        match vm.state() {
            State::Booted | State::Paused => vm.wait_power_cut(POWER_CUT).map(drop)?,
            State::Created | State::Shutdown | State::Dead => {}
        }
        // That it is over is no news for the test, nor that its images stay as they are.
        let _ = vm.check();
        vm.take_notes();
        Ok(())
    }

    fn after_cut(&mut self, k: u64) -> CallResult<Judgement> {
        self.await_power_cut()?;
        if let (Some(walk), Some(log)) = (&self.wanted.states, self.end_log()) {
            let cut = CutDisk {
                lua: self.context.lua(),
                vm: &self.vm,
                control: self.control(),
                log: &log,
            };
            return cut.check_each(walk, |state| self.restart_and_check(k, state));
        }
        let wrong = self.restart_and_check(k, Value::Nil)?;
        Ok(Judgement {
            wrong,
            states: None,
        })
    }

    /// What a restart without a power cut leaves.
    fn after_restart(&self, k: u64) -> CallResult<Option<String>> {
        self.vm.borrow_mut().shutdown();
        self.vm.borrow_mut().take_notes();
        self.restart_and_check(k, Value::Nil)
    }

    fn start_log(&mut self) -> CallResult<()> {
        if self.wanted.states.is_some() {
            let log = self.vm.borrow_mut().start_log(self.disk.shared(), None)?;
            self.log = Some(log);
        }
        Ok(())
    }

    /// Ends the log of the run, and returns its path.
    fn end_log(&mut self) -> Option<PathBuf> {
        let log = self.log.take()?;
        let _ = self.control().stop_log();
        Some(log)
    }
}

impl Subject for Guest<'_> {
    type Error = CallError;

    fn begin(&mut self, k: u64, rule: &Rule) -> CallResult<()> {
        self.context.limit().check()?;
        if k > 0 {
            self.origin.restore(&self.vm)?;
        }
        self.start_log()?;
        Ok(self.swept.begin(&self.wanted.order, rule)?)
    }

    fn run(&mut self, k: u64) -> CallResult<Option<String>> {
        let wrong = self.call(self.function, (self.handle(), k))?;
        let guests = self.context.check_guests();
        Ok(wrong.or(guests.err().map(|error| error.to_string())))
    }

    fn end(&mut self, _: u64) -> CallResult<Watched> {
        Ok(self.swept.end()?)
    }

    fn judge(&mut self, k: u64, wrong: Option<String>, acted: bool) -> CallResult<Judgement> {
        let is_cut = self.wanted.order.fault.cuts_power();
        // What the function raises when its machine is gone says nothing.
        if is_cut && acted {
            return self.after_cut(k);
        }
        if let Some(log) = self.end_log() {
            remove(&log);
        }
        let wrong = match wrong {
            None if is_cut => self.after_restart(k)?,
            None => self.check(k, Value::Nil)?,
            wrong => wrong,
        };
        Ok(Judgement {
            wrong,
            states: None,
        })
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}
