//! `t:sweep`: a function runs once for each request that it makes, and each time another one fails.

mod crash_states;
mod guest;
mod options;
mod origin;
mod result;

use mlua::{Function, Table, UserDataRef, Value};

use super::bind::{CallError, CallResult, Options, native, wrong_argument};
use super::context::Context;
use super::disk::Disk;
use crate::events::Event;
use crate::sweep::{Point, SweepError, Swept, sweep};
use guest::Guest;
use options::Wanted;

const CALL: &str = "t:sweep";

/// Adds the native to the table that the prelude gets.
pub(super) fn add_natives(context: &Context, natives: &Table) -> mlua::Result<()> {
    natives.set("sweep", native(context, CALL, run)?)
}

/// The result, and why the test fails, if it does.
fn run(
    context: &Context,
    (_t, disk, options, function): (Value, Value, Options, Function),
) -> CallResult<(Table, Option<String>)> {
    let disk = disk_of(&disk)?;
    let wanted = Wanted::of(&options)?;
    let name = disk.title().unwrap_or_default();
    let mut guest = Guest::start(context, &wanted, &disk, &function)?;
    let fault = wanted.order.fault.text();
    let mut over = String::new();
    let swept = sweep(&mut guest, &wanted.order, |point, done, of| {
        over = format!("after {done} of {of} runs: ");
        tell_point(context, &name, fault, point, (done, of));
    });
    let ended = guest.end();
    let swept = swept.map_err(|error| match error {
        SweepError::Nothing(why) | SweepError::Wrong(why) => CallError::from(why),
        SweepError::Subject(error) => CallError::from(format!("{over}{}", error.reason())),
    })?;
    tell(context, &name, &swept);
    ended?;
    let fails = wanted.fails && !swept.failed().is_empty();
    let why = fails.then(|| swept.text(|k| format!("`only = {k}` in the options of {CALL}")));
    Ok((result::table(&context.lua(), &swept)?, why))
}

fn disk_of(value: &Value) -> CallResult<UserDataRef<Disk>> {
    match value {
        Value::UserData(object) if object.is::<Disk>() => Ok(object.borrow::<Disk>()?),
        other => Err(wrong_argument(CALL, 1, "disk", other).into()),
    }
}

/// Tells the runner, and the list of the test's calls, of a run that is over.
fn tell_point(context: &Context, disk: &str, fault: &str, point: &Point, (done, of): (u64, u64)) {
    if let Some(watcher) = context.watcher() {
        watcher.begin_call(format!("sweep k={}: {}", point.k, point.request()));
        watcher.end_call(point.error.as_deref());
    }
    context.emit(Event::SweepPoint {
        disk: disk.to_owned(),
        fault: fault.to_owned(),
        done,
        of,
        point: point.clone(),
    });
}

fn tell(context: &Context, disk: &str, swept: &Swept) {
    context.emit(Event::Swept {
        disk: disk.to_owned(),
        fault: swept.fault.clone(),
        requests: swept.requests,
        points: swept.points.len() as u64,
        failed: swept.failed(),
        notes: swept.notes.clone(),
        seconds: swept.seconds,
    });
}
