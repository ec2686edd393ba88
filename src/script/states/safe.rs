//! `t:assert_crash_safe`: all states of a log, with one check.

use std::io;
use std::ops::ControlFlow;

use mlua::{Function, Value};

use super::examiner::{Called, Check, checker};
use super::iterator::of_argument;
use super::options::{self, WHICH};
use super::walk::Walked;
use crate::crash::{Examiner, Judge, Judged, Summary};
use crate::script::bind::{CallResult, Options};
use crate::script::context::Context;

const CALL: &str = "t:assert_crash_safe";

/// None if the check is content with each state, else what it says of the bad ones.
pub(super) fn crash_safe(
    context: &Context,
    (_t, disk, options): (Value, Value, Options),
) -> CallResult<Option<String>> {
    options.only(&[&WHICH[..], &["check", "timeout"]].concat())?;
    let check: Option<Value> = options.get("check", "a function or a command")?;
    let check = check.ok_or("`check` is missing: a function, or a command for the host")?;
    let check = Check::of(CALL, 2, &check)?;
    let timeout = options::timeout(&options)?;
    let states = of_argument(context, CALL, &disk, &options)?;
    let judge = states.new_judge();
    let judged = match &check {
        Check::Command(command) => {
            let checker = checker(context, command, timeout);
            all_by_command(context, &states, &judge, &checker)
        }
        Check::Function(function) => all_by_function(context, &states, &judge, function),
    };
    context.limit().check()?;
    let summary = judged.map_err(|error| error.to_string())?;
    if summary.bad() == 0 {
        return Ok(None);
    }
    let text = summary.text(states.source(), states.walk().tear);
    let (bad, distinct) = (summary.bad(), summary.distinct());
    let seed = states.walk().seed;
    let text = text.trim_end();
    Ok(Some(format!(
        "{bad} of {distinct} states are bad (seed {seed})\n{text}"
    )))
}

/// Side by side, as many as there are processors.
fn all_by_command(
    context: &Context,
    states: &Walked,
    judge: &Judge,
    checker: &(impl Examiner + Sync),
) -> io::Result<Summary> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut summary = Summary::default();
    judge.walk(states.walk(), Some(checker), jobs, |judged| {
        summary.note(&judged);
        match context.limit().check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    shrunk(context, states, judge, checker, summary)
}

/// One after the other: Lua has one thread.
fn all_by_function(
    context: &Context,
    states: &Walked,
    judge: &Judge,
    function: &Function,
) -> io::Result<Summary> {
    let called = Called::new(context, function)?;
    let mut summary = Summary::default();
    while let Some(judged) = states.next() {
        let verdict = judge.verdict(&called, &judged.id, &judged.content)?;
        let verdict = Some(verdict);
        summary.note(&Judged { verdict, ..judged });
    }
    shrunk(context, states, judge, &called, summary)
}

fn shrunk(
    context: &Context,
    states: &Walked,
    judge: &Judge,
    examiner: &dyn Examiner,
    mut summary: Summary,
) -> io::Result<Summary> {
    let is_over = || context.limit().check().is_err();
    summary.shrink(judge, examiner, states.walk(), is_over)?;
    Ok(summary)
}
