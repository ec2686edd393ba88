//! The `disk` of the documents.

mod checkpoint;
mod durability;
mod error;
mod faults;
mod handle;
mod observe;
mod policy;
mod record;
mod rule_text;
mod sectors;
mod wait_fired;

pub(super) use durability::{CUT_OPTIONS, cut_of, report_table};
pub(super) use handle::{Disk, SharedDisk};
pub(super) use rule_text::{rule_of, rule_text};

use super::bind::Methods;
use super::context::Context;

/// Makes the methods of a disk known.
pub(super) fn register(context: &Context) -> mlua::Result<()> {
    let methods = Methods::of(context, handle::CLASS)?;
    handle::add(&methods)?;
    sectors::add(&methods)?;
    faults::add(&methods)?;
    observe::add(&methods)?;
    wait_fired::add(&methods)?;
    policy::add(&methods)?;
    record::add(&methods)?;
    durability::add(&methods)?;
    checkpoint::add(&methods)?;
    methods.register()
}
