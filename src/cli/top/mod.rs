//! `provium top`: the activity of the disks of a mount, as it happens.

mod json;
mod look;

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::exit::UsageError;
use super::number::whole;
use super::{Exit, table, target};
use crate::client::{MountClient, Stats};
use crate::os::poll;
use crate::os::terminal::RawTerminal;
use crate::protocol::{DiskGauge, Op, OpCounter};
use crate::units::duration::parse_duration;
use crate::units::text::shown;
use look::{DiskLook, Grown, Look, look};

/// Shorter intervals would keep the mount busy with looks alone.
const SHORTEST: Duration = Duration::from_millis(10);

/// Watch the disks of a mount: requests, bandwidth, latency, errors, armed faults
///
/// On a terminal the table is redrawn until you press `q`. Elsewhere each interval prints a table.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium top /tmp/m
  provium top /tmp/m --interval 200ms --count 5 | cat
  provium top /tmp/m --once --json

LAT is the mean time from a request's arrival to its answer, its delays included. WAIT is how many
requests are not answered. ERR/s counts injected errors. PENDING is there for disks with a write
cache: what a power cut would take; it is `off` while the power is off.")]
pub(super) struct Args {
    /// The mount
    #[arg(value_name = "MNT")]
    mount_point: PathBuf,
    /// The time between two tables
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    interval: String,
    /// End after this number of tables; without it, run until interrupted
    #[arg(long, value_name = "N", value_parser = whole(0..=u64::MAX))]
    count: Option<u64>,
    /// Print one table, of the next interval: the same as `--count 1`
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// Print JSON: one object a line for each table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let interval = parse_duration(&args.interval).filter(|interval| *interval >= SHORTEST);
    let interval = interval.ok_or_else(|| {
        let text = format!(
            "--interval {} is not a time between two looks (valid: 10ms or more, as in 500ms, 2s)",
            args.interval
        );
        UsageError(text)
    })?;
    let mount = target::mount(&args.mount_point)?;
    let mut screen = match args.json {
        true => Screen(None),
        false => Screen::enter(),
    };
    let mut before = look(&mount)?;
    let count = args.count.or(args.once.then_some(1));
    for _ in 0..count.unwrap_or(u64::MAX) {
        if screen.quit_within(interval) {
            break;
        }
        let now = look(&mount)?;
        match args.json {
            true => print_json(&before, &now)?,
            false => screen.draw(&title(&mount), &picture(&before, &now))?,
        }
        before = now;
    }
    Ok(Exit::Done)
}

fn print_json(before: &Look, now: &Look) -> anyhow::Result<()> {
    let activity = serde_json::to_string(&json::Activity::between(before, now))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{activity}")?;
    Ok(out.flush()?)
}

fn title(mount: &MountClient) -> String {
    format!("{}  (q quits)", shown(mount.point()))
}

const HEAD: [&str; 12] = [
    "DISK", "READ/s", "MiB/s", "LAT", "WRITE/s", "MiB/s", "LAT", "WAIT", "PENDING", "LAYERS",
    "ERR/s", "FAULTS",
];

fn picture(before: &Look, now: &Look) -> Vec<String> {
    let seconds = (now.at - before.at).as_secs_f64();
    let rows = now.disks.iter().map(|disk| {
        let DiskLook {
            id, stats, faults, ..
        } = disk;
        let old = &before.disk(disk).stats;
        let [
            [reads, read_mib, read_time],
            [writes, write_mib, write_time],
        ] = [Op::Read, Op::Write].map(|op| rates(op, old, stats, seconds));
        let errors = |stats: &Stats| stats.sum(OpCounter::ErrorsInjected);
        let errors = errors(stats).saturating_sub(errors(old));
        [
            id.clone(),
            reads,
            read_mib,
            read_time,
            writes,
            write_mib,
            write_time,
            stats.gauge(DiskGauge::InFlight).to_string(),
            disk.pending(),
            disk.layers(),
            format!("{:.0}", errors as f64 / seconds),
            if faults.is_empty() {
                "-".into()
            } else {
                shown(faults.join("; "))
            },
        ]
    });
    table::lines(HEAD, &rows.collect::<Vec<_>>())
}

/// Requests and MiB a second, and the mean latency, of one kind of request between two looks.
fn rates(op: Op, old: &Stats, new: &Stats, seconds: f64) -> [String; 3] {
    let grown = Grown::between(op, old, new);
    let mib = grown.bytes as f64 / f64::from(1 << 20);
    [
        format!("{:.0}", grown.requests as f64 / seconds),
        format!("{:.1}", mib / seconds),
        grown.latency.map_or("-".into(), show_latency),
    ]
}

/// In at most six characters.
fn show_latency(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 1e-3 => format!("{:.0}us", s * 1e6),
        s if s < 1.0 => format!("{:.1}ms", s * 1e3),
        s => format!("{s:.1}s"),
    }
}

/// Where the picture is drawn: a terminal, which is restored at the end, or a stream of tables.
struct Screen(Option<RawTerminal>);

const OPEN: &str = "\x1b[?1049h\x1b[?25l";
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const END_OF_LINE: &str = "\x1b[K\r\n";
const CLEAR_BELOW: &str = "\x1b[J";

impl Screen {
    fn enter() -> Self {
        let on_terminal = std::io::stdout().is_terminal();
        let terminal = on_terminal.then(RawTerminal::enter).flatten();
        if terminal.is_some() {
            print!("{OPEN}{HOME}{CLEAR_BELOW}");
        }
        Self(terminal)
    }

    /// Waits that long. True when `q`, Escape or Ctrl-C was pressed meanwhile.
    fn quit_within(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let left = || deadline.saturating_duration_since(Instant::now());
        if self.0.is_none() {
            std::thread::sleep(time);
            return false;
        }
        let mut stdin = std::io::stdin();
        while poll::wait_readable(&stdin, left()).unwrap_or(false) {
            let mut keys = [0; 64];
            let keys = match stdin.read(&mut keys) {
                Ok(typed) => &keys[..typed],
                Err(_) => return true,
            };
            let leaves = |key: &u8| matches!(key, b'q' | b'Q' | 0x1b | 0x03);
            // The end of the input quits, too.
            if keys.is_empty() || keys.iter().any(leaves) {
                return true;
            }
        }
        false
    }

    fn draw(&mut self, title: &str, lines: &[String]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.0.is_none() {
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
            return writeln!(out);
        }
        let width = console::Term::stdout().size().1 as usize;
        let cut = |line: &str| console::truncate_str(line, width, "…").into_owned();
        let text = std::iter::once(title).chain(lines.iter().map(String::as_str));
        let text: String = text.map(|line| cut(line) + END_OF_LINE).collect();
        write!(out, "{HOME}{text}{CLEAR_BELOW}")?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.0.is_some() {
            print!("{CLOSE}");
            let _ = std::io::stdout().flush();
        }
    }
}
