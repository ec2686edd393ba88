//! `provium test`, and the process of one test file.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Exit;
use super::exit::UsageError;
use crate::config::Config;
use crate::runner::{self, Event, HumanReporter, RunOptions};
use crate::script::{FileOptions, run_file as run_script};
use crate::{sys, vm};

/// Run Lua tests
///
/// Each file runs in a process of its own, with VMs and mounts of its own; nothing of them is left
/// when it ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium test                      all of the roots in provium.toml
  provium test examples/            all below a folder
  provium test eio.test.lua -j 1    one file")]
pub(super) struct Args {
    /// Test files (*.test.lua) or folders with some
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The configuration, instead of the nearest provium.toml upwards
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many files run at a time [default: the number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Seconds that a test may take that does not say so itself
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    timeout: Duration,
}

/// Run one test file and tell the parent process (internal)
#[derive(Debug, clap::Args)]
pub(super) struct FileArgs {
    path: PathBuf,
    #[arg(long)]
    events_fd: RawFd,
    #[arg(long)]
    config: Option<PathBuf>,
    #[arg(long, value_parser = seconds)]
    timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds < 1e8);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "seconds are a number above 0 and below 100 million".to_owned())
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let (config, config_path) = load_config(args)?;
    let roots = config
        .provium
        .roots
        .iter()
        .map(|root| config.folder.join(root));
    let paths = match args.paths.is_empty() {
        true => roots.collect(),
        false => args.paths.clone(),
    };
    let files = runner::discover(&paths).map_err(|error| UsageError(error.to_string()))?;
    if files.is_empty() {
        eprintln!(
            "provium: no tests: there is no *.test.lua in {}",
            list(&paths)
        );
        return Ok(Exit::NoTests);
    }
    vm::remove_leftovers()?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let options = RunOptions {
        config: config_path,
        timeout: args.timeout,
        jobs: args.jobs.map_or(processors, usize::from),
    };
    let summary = runner::run(&files, &options, &mut HumanReporter::new());
    Ok(match (summary.failed, summary.passed + summary.skipped) {
        (0, 0) => Exit::NoTests,
        (0, _) => Exit::Done,
        _ => Exit::Failed,
    })
}

/// The configuration of the working folder; without one there, that of the first path.
fn load_config(args: &Args) -> anyhow::Result<(Config, Option<PathBuf>)> {
    let here = std::env::current_dir()?;
    let explicit = args
        .config
        .as_deref()
        .map(std::path::absolute)
        .transpose()?;
    let near_tests = args.paths.first().map(std::path::absolute).transpose()?;
    let found = explicit.or_else(|| Config::find(&here));
    let found = found.or_else(|| Config::find(&near_tests?));
    let config = Config::load(found.as_deref(), &here)?;
    Ok((config, found))
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

pub(super) fn run_file(args: &FileArgs) -> anyhow::Result<Exit> {
    let events = RefCell::new(File::from(sys::inherited(args.events_fd)?));
    let emit = move |event: Event| {
        // Without a reader there is nobody left to tell, and the kernel ends us soon.
        if let Ok(line) = serde_json::to_string(&event) {
            let _ = events
                .borrow_mut()
                .write_all(format!("{line}\n").as_bytes());
        }
    };
    let config = Config::load(args.config.as_deref(), Path::new("."))?;
    let options = FileOptions {
        config,
        timeout: args.timeout,
    };
    run_script(&args.path, options, Box::new(emit));
    Ok(Exit::Done)
}
