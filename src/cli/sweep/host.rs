//! A command of the host, swept.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::options::Plan;
use super::origin::Origin;
use crate::client::SweptDisk;
use crate::fault::Rule;
use crate::os::shell::{Ended, ShellCommand};
use crate::protocol::{PowerCommand, PowerState};
use crate::sweep::{Judgement, Subject, Watched};
use crate::units::text;

/// A command that is swept.
pub(super) struct Host<'a> {
    plan: &'a Plan,
    stop: &'a AtomicBool,
    swept: SweptDisk,
    origin: Origin,
    began: Instant,
    /// The latest run was ended by its time or by a signal: no check excuses that.
    was_killed: bool,
}

impl<'a> Host<'a> {
    /// Begins where the disk is now.
    pub(super) fn start(plan: &'a Plan, stop: &'a AtomicBool) -> anyhow::Result<Self> {
        let origin = Origin::save(plan)?;
        Ok(Self {
            plan,
            stop,
            swept: SweptDisk::follow(&plan.disk)?,
            origin,
            began: Instant::now(),
            was_killed: false,
        })
    }

    /// Leaves the disk as it was.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        let disarmed = self.swept.disarm();
        self.return_power()?;
        self.origin.end()?;
        if let Some(reset) = &self.plan.reset {
            // A signal to stop does not concern it.
            self.reset(reset, 0, &AtomicBool::default())?;
        }
        // The rules of the checkpoint are without ours.
        match self.plan.reset {
            Some(_) => Ok(disarmed?),
            None => Ok(()),
        }
    }

    fn shell(&self, command: &str, k: u64, stop: &AtomicBool) -> io::Result<Ended> {
        let variables = [
            ("PROVIUM_K", k.to_string().into()),
            ("PROVIUM_DISK", self.plan.disk.path().into()),
        ];
        let command = ShellCommand {
            text: command,
            variables: &variables,
            timeout: self.plan.timeout,
            stop,
        };
        command.run()
    }

    /// How `command` failed, if it has.
    fn failure(&mut self, command: &str, k: u64) -> anyhow::Result<Option<String>> {
        let ended = self.shell(command, k, self.stop)?;
        self.was_killed = ended.status.is_none_or(|status| status.code().is_none());
        Ok(failure(&ended, self.plan.timeout))
    }

    fn reset(&self, command: &str, k: u64, stop: &AtomicBool) -> anyhow::Result<()> {
        let ended = self.shell(command, k, stop)?;
        match failure(&ended, self.plan.timeout) {
            None => Ok(()),
            Some(why) => anyhow::bail!("the command after --reset failed: {why}"),
        }
    }

    /// Returns the power of the disks that a rule has cut.
    fn return_power(&self) -> anyhow::Result<()> {
        if !self.plan.order.fault.cuts_power() {
            return Ok(());
        }
        let mount = self.plan.disk.mount();
        for (id, power) in mount.power()? {
            if power != PowerState::On {
                mount.disk(&id)?.switch_power(&PowerCommand::On)?;
            }
        }
        Ok(())
    }

    fn go_back(&self, k: u64) -> anyhow::Result<()> {
        if let Some(reset) = &self.plan.reset {
            return self.reset(reset, k, self.stop);
        }
        if k > 0 && self.origin.is_saved() {
            let restored = self.origin.restore();
            restored.context("cannot make the disk what it was")?;
        }
        Ok(())
    }
}

impl Subject for Host<'_> {
    type Error = anyhow::Error;

    fn begin(&mut self, k: u64, rule: &Rule) -> anyhow::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::Interrupted).into());
        }
        self.go_back(k)?;
        Ok(self.swept.begin(&self.plan.order, rule)?)
    }

    fn run(&mut self, k: u64) -> anyhow::Result<Option<String>> {
        let plan = self.plan;
        self.failure(&plan.run, k)
    }

    fn end(&mut self, _: u64) -> anyhow::Result<Watched> {
        let watched = self.swept.end()?;
        self.return_power()?;
        Ok(watched)
    }

    fn judge(&mut self, k: u64, wrong: Option<String>, _: bool) -> anyhow::Result<Judgement> {
        let plan = self.plan;
        let wrong = match &plan.check {
            // A program may fail where a request of it does, and is judged by what it leaves.
            Some(check) if wrong.is_none() || (k > 0 && !self.was_killed) => {
                let failed = self.failure(check, k)?;
                failed.map(|why| format!("check: {why}"))
            }
            _ => wrong,
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

/// How a command failed: with the last line that it printed, then all of them.
fn failure(ended: &Ended, timeout: Duration) -> Option<String> {
    let how = ended.failure(timeout)?;
    let output = text::message(&ended.output);
    let lines: Vec<_> = output
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    Some(match lines[..] {
        [] => how,
        [line] => format!("{how}: {line}"),
        [.., last] => format!("{how}: {last}\n{}", lines.join("\n")),
    })
}
