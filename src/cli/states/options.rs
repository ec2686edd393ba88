//! What the command line says, checked against the log.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;

use super::super::exit::UsageError;
use super::super::number::whole;
use crate::crash::{At, BaseImage, Checker, Examiner, History, Pick, Source, Walk};
use crate::units::duration::parse_duration;

/// Try every state that a power cut may have left
///
/// Walks a log of writes in the format of dm-log-writes, such as QEMU's blklogwrites makes. After each
/// entry some requests are durable and some are pending: each subset of the pending ones, on top of what
/// is durable, is a state. The command after --check is asked about each distinct state: exit code 0
/// says that it is good.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium states disk.log --list
  provium states disk.log --base disk.img --check 'e2fsck -fn {}'
  provium states disk.log --check './verify {}' --tear 1 --keep-bad bad/
  provium states disk.log --only 17.3f --out bad.img

A state is called POINT.SUBSET: how many entries of the log have been passed, and which of the pending
pieces survive, as a hexadecimal number whose lowest bit is the oldest piece.

Exit codes: 0 no state is bad, 1 some are, 2 wrong usage or a damaged log.")]
pub(in super::super) struct Args {
    /// The write log
    log: PathBuf,
    /// What the disk held first: an image, or `none` for zeros. Default: LOG.base if it exists
    #[arg(long, value_name = "IMAGE")]
    base: Option<PathBuf>,
    /// Begin at this mark
    #[arg(long, value_name = "MARK", help_heading = "Which states")]
    from: Option<String>,
    /// End at this mark
    #[arg(long, value_name = "MARK", help_heading = "Which states")]
    to: Option<String>,
    /// Cut the power after each entry, or before each flush
    #[arg(long, value_name = "WHERE", default_value = "entry", value_parser = ["entry", "flush"], help_heading = "Which states")]
    at: String,
    /// Which subsets of what is pending: none, all, prefix, drop=K, keep=K, every=N, random=M
    #[arg(long, value_name = "LIST", default_value = Pick::DEFAULT, help_heading = "Which states")]
    pick: String,
    /// Requests survive in pieces of N sectors of 512 bytes, not whole
    #[arg(long, value_name = "N", value_parser = whole(1..=2048_u64), help_heading = "Which states")]
    tear: Option<u64>,
    /// Decides which states random=M picks
    #[arg(
        long,
        value_name = "SEED",
        default_value_t = 1,
        value_parser = whole(0..=u64::MAX),
        help_heading = "Which states"
    )]
    seed: u64,
    /// Ask this command; `{}` in it is the path of the state, which may be written to, and $PROVIUM_MARK
    /// the last mark before it
    #[arg(long, value_name = "COMMAND", help_heading = "Checking")]
    check: Option<String>,
    /// How long a check may take
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        help_heading = "Checking"
    )]
    timeout: String,
    /// Number of checks side by side
    #[arg(short, long, value_name = "N", value_parser = whole(1..=256_u16), help_heading = "Checking")]
    jobs: Option<u16>,
    /// Check each state, even those that agree with a checked one in all that its check has read
    #[arg(long, help_heading = "Checking")]
    no_prune: bool,
    /// Stop after this number of bad states
    #[arg(long, value_name = "N", value_parser = whole(1..=u64::MAX), help_heading = "Checking")]
    stop_after: Option<u64>,
    /// Copy each bad state to this folder, as ID.img
    #[arg(long, value_name = "FOLDER", help_heading = "What to do with them")]
    keep_bad: Option<PathBuf>,
    /// Print the ID of each state; checks nothing
    #[arg(long, conflicts_with_all = ["check", "serve", "only"], help_heading = "What to do with them")]
    list: bool,
    /// Make this state, and nothing else
    #[arg(
        long,
        value_name = "ID",
        requires = "out",
        conflicts_with = "check",
        help_heading = "What to do with them"
    )]
    only: Option<String>,
    /// Where --only writes it: a new file
    #[arg(
        long,
        value_name = "FILE",
        requires = "only",
        help_heading = "What to do with them"
    )]
    out: Option<PathBuf>,
    /// Serve all states as files in this empty folder, until it is unmounted
    #[arg(long, value_name = "MNT", conflicts_with_all = ["check", "only"], help_heading = "What to do with them")]
    serve: Option<PathBuf>,
    /// Print one JSON object for each state, then the summary
    #[arg(long, help_heading = "What to do with them")]
    json: bool,
}

/// What becomes of the states.
pub(super) enum Target {
    Judge,
    One { id: String, out: PathBuf },
    Serve(PathBuf),
}

/// All that is to be done.
pub(super) struct Plan {
    pub(super) source: Arc<Source>,
    pub(super) walk: Walk,
    pub(super) checker: Option<Checker>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) jobs: usize,
    pub(super) prune: bool,
    pub(super) stop_after: Option<u64>,
    pub(super) keep_bad: Option<PathBuf>,
    pub(super) list: bool,
    pub(super) json: bool,
    pub(super) target: Target,
}

impl Plan {
    pub(super) fn of(args: &Args) -> anyhow::Result<Self> {
        let timeout = parse_duration(&args.timeout).filter(|timeout| !timeout.is_zero());
        let timeout = timeout.ok_or_else(|| {
            UsageError(format!(
                "--timeout {} is not a time for a check (valid: above 0, as in 500ms, 60s)",
                args.timeout
            ))
        })?;
        let picks =
            Pick::list(&args.pick).map_err(|error| UsageError(format!("--pick: {error}")))?;
        let base = args.base.as_deref().map(BaseImage::given);
        let source = Source::open(&args.log, &base.unwrap_or_default());
        let source = Arc::new(source.map_err(|error| UsageError(error.to_string()))?);
        let stop = Arc::<AtomicBool>::default();
        let checker = args.check.clone().map(|command| Checker {
            command,
            timeout,
            stop: Arc::clone(&stop),
        });
        Ok(Self {
            walk: Walk {
                by_mark: checker.as_ref().is_some_and(Checker::takes_mark),
                ..walk(args, picks, &source.history)?
            },
            checker,
            stop,
            jobs: jobs(args),
            prune: !args.no_prune,
            stop_after: args.stop_after,
            keep_bad: keep_bad(args)?,
            list: args.list,
            json: args.json,
            target: target(args),
            source,
        })
    }
}

fn target(args: &Args) -> Target {
    match (&args.only, &args.out, &args.serve) {
        (Some(id), Some(out), _) => Target::One {
            id: id.clone(),
            out: out.clone(),
        },
        (_, _, Some(mount_point)) => Target::Serve(mount_point.clone()),
        _ => Target::Judge,
    }
}

fn jobs(args: &Args) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    args.jobs.map_or_else(processors, usize::from)
}

fn keep_bad(args: &Args) -> anyhow::Result<Option<PathBuf>> {
    let folder = args.keep_bad.clone();
    if let Some(folder) = &folder {
        let cannot = || format!("cannot create the folder {}", folder.display());
        std::fs::create_dir_all(folder).with_context(cannot)?;
    }
    Ok(folder)
}

fn walk(args: &Args, picks: Vec<Pick>, history: &History) -> Result<Walk, UsageError> {
    let points = history.points(args.from.as_deref(), args.to.as_deref());
    let points = points.map_err(|error| UsageError(error.to_string()))?;
    Ok(Walk {
        from: *points.start(),
        to: *points.end(),
        at: if args.at == "flush" {
            At::Flush
        } else {
            At::Entry
        },
        picks,
        tear: args.tear,
        seed: args.seed,
        by_mark: false,
    })
}
