//! `--explain`: which rules would act on a request and why the others would not; or what a rule means.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::cli::exit::UsageError;
use crate::cli::rule_json::RuleJson;
use crate::cli::table;
use crate::cli::target::Target;
use crate::client::{ClientError, DiskControl};
use crate::fault::{
    ActionKind, Armed, Arming, FaultSet, GrammarError, IoRange, Mode, Op, Rule, parse_rule,
};
use crate::protocol::names::SECTOR;
use crate::units::nearest;
use crate::units::text::readable;

/// A disk and what its rules do to a request, as JSON has it.
#[derive(Serialize)]
struct Explained {
    id: String,
    request: Request,
    rules: Vec<Answer>,
}

#[derive(Clone, Copy, Serialize)]
struct Request {
    op: &'static str,
    sector: u64,
    sectors: u64,
}

#[derive(Serialize)]
struct Answer {
    text: String,
    acts: bool,
    /// Why it does not act.
    why: Option<String>,
}

/// Explains `text`, which is a request or a rule.
pub(super) fn explain(target: &Target, text: &str, json: bool) -> anyhow::Result<()> {
    let first = text.split_whitespace().next().unwrap_or_default();
    match parse_request(text) {
        Some(request) => explain_request(target, request, json),
        None if Op::named(first).is_some() => Err(not_a_request(text, "").into()),
        None => match parse_rule(text, 1) {
            Ok(rule) => explain_rule(&rule, json),
            Err(error) => Err(neither(text, first, &error).into()),
        },
    }
}

fn not_a_request(text: &str, nearest: &str) -> UsageError {
    let valid = "read, write, flush, discard or zero, and SECTOR+COUNT, as in `read 2048+8`";
    let text = readable(text);
    UsageError(format!(
        "`{text}` is not a request{nearest} (valid: {valid})"
    ))
}

/// Text that is neither a request nor a rule: whatever its first word is nearest to.
fn neither(text: &str, first: &str, error: &GrammarError) -> UsageError {
    let is_rule = Mode::named(first).is_some() || ActionKind::named(first).is_some();
    let modes = Mode::ALL.map(Mode::name).into_iter();
    let rules = nearest(first, modes.chain(ActionKind::ALL.map(ActionKind::name)));
    let request = nearest(first, Op::ALL.map(Op::name).into_iter());
    match is_rule || (request.is_empty() && !rules.is_empty()) {
        true => UsageError(error.to_string()),
        false if request.is_empty() => not_a_request(text, " and not a rule"),
        false => not_a_request(text, &request),
    }
}

fn explain_request(target: &Target, range: IoRange, json: bool) -> anyhow::Result<()> {
    let request = Request {
        op: range.op.name(),
        sector: range.offset / SECTOR,
        sectors: range.len / SECTOR,
    };
    let mut disks = Vec::new();
    for disk in target.disks()? {
        let rules = answers(&disk, range)?;
        if !json {
            rules
                .iter()
                .for_each(|rule| print(rule, &target.name_before(&disk)));
        }
        let id = disk.id().to_owned();
        disks.push(Explained { id, request, rules });
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&disks)?);
    }
    Ok(())
}

fn print(answer: &Answer, before: &str) {
    match &answer.why {
        None => println!("{before}acts  {}", answer.text),
        Some(why) => println!("{before}no    {}: {why}", answer.text),
    }
}

/// For each rule whether it would act on the next such request, now. Counts nothing.
fn answers(disk: &DiskControl, range: IoRange) -> Result<Vec<Answer>, ClientError> {
    let arming = Arming {
        // Any moment that is later than the age of each rule.
        now: Duration::from_secs(1 << 40),
        ..Arming::default()
    };
    let off = disk
        .are_rules_off()?
        .then(|| "all rules are off".to_owned());
    let states = disk.rules()?.into_iter().zip(1..);
    let armed = states.filter_map(|(state, id)| Armed::of_line(&state, id, arming).map(Arc::new));
    let answers = FaultSet::of(armed.collect())
        .explain(range, arming.now)
        .into_iter();
    let answer = answers.map(|(armed, answer)| {
        let why = answer
            .err()
            .map(|why| why.to_string())
            .or_else(|| off.clone());
        Answer {
            text: armed.rule.to_string(),
            acts: why.is_none(),
            why,
        }
    });
    Ok(answer.collect())
}

/// Prints what a rule means, word by word.
fn explain_rule(rule: &Rule, json: bool) -> anyhow::Result<()> {
    if json {
        let rule = RuleJson::of(&rule.to_string());
        println!("{}", serde_json::to_string_pretty(&rule)?);
        return Ok(());
    }
    println!("{}", rule.in_full());
    let rows = rule.meanings().into_iter();
    let rows: Vec<_> = rows
        .map(|(word, meaning)| [format!("  {word}"), meaning])
        .collect();
    table::print_rows(&rows);
    Ok(())
}

/// `OP SECTOR+COUNT`, or `flush`.
fn parse_request(text: &str) -> Option<IoRange> {
    let (op, range) = text.trim().split_once(' ').unwrap_or((text.trim(), "0+0"));
    let (op, (sector, count)) = (Op::named(op)?, range.trim().split_once('+')?);
    Some(IoRange {
        op,
        offset: sector.parse::<u64>().ok()?.checked_mul(SECTOR)?,
        len: count.parse::<u64>().ok()?.checked_mul(SECTOR)?,
    })
}
