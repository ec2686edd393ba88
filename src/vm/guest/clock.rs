//! The guest's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use qapi::qga::{guest_get_time, guest_set_time};

use crate::vm::machine::Machine;
use crate::vm::{Vm, VmError};

impl Vm {
    /// The guest's time: nanoseconds since 1970.
    pub fn time(&mut self) -> Result<i64, VmError> {
        self.with_machine(|machine| {
            machine.agent(|agent, check| agent.execute(&guest_get_time {}, check))
        })
    }

    /// Sets the guest's time: nanoseconds since 1970.
    pub fn set_time(&mut self, time: i64) -> Result<(), VmError> {
        let set = guest_set_time { time: Some(time) };
        self.with_machine(|machine| machine.agent(|agent, check| agent.execute(&set, check)))
            .map(drop)
    }
}

impl Machine {
    /// Sets the guest's time to the host's. Its hardware clock is set too, if the guest has a program for that.
    pub(in crate::vm) fn set_time_of_host(&mut self) -> Result<(), VmError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        let set = guest_set_time {
            time: i64::try_from(now).ok(),
        };
        match self.agent(|agent, check| agent.execute(&set, check)) {
            Err(VmError::Agent(text)) if text.contains("hwclock") => Ok(()),
            set => set.map(drop),
        }
    }
}
