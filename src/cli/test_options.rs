//! The options of `provium test`, and the reporters that they select.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write, stdout};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::UsageError;
use super::number::whole;
use super::output;
use super::test_html::HtmlReporter;
use crate::config::Config;
use crate::events::EvidenceOrder;
use crate::evidence::quoted;
use crate::runner::{
    self, Again, GithubReporter, HumanReporter, JsonReporter, JunitReporter, Partition,
    QuietReporter, Report, Reporter, RunOptions, Selection, TapReporter, TestId,
};
use crate::units::duration::parse_duration;
use crate::units::text;

/// Run Lua tests
///
/// Each file runs in a process of its own, with VMs and mounts of its own, which end with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium test                             all of the roots in provium.toml
  provium test examples/ -j 1              all below a folder, one file at a time
  provium test --filter eio --list         which tests have `eio` in their path or name
  provium test --tag smoke --fail-fast     the quick look
  provium test --rerun-failed --keep on-fail
  provium test --partition hash:2/3 --junit report.xml
  provium test --shrink tests/disk.test.lua:12      which of the faults that fire make this test fail

Exit codes: 0 all passed, 1 something failed, 2 usage or configuration, 4 no tests matched.")]
pub(super) struct Args {
    /// Test files (*.test.lua), or folders with test files; FILE:LINE is the test at that line
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// The configuration, instead of the nearest provium.toml in this folder or above
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The number of files that run at a time [default: limited by processors and memory]
    #[arg(short, long, value_name = "N", value_parser = whole(1..=1000_u16))]
    jobs: Option<u16>,

    /// Only tests with TEXT in `PATH: NAME`
    #[arg(long, value_name = "TEXT", help_heading = "Selection")]
    filter: Vec<String>,
    /// Only tests with this tag
    #[arg(long, value_name = "TAG", help_heading = "Selection")]
    tag: Vec<String>,
    /// Only tests without this tag
    #[arg(long, value_name = "TAG", help_heading = "Selection")]
    no_tag: Vec<String>,
    /// Also run the slow tests
    #[arg(long, help_heading = "Selection")]
    include_slow: bool,
    /// Only tests that failed or did not run last time
    #[arg(long, help_heading = "Selection")]
    pub(super) rerun_failed: bool,
    /// Part M of N: slice:M/N takes every Nth test, hash:M/N selects by name
    #[arg(long, value_name = "PART", help_heading = "Selection")]
    partition: Option<Partition>,
    /// Print the names of the selected tests and run none; with --json, one JSON object per line
    #[arg(long, help_heading = "Selection")]
    pub(super) list: bool,

    /// Run a failed test again up to N times, with fresh VMs
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Running",
        value_parser = whole(0..=1000_u32))]
    retries: u32,
    /// Run everything N times, one round after the other
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Running",
        value_parser = whole(1..=1_000_000_u32))]
    repeat: u32,
    /// Random order; the same SEED gives the same order
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true, help_heading = "Running",
        value_parser = whole(0..=u64::MAX))]
    shuffle: Option<Option<u64>>,
    /// Stop after the first failure
    #[arg(long, help_heading = "Running", conflicts_with = "max_fail")]
    fail_fast: bool,
    /// Stop after N failures
    #[arg(long, value_name = "N", help_heading = "Running",
        value_parser = whole(1..=u32::MAX))]
    max_fail: Option<u32>,
    /// Keep the VMs, mounts and logs of failed tests for inspection
    #[arg(long, value_name = "WHEN", value_parser = ["on-fail"], help_heading = "Running")]
    keep: Option<String>,
    /// Boot the kernel of every guest, instead of resuming saved states
    #[arg(long, env = "PROVIUM_COLD", hide_env_values = true, help_heading = "Running",
        value_parser = clap::builder::FalseyValueParser::new())]
    cold: bool,
    /// Run a failed test again with ever fewer of its faults, and write it with those that it needs to a file beside its own.
    /// RECORDING is its folder of --record-faults or --artifacts; without one, the selected tests are run first
    #[arg(long, value_name = "RECORDING", num_args = 0..=1, require_equals = true, help_heading = "Running",
        conflicts_with_all = ["list", "retries", "repeat", "shuffle", "keep"])]
    pub(super) shrink: Option<Option<PathBuf>>,

    /// The time limit of a test that does not set its own
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, help_heading = "Limits")]
    timeout: Duration,
    /// The time limit of a file
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Limits")]
    file_timeout: Option<Duration>,
    /// Report a test as slow after this time
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds_between_looks, help_heading = "Limits")]
    slow_after: Duration,

    /// Keep what each failed test leaves in a folder below DIR: its calls, its consoles, and of each disk the trace,
    /// the rules, the counters and the damage
    #[arg(long, value_name = "DIR", help_heading = "Reports")]
    artifacts: Option<PathBuf>,
    /// Keep what fired in each failed test in a folder below DIR: the decisions of its disks, and rules that make the same
    /// faults again
    #[arg(long, value_name = "DIR", help_heading = "Reports")]
    record_faults: Option<PathBuf>,
    /// Write a page to look at to FILE: one file, which needs no network
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    html: Option<PathBuf>,
    /// Write JUnit XML to FILE
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    junit: Option<PathBuf>,
    /// Write TAP to FILE, or to standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, help_heading = "Reports")]
    tap: Option<Option<PathBuf>>,
    /// Write one JSON object per line to FILE, or to standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, help_heading = "Reports")]
    json: Option<Option<PathBuf>>,
}

/// A number of seconds, or a time with its unit.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let time = match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        None => parse_duration(text),
    };
    let time = time.filter(|time| !time.is_zero() && *time < LONGEST);
    time.ok_or_else(|| {
        "valid: seconds, or a time with its unit, as in 90 or 5m: above 0, below 100 million seconds"
            .to_owned()
    })
}

/// Parses the time between two warnings.
fn seconds_between_looks(text: &str) -> Result<Duration, String> {
    let duration = seconds(text)?;
    match duration < Duration::from_millis(100) {
        true => Err("the shortest time between two warnings is 0.1 seconds".into()),
        false => Ok(duration),
    }
}

impl Args {
    pub(super) fn run_options(&self, config: &Config, path: Option<PathBuf>) -> RunOptions {
        let jobs = self.jobs.map(usize::from);
        let max_fail = self.max_fail.or(self.fail_fast.then_some(1));
        RunOptions {
            config: path,
            timeout: self.timeout,
            file_timeout: self.file_timeout,
            slow_after: self.slow_after,
            jobs: jobs.unwrap_or_else(|| runner::default_jobs(config)),
            memory: runner::memory_of_a_file(config),
            max_fail: max_fail.map(|most| most as usize),
            retries: self.retries,
            include_slow: self.include_slow,
            keep: self.keep.is_some(),
            cold: self.cold,
            evidence: EvidenceOrder {
                artifacts: self.artifacts.clone(),
                faults: self.record_faults.clone(),
                all: self.html.is_some(),
                command: self.words(),
                ..EvidenceOrder::default()
            },
        }
    }

    /// The words that run a file again as this run does, without the file.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = vec!["provium".to_owned(), "test".to_owned()];
        if let Some(config) = &self.config {
            words.extend(["--config".to_owned(), text::path(config)]);
        }
        let flags = [(self.include_slow, "--include-slow"), (self.cold, "--cold")];
        let given = flags.iter().filter(|(is_given, _)| *is_given);
        words.extend(given.map(|(_, flag)| (*flag).to_owned()));
        if self.timeout != Duration::from_secs(DEFAULT_TIMEOUT) {
            words.extend([
                "--timeout".to_owned(),
                self.timeout.as_secs_f64().to_string(),
            ]);
        }
        words
    }

    /// Where `--list` writes JSON; None if it writes text.
    pub(super) fn json_list(&self) -> Result<Option<Box<dyn Write>>, UsageError> {
        let file = self.json.as_ref();
        let out = file.map(|file| stream(file.as_deref(), &mut Vec::new()));
        out.transpose()
    }

    /// Makes the folders for what failed tests leave, so that one that cannot be made is an error now.
    fn make_artifacts(&self) -> Result<(), UsageError> {
        let folders = [
            ("--artifacts", &self.artifacts),
            ("--record-faults", &self.record_faults),
        ];
        let given = folders
            .into_iter()
            .filter_map(|(option, folder)| Some((option, folder.as_ref()?)));
        for (option, folder) in given {
            std::fs::create_dir_all(folder).map_err(|error| {
                let why = match folder.exists() {
                    true => "it is not a folder".to_owned(),
                    false => error.to_string(),
                };
                UsageError(format!("{option} {}: {why}", text::path(folder)))
            })?;
        }
        Ok(())
    }

    /// The files and folders, without lines.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.paths
            .iter()
            .map(|path| at_line(path).map_or_else(|| path.clone(), |(file, _)| file))
            .collect()
    }

    pub(super) fn selection(&self, root: &Path, last_failed: &BTreeSet<TestId>) -> Selection {
        Selection {
            filters: self.filter.clone(),
            tags: self.tag.clone(),
            no_tags: self.no_tag.clone(),
            partition: self.partition,
            failed: self.rerun_failed.then(|| last_failed.clone()),
            lines: self.paths.iter().filter_map(|path| at_line(path)).collect(),
            root: root.to_owned(),
        }
    }

    /// The options that select tests, as they were given; and the tags of `--tag`.
    pub(super) fn selecting(&self) -> (String, Vec<String>) {
        let lists = [
            ("filter", &self.filter),
            ("tag", &self.tag),
            ("no-tag", &self.no_tag),
        ];
        let lists = lists.into_iter().flat_map(|(name, values)| {
            values
                .iter()
                .map(move |value| format!("--{name} {}", quoted(std::iter::once(value.as_str()))))
        });
        let part = self.partition.map(|_| "--partition".to_owned());
        let failed = self.rerun_failed.then(|| "--rerun-failed".to_owned());
        let all: Vec<_> = lists.chain(part).chain(failed).collect();
        (all.join(" "), self.tag.clone())
    }

    /// Whether the run may stop before its end. Then the names of all tests have to be known, to report those left out.
    pub(super) fn may_stop(&self) -> bool {
        self.fail_fast || self.max_fail.is_some()
    }

    pub(super) fn repeat(&self) -> u32 {
        self.repeat
    }

    /// The seed of the random order: the given one, or a new one. None without `--shuffle`.
    pub(super) fn seed(&self) -> Option<u64> {
        self.shuffle
            .map(|seed| seed.unwrap_or_else(|| u64::from(fastrand::u32(..))))
    }
}

/// The file and the line of `FILE:LINE`; None for a path without a line.
fn at_line(path: &Path) -> Option<(PathBuf, u32)> {
    let (file, line) = path.to_str()?.rsplit_once(':')?;
    let line = line.parse().ok()?;
    (!path.exists() && Path::new(file).is_file()).then(|| (file.into(), line))
}

/// Every time limit is shorter.
const LONGEST: Duration = Duration::from_secs(100_000_000);

/// The default of `--timeout`, in seconds.
const DEFAULT_TIMEOUT: u64 = 60;

const STDOUT: &str = "on standard output";

/// All reporters of a run, each with the name of the place that it writes to.
pub(super) struct Reporters {
    all: Vec<(String, Box<dyn Reporter>)>,
    /// The first report that could not be written, and why.
    lost: Option<UsageError>,
}

impl Reporters {
    /// Opens every report before anything runs, so that one that cannot be written is an error now.
    pub(super) fn open(args: &Args, scratch: &Path) -> anyhow::Result<Self> {
        args.make_artifacts()?;
        let on_stdout = |report: &Option<Option<PathBuf>>| matches!(report, Some(None));
        let (tap, json) = (on_stdout(&args.tap), on_stdout(&args.json));
        if tap && json {
            let text = "--tap and --json cannot both have standard output: give one a FILE, \
                        as in --tap=report.tap";
            return Err(UsageError(text.into()).into());
        }
        let mut files = Vec::new();
        let mut all: Vec<(String, Box<dyn Reporter>)> = Vec::new();
        let human = human(args, tap || json);
        let human_place = if tap || json {
            "on standard error"
        } else {
            STDOUT
        };
        all.push((human_place.to_owned(), human));
        if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
            let root = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from);
            let out: Box<dyn Write> = match tap || json {
                true => Box::new(io::stderr()),
                false => Box::new(stdout()),
            };
            all.push((
                human_place.to_owned(),
                Box::new(GithubReporter::new(out, root)),
            ));
        }
        if let Some(file) = &args.junit {
            let out = Box::new(create(file, &mut files)?);
            let reporter = JunitReporter::new(out, args.artifacts.is_some());
            all.push((place(Some(file)), Box::new(reporter)));
        }
        if let Some(file) = &args.tap {
            let reporter = TapReporter::new(stream(file.as_deref(), &mut files)?);
            all.push((place(file.as_deref()), Box::new(reporter)));
        }
        if let Some(file) = &args.json {
            let reporter = JsonReporter::new(stream(file.as_deref(), &mut files)?);
            all.push((place(file.as_deref()), Box::new(reporter)));
        }
        if let Some(file) = &args.html {
            create(file, &mut files)?;
            let words = args.words();
            let paths = args.paths.iter().map(|path| text::path(path));
            let command: Vec<_> = words.iter().cloned().chain(paths).collect();
            let command = quoted(command.iter().map(String::as_str));
            let reporter = HtmlReporter::new(file, scratch, words, command);
            all.push((place(Some(file)), Box::new(reporter)));
        }
        Ok(Self { all, lost: None })
    }

    /// Fails if a report was not written to its end.
    pub(super) fn close(self) -> Result<(), UsageError> {
        self.lost.map_or(Ok(()), Err)
    }
}

impl Reporter for Reporters {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        let lost = &mut self.lost;
        let mut result = Ok(());
        self.all.retain_mut(|(place, reporter)| {
            let Err(error) = reporter.report(report) else {
                return true;
            };
            let error = cannot_write(place, &error);
            result = Err(io::Error::other(error.to_string()));
            lost.get_or_insert(error);
            false
        });
        result
    }
}

/// The report for people, of which `-q` leaves what did not pass.
fn human(args: &Args, to_stderr: bool) -> Box<dyn Reporter> {
    let again = Again {
        words: args.words(),
        paths: args.paths.clone(),
    };
    let is_quiet = output::is_quiet();
    let human = HumanReporter::new(to_stderr, is_quiet, again);
    match is_quiet {
        true => Box::new(QuietReporter(human)),
        false => Box::new(human),
    }
}

/// The place that a report goes to, as errors name it.
fn place(file: Option<&Path>) -> String {
    file.map_or(STDOUT.to_owned(), text::path)
}

fn cannot_write(place: &str, error: &io::Error) -> UsageError {
    UsageError(format!("cannot write the report {place}: {error}"))
}

fn stream(file: Option<&Path>, files: &mut Vec<(u64, u64)>) -> Result<Box<dyn Write>, UsageError> {
    match file {
        Some(file) => Ok(Box::new(create(file, files)?)),
        None => Ok(Box::new(stdout())),
    }
}

/// Opens a report. It is an error if it is one of `files`, which are compared by device and inode.
fn create(path: &Path, files: &mut Vec<(u64, u64)>) -> Result<File, UsageError> {
    let shown = text::path(path);
    let failed = |error| cannot_write(&shown, &error);
    let file = File::create(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let id = (found.dev(), found.ino());
    if found.is_file() && files.contains(&id) {
        let text = format!("two reports cannot both go to {shown}: give each a FILE of its own");
        return Err(UsageError(text));
    }
    files.push(id);
    Ok(file)
}
