//! `provium decisions`: the rules that act on the requests of a disk, and rules that make the same faults again.

use std::io::{self, Write, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{at, never, select};
use serde_json::json;

use super::number::whole;
use super::trace::{parse_time, stop_at_signals};
use super::{Exit, output, target};
use crate::fault::replay_at_once;
use crate::protocol::{DecisionLine, DecisionsLine};
use crate::units::text::{printable, shown};

/// The time between two looks. The server keeps up to 16,384 lines meanwhile.
const LOOK: Duration = Duration::from_millis(25);

/// Show which rules act on the requests of a disk, with rules that make the same faults again
///
/// Runs until you press Ctrl-C, which is no error. Begin before the rules are armed: `touch=` counts the requests since then, while
/// somebody reads. Nothing that happens after the first line is missed, unless it says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium decisions /tmp/m/vda
  provium decisions /tmp/m/vda --rules > flaky.rules    until Ctrl-C: what fired, as rules
  cat flaky.rules > /tmp/m/ctl/vda/faults               the same requests fail again
  provium decisions /tmp/m/vda --for 1m --json | jq .replay

A line is SEQUENCE SECONDS OP SECTOR COUNT touch=N rule=ID since=SEQUENCE RULE -> REPLAY: RULE has acted on the Nth request
with this operation that touches these sectors since RULE was armed. REPLAY does the same to the same request of another run.")]
pub(super) struct Args {
    /// The data file of a disk
    #[arg(value_name = "MNT/ID")]
    disk: PathBuf,
    /// At the end, print the rules that make the same faults again, as `faults` takes them
    #[arg(long, conflicts_with = "json")]
    rules: bool,
    /// End after this number of decisions
    #[arg(long, value_name = "N", value_parser = whole(1..=u64::MAX))]
    count: Option<u64>,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_time)]
    lasts: Option<Duration>,
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let stop = stop_at_signals()?;
    let mut decisions = target::disk(&args.disk)?.decisions()?;
    let until = args.lasts.map(|time| Instant::now() + time);
    let timer = until.map_or_else(never, at);
    let mut shown_lines = Shown::begin(args)?;
    let mut is_stopped = false;
    while shown_lines.left > 0 && !is_stopped && !decisions.is_over() {
        select! {
            recv(stop) -> _ => is_stopped = true,
            recv(timer) -> _ => is_stopped = true,
            default(LOOK) => {}
        }
        // After the stop too: what was decided before it is there.
        for line in decisions.so_far()? {
            shown_lines.show(line)?;
        }
    }
    shown_lines.end()?;
    if decisions.is_over() && !is_stopped && shown_lines.left > 0 {
        let disk = shown(&args.disk);
        anyhow::bail!("{disk} was detached, or its mount has ended: its decisions end here");
    }
    Ok(Exit::Done)
}

/// What is shown of the lines.
struct Shown<'a> {
    args: &'a Args,
    /// How many decisions may still be shown.
    left: u64,
    /// Those that are printed as rules at the end.
    kept: Vec<DecisionLine<'static>>,
}

impl<'a> Shown<'a> {
    /// Says that no decision is missed from here on.
    fn begin(args: &'a Args) -> io::Result<Self> {
        let disk = shown(&args.disk);
        match (args.rules, args.json) {
            (true, _) => output::note(format_args!(
                "what fires on {disk} is recorded until Ctrl-C"
            )),
            (false, true) => write_line(&json!({ "type": "start" }))?,
            (false, false) => write_line(&format_args!("# the decisions of {disk} from now on"))?,
        }
        Ok(Self {
            args,
            left: args.count.unwrap_or(u64::MAX),
            kept: Vec::new(),
        })
    }

    fn show(&mut self, line: DecisionsLine<'static>) -> io::Result<()> {
        match line {
            DecisionsLine::Fired(_) if self.left == 0 => Ok(()),
            DecisionsLine::Fired(decision) => {
                self.left -= 1;
                if self.args.rules {
                    warn_of(&decision);
                    self.kept.push(decision);
                    return Ok(());
                }
                match self.args.json {
                    true => write_line(&json_of(&decision)),
                    false => write_line(&printable(&decision.to_string())),
                }
            }
            DecisionsLine::Remark(text) if self.args.rules => {
                output::warn(printable(&text));
                Ok(())
            }
            DecisionsLine::Remark(text) => match self.args.json {
                true => write_line(&json!({ "type": "remark", "text": text })),
                false => write_line(&format_args!("# {}", printable(&text))),
            },
        }
    }

    fn end(&self) -> io::Result<()> {
        let mut out = stdout().lock();
        for rule in replay_at_once(&self.kept) {
            writeln!(out, "{rule}")?;
        }
        out.flush()
    }
}

/// Warns of a decision that its rule may not make again.
fn warn_of(decision: &DecisionLine<'_>) {
    if let Some(note) = &decision.note {
        let DecisionLine {
            op, sector, count, ..
        } = decision;
        output::warn(format_args!("{op} {sector} {count}: {note}"));
    }
}

fn write_line(line: &impl std::fmt::Display) -> io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn json_of(decision: &DecisionLine<'_>) -> serde_json::Value {
    json!({
        "type": "decision",
        "sequence": decision.sequence,
        "seconds": decision.time.as_secs_f64(),
        "op": decision.op.name(),
        "sector": decision.sector,
        "count": decision.count,
        "touch": decision.touch,
        "rule_id": decision.rule_id,
        "since": decision.since,
        "rule": decision.rule,
        "replay": decision.replay,
        "note": decision.note,
    })
}
