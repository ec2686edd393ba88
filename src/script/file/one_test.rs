//! One test, from its start to its verdict.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mlua::{LuaString, Table, Value};

use super::keep::keep_vms;
use super::leave::Leaving;
use super::reset::Reset;
use crate::events::{Event, Order, Outcome};
use crate::script::bind::LuaDuration;
use crate::script::context::{Context, Declared};
use crate::script::raised::{self, clean};
use crate::units::text;

/// Runs a test, and returns whether it failed. `timeout` is for a test and a file that set none.
pub(super) fn run_test(
    context: &Context,
    test: &Declared,
    order: &Order,
    timeout: Duration,
    reset: &Reset,
) -> bool {
    if let Some(reason) = left_out(context, test, order.include_slow) {
        let outcome = Outcome::Skipped { reason };
        let leaving = Leaving::begin(context, &order.evidence, test.info());
        let (outcome, evidence) = leaving.end(Ok(outcome));
        context.emit(never_started(test.name.clone(), outcome, evidence));
        return false;
    }
    let own: Option<LuaDuration> = test.meta.get("timeout").unwrap_or_default();
    let own = own.map(|own| own.0).or(context.test_timeout());
    let timeout = own.unwrap_or(timeout);
    context.emit(Event::Started {
        test: test.name.clone(),
        timeout: timeout.as_secs_f64(),
    });
    let leaving = Leaving::begin(context, &order.evidence, test.info());
    let started = Instant::now();
    let mark = context.vm_count();
    let outcome = outcome_within(context, test, started, timeout);
    let (outcome, evidence) = leaving.end(outcome);
    let failed = matches!(outcome, Outcome::Failed { .. });
    let keep = order.keep && failed;
    if !keep {
        context.close_vms_since(mark);
        reset.put_back(context);
        context.end_processes();
    }
    context.emit(Event::Finished {
        test: test.name.clone(),
        outcome,
        seconds: started.elapsed().as_secs_f64(),
        attempts: 1,
        evidence,
    });
    if keep {
        keep_vms(context);
    }
    failed
}

/// Runs a test that may take `timeout`.
fn outcome_within(
    context: &Context,
    test: &Declared,
    started: Instant,
    timeout: Duration,
) -> Result<Outcome, String> {
    context.limit().set(Some(started + timeout));
    let outcome = outcome(context, test);
    // A test whose time is up fails, even if it has caught the error that says so.
    let outcome = match context.limit().check().is_err() {
        true => outcome.and(Err(too_late(timeout))),
        false => outcome,
    };
    context.limit().set(None);
    // It also fails if a guest has ended unnoticed: the test has not called it since.
    let guests = context.check_guests().map_err(|error| error.to_string());
    outcome.and_then(|outcome| guests.map(|()| outcome))
}

fn too_late(timeout: Duration) -> String {
    let limit = timeout.as_secs_f64();
    format!("the test's time is up: it took longer than {limit}s, and a pcall caught the error")
}

/// Why a test does not start; None if it does.
fn left_out(context: &Context, test: &Declared, include_slow: bool) -> Option<String> {
    let is_slow = || test.meta.get("slow").unwrap_or(false);
    match (context.todo(), test.meta.get("skip").unwrap_or(Value::Nil)) {
        (Some(reason), _) => Some(reason),
        (None, Value::String(reason)) => Some(text::message(&reason.as_bytes())),
        (None, Value::Boolean(true)) => Some("skip".into()),
        _ if is_slow() && !include_slow => Some("slow: run it with --include-slow".into()),
        _ => None,
    }
}

/// The event of a test that does not start.
pub(super) fn never_started(test: String, outcome: Outcome, evidence: Option<PathBuf>) -> Event {
    Event::Finished {
        test,
        outcome,
        seconds: 0.0,
        attempts: 0,
        evidence,
    }
}

/// Runs a test to its end; Err is why it failed.
fn outcome(context: &Context, test: &Declared) -> Result<Outcome, String> {
    let t: mlua::Result<Table> =
        context.prelude("new_t", (test.own_name.clone(), test.meta.clone()));
    let t = t.map_err(|error| clean(&error))?;
    let of_t = |field: &str| t.raw_get::<Option<LuaString>>(field).unwrap_or_default();
    context.take_lack(); // of an error that a pcall has caught before
    let shared = t.clone();
    let skip = move || shared.raw_get("skip_error").unwrap_or_default();
    let raised = raised::call(context, &test.run, &t, skip).map_err(|error| clean(&error))?;
    if let Err(raised) = raised
        && !raised.has_mark
    {
        let lack = context.take_lack();
        return lack
            .map(|reason| Outcome::Skipped { reason })
            .ok_or(raised.text);
    }
    if let Some(failed) = of_t("failed") {
        let failed = text::message(&failed.as_bytes());
        return Err(format!(
            "{failed} (the error was caught by a pcall; the test fails all the same)"
        ));
    }
    Ok(match of_t("skipped") {
        Some(reason) => Outcome::Skipped {
            reason: text::message(&reason.as_bytes()),
        },
        None => Outcome::Passed,
    })
}
