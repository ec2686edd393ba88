//! A QMP or agent command whose arguments are JSON of our own: the same as on QEMU's command line, or arguments that
//! the generated types cannot express.

use std::marker::PhantomData;

use qapi::Command;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The command `C` with these arguments.
#[derive(Debug)]
pub(in crate::vm) struct Raw<C> {
    arguments: Value,
    command: PhantomData<fn() -> C>,
}

impl<C: Command> Raw<C> {
    pub(in crate::vm) fn new(arguments: Value) -> Self {
        Self {
            arguments,
            command: PhantomData,
        }
    }
}

impl<C> Serialize for Raw<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.arguments.serialize(serializer)
    }
}

impl<C: Command> Command for Raw<C> {
    type Ok = C::Ok;
    const NAME: &'static str = C::NAME;
    const ALLOW_OOB: bool = C::ALLOW_OOB;
}
