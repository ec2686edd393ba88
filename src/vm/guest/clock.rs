//! The guest's clock.

use qapi::qga::{guest_get_time, guest_set_time};

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
