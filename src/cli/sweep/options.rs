//! What the command line says, checked.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::exit::UsageError;
use crate::cli::number::whole;
use crate::cli::target;
use crate::client::DiskControl;
use crate::sweep::{Order, SweptFault, Thinning};
use crate::units::duration::parse_duration;

/// How long a rule may act beyond the time of a command. One that nobody could disarm does nothing then.
const BEYOND: Duration = Duration::from_secs(5);

/// How long a command may take unless told otherwise.
const TIMEOUT: &str = "60s";

/// Fail each request of a command once
///
/// Runs CMD without a fault and counts its requests of the kind. Then it goes back, and runs CMD again with the first of
/// them failing, and so on. CMD is for `sh -c`; it finds the disk as $PROVIUM_DISK, and the number of the request that
/// fails as $PROVIUM_K, which is 0 without a fault.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium sweep /tmp/m/vda --op write,flush --fault 'error errno=EIO' --run './save $PROVIUM_DISK'
  provium sweep /tmp/m/vda --op write --fault cut --run './save $PROVIUM_DISK' --check './load $PROVIUM_DISK'
  provium sweep /tmp/m/vda --op read --fault 'corrupt how=flip' --run ./verify --sample 50 --seed 7
  provium sweep /tmp/m/vda --op write --fault error --run ./save --only 12     the 12th request alone

A run is good if CMD exits with 0. With --check, that command judges instead, and CMD may fail.
Before each run the disk becomes what it was, by a checkpoint or by the command after --reset.

Exit codes: 0 no run failed, 1 some did, or there was nothing to sweep, 2 wrong usage.")]
pub(in crate::cli) struct Args {
    /// The data file of the disk
    #[arg(value_name = "MNT/ID")]
    disk: PathBuf,
    /// What goes wrong: a rule without its place
    #[arg(long, value_name = "RULE", help_heading = "What goes wrong")]
    fault: String,
    /// With which requests: read, write, flush, discard, zero, or all (default: all that the rule acts on)
    #[arg(long, value_name = "LIST", help_heading = "What goes wrong")]
    op: Option<String>,
    /// Only with requests in these sectors, as in 0+8
    #[arg(long, value_name = "LIST", help_heading = "What goes wrong")]
    at: Option<String>,
    /// Only with requests behind this mark, which CMD sets
    #[arg(long, value_name = "MARK", help_heading = "What goes wrong")]
    from: Option<String>,
    /// From that request on, all of them go wrong
    #[arg(long, help_heading = "What goes wrong")]
    persistent: bool,
    /// The command that makes the requests
    #[arg(long, value_name = "CMD", help_heading = "Commands")]
    run: String,
    /// Judges a run by what it has left
    #[arg(long, value_name = "CMD", help_heading = "Commands")]
    check: Option<String>,
    /// Makes the disk what it was, in place of a checkpoint
    #[arg(long, value_name = "CMD", help_heading = "Commands")]
    reset: Option<String>,
    /// How long each command may take
    #[arg(
        long,
        value_name = "DURATION",
        default_value = TIMEOUT,
        help_heading = "Commands"
    )]
    timeout: String,
    /// The first of every N requests
    #[arg(long, value_name = "N", help_heading = "How many runs",
        value_parser = whole(0..=u64::MAX))]
    every: Option<u64>,
    /// At most this number of runs
    #[arg(long, value_name = "N", help_heading = "How many runs",
        value_parser = whole(0..=u64::MAX))]
    max: Option<u64>,
    /// This number of runs, at random
    #[arg(long, value_name = "N", help_heading = "How many runs",
        value_parser = whole(0..=u64::MAX))]
    sample: Option<u64>,
    /// Decides which
    #[arg(
        long,
        value_name = "SEED",
        default_value_t = 1,
        value_parser = whole(0..=u64::MAX),
        help_heading = "How many runs"
    )]
    seed: u64,
    /// The run with this number alone
    #[arg(long, value_name = "K", help_heading = "How many runs",
        value_parser = whole(0..=u64::MAX))]
    only: Option<u64>,
    /// Print one JSON object for each run, then the summary
    #[arg(long)]
    json: bool,
}

/// All that is to be done.
pub(super) struct Plan {
    pub(super) disk: DiskControl,
    pub(super) order: Order,
    pub(super) run: String,
    pub(super) check: Option<String>,
    pub(super) reset: Option<String>,
    pub(super) timeout: Duration,
    pub(super) json: bool,
    /// The words of one run, without its number.
    again: String,
}

impl Plan {
    pub(super) fn of(args: &Args) -> anyhow::Result<Self> {
        let fault = args.swept_fault()?;
        let timeout = parse_duration(&args.timeout).filter(|timeout| !timeout.is_zero());
        let timeout = timeout.ok_or_else(|| {
            UsageError(format!(
                "--timeout {} is not a time for a command (valid: above 0, as in 500ms, 60s)",
                args.timeout
            ))
        })?;
        Ok(Self {
            disk: target::disk(&args.disk)?,
            order: Order {
                fault,
                from: args.from.clone(),
                thinning: args.thinning()?,
                lasts: Some(timeout + BEYOND),
                who: "the command",
            },
            run: args.run.clone(),
            check: args.check.clone(),
            reset: args.reset.clone(),
            timeout,
            json: args.json,
            again: args.again(),
        })
    }

    /// The command line of the run `k` alone.
    pub(super) fn again(&self, k: u64) -> String {
        format!("{} --only {k}", self.again)
    }
}

impl Args {
    fn swept_fault(&self) -> Result<SweptFault, UsageError> {
        let (op, at) = (self.op.as_deref(), self.at.as_deref());
        let fault = SweptFault::new(&self.fault, op, at, self.persistent).map_err(UsageError)?;
        match fault.cuts_power() && self.check.is_none() {
            true => Err(UsageError(
                "a power cut fails every run: --check has to say whether what it has left is good"
                    .into(),
            )),
            false => Ok(fault),
        }
    }

    fn thinning(&self) -> Result<Thinning, UsageError> {
        let thinning = Thinning {
            every: self.every,
            max: self.max,
            sample: self.sample,
            seed: self.seed,
            only: self.only,
        };
        let checked = thinning.check(|key| format!("--{key}"));
        checked.map_err(UsageError)?;
        Ok(thinning)
    }

    fn again(&self) -> String {
        let mut line = format!("provium sweep {}", quoted(&self.disk.to_string_lossy()));
        let (op, at, from) = (&self.op, &self.at, &self.from);
        let timeout = (self.timeout != TIMEOUT).then(|| self.timeout.clone());
        let words = [
            ("op", op),
            ("fault", &Some(self.fault.clone())),
            ("at", at),
            ("from", from),
            ("run", &Some(self.run.clone())),
            ("check", &self.check),
            ("reset", &self.reset),
            ("timeout", &timeout),
        ];
        for (name, value) in words {
            if let Some(value) = value {
                let _ = write!(line, " --{name} {}", quoted(value));
            }
        }
        if self.persistent {
            line += " --persistent";
        }
        line
    }
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_,.:/=+@%-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let quoted = shlex::try_quote(word).map(|word| word.into_owned());
    quoted.unwrap_or_else(|_| word.to_owned())
}
