//! A guest's console as a conversation: waiting for a text, and typing.

use std::time::{Duration, Instant};

use super::terminal::Terminal;
use crate::vm::machine::Machine;
use crate::vm::{Vm, VmError};

/// Between two looks at the console.
const TICK: Duration = Duration::from_millis(20);

impl Vm {
    /// Waits until the guest's console shows `text`, and consumes it. Times out after `patience`, and fails sooner once
    /// QEMU has paused the guest for a failed request. A guest that has powered itself off, or panicked, may have printed it before.
    pub fn expect(&mut self, text: &str, patience: Duration) -> Result<(), VmError> {
        self.state();
        if !self.is_running() {
            let machine = self.machine.as_mut();
            let console = machine.map(|machine| &mut machine.health.console);
            let console = console.or(self.ended_console.as_mut());
            if console.is_some_and(|console| console.consume(text, &mut 0)) {
                return Ok(());
            }
        }
        self.with_machine(|machine| machine.expect(text, patience))
    }

    /// Types `text` into the guest's console.
    pub fn type_in(&mut self, text: &[u8]) -> Result<(), VmError> {
        self.with_machine(|machine| {
            machine.health.check()?;
            let typed = machine.terminal().write(text);
            typed.map_err(VmError::io("the guest's console"))
        })
    }

    /// The guest's console as a terminal, while it runs.
    pub fn terminal(&self) -> Option<Terminal> {
        let machine = self.machine.as_ref();
        machine.map(|machine| machine.terminal().clone())
    }
}

impl Machine {
    /// Waits until the console shows `text`, and consumes it.
    fn expect(&mut self, text: &str, patience: Duration) -> Result<(), VmError> {
        let deadline = Instant::now() + patience;
        let mut searched = 0;
        while !self.health.console.consume(text, &mut searched) {
            let alive = self.health.check();
            if alive.is_err() && self.health.console.consume(text, &mut searched) {
                return Ok(()); // Its last words.
            }
            alive?;
            if self.is_paused_by_error() {
                // What it has printed before may still be on its way.
                self.settle_console();
                return match self.health.console.consume(text, &mut searched) {
                    true => Ok(()),
                    false => Err(VmError::NotShown(text.to_owned())),
                };
            }
            if Instant::now() >= deadline {
                return Err(VmError::NotExpected {
                    text: text.to_owned(),
                    console: self.health.console.end(),
                });
            }
            self.health.pause(TICK);
        }
        Ok(())
    }
}
