//! `provium test`, and the process of one test file.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use super::exit::UsageError;
use super::output;
use super::test_options::{Args, Reporters};
use super::{Exit, host, test_shrink};
use crate::config::Config;
use crate::events::{Event, TestInfo};
use crate::os::run_folder::{self, RunFolder, RunFolderKind};
use crate::os::sys;
use crate::runner::{
    self, Job, Rounds, RunOptions, Selected, Selection, Stop, Summary, Target, Tests,
};
use crate::script::{FileOptions, run_file as run_script};
use crate::units::{counted, nearest, text};
use crate::vm;

/// Run one test file and tell the parent process (internal)
#[derive(Debug, clap::Args)]
pub(super) struct FileArgs {
    path: PathBuf,
    #[arg(long)]
    events_fd: RawFd,
    #[arg(long)]
    order_fd: RawFd,
    #[arg(long)]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let (config, config_path) = load_config(args)?;
    if let Some(Some(recording)) = &args.shrink {
        run_folder::remove_leftovers()?;
        let options = args.run_options(&config, config_path);
        return test_shrink::of_recording(recording, &options, &stop_on_signals()?);
    }
    let Some(files) = find_files(args, &config)? else {
        return Ok(Exit::NoTests);
    };
    let mut options = args.run_options(&config, config_path);
    let (count, jobs) = (files.len(), options.jobs);
    output::step(|| format!("test files: {count}, up to {jobs} at a time"));
    let root = std::path::absolute(&config.folder)?;
    let last_failed = match runner::last_failed(&root) {
        // Tests run even where nothing can be remembered.
        Err(_) if !args.rerun_failed => BTreeSet::new(),
        found => found?,
    };
    let selection = args.selection(&root, &last_failed);
    if args.list {
        let plan = Plan::new(files, &selection, &options);
        sys::end_with_reader();
        return print_list(&plan, args);
    }
    run_folder::remove_leftovers()?;
    if args.shrink.is_some() {
        let targets = Plan::new(files, &selection, &options).targets()?;
        return test_shrink::of_tests(&targets, &options, &stop_on_signals()?);
    }
    // Until the end of the run: a page is made of what is in it.
    let scratch = RunFolder::create(RunFolderKind::Evidence)?;
    let mut reporters = Reporters::open(args, scratch.path())?;
    options.evidence.scratch = Some(scratch.path().to_owned());
    // Tests run even where old states cannot be removed.
    let _ = vm::WarmStore::open().and_then(|store| store.sweep());
    let seed = args.seed();
    options.evidence.shuffle = seed;
    let plan = plan(args, files, &selection, &options, seed.is_some());
    if let Some(lack) = plan.lacks(&config) {
        output::error(lack);
        return Ok(Exit::Failed);
    }
    let stop = stop_on_signals()?;
    let rounds = Rounds {
        count: args.repeat(),
        jobs: &|round| plan.jobs(round, seed),
        seed,
    };
    let summary = runner::run(&rounds, &options, &stop, &mut reporters);
    let jobs = plan.jobs(1, seed);
    let remembered = remember(&root, &selection, last_failed, &jobs, &summary.unfinished);
    warn_if_forgotten(remembered);
    reporters.close()?;
    let why = match plan.is_empty() && selection.wants_names() {
        true => plan.offered.none_is(&args.selecting()),
        false => "the files declare none".to_owned(),
    };
    Ok(exit_of(&summary, &why))
}

/// What is run of `files`. They are read first where their tests have to be known.
fn plan(
    args: &Args,
    files: Vec<PathBuf>,
    selection: &Selection,
    options: &RunOptions,
    is_shuffled: bool,
) -> Plan {
    match selection.wants_names() || is_shuffled {
        true => Plan::new(files, selection, options),
        false if args.may_stop() => Plan::new(files, selection, options).running_broken_files(),
        false => Plan::all_of(files),
    }
}

fn warn_if_forgotten(remembered: std::io::Result<()>) {
    if let Err(error) = remembered {
        output::warn(format_args!(
            "`--rerun-failed` will not know of this run: {error}; set XDG_CACHE_HOME to a folder of yours"
        ));
    }
}

/// The exit code of a run. `why` it had no tests, if it had none.
fn exit_of(summary: &Summary, why: &str) -> Exit {
    let stopped = usize::from(summary.stopped.is_some());
    let not_passed = summary.failed + summary.not_run + summary.files_not_run + stopped;
    match (not_passed, summary.passed + summary.skipped) {
        (0, 0) => {
            eprintln!("provium: no tests: {why}");
            Exit::NoTests
        }
        (0, _) => Exit::Done,
        _ => Exit::Failed,
    }
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
    let config = output::load_config(found.clone(), &here)?;
    Ok((config, found))
}

/// The test files; None, and a message, if there are none.
fn find_files(args: &Args, config: &Config) -> anyhow::Result<Option<Vec<PathBuf>>> {
    // As short as people would write them.
    let here = std::env::current_dir()?;
    let below = |path: PathBuf| match path.strip_prefix(&here) {
        Ok(rest) => Path::new(".").join(rest),
        Err(_) => path,
    };
    let roots = config.provium.roots.iter();
    let roots = roots.map(|root| below(config.folder.join(root)));
    let paths = match args.paths.is_empty() {
        true => roots.collect(),
        false => args.paths(),
    };
    let files = runner::discover(&paths).map_err(|error| UsageError(error.to_string()))?;
    if files.is_empty() {
        let paths: Vec<_> = paths.iter().map(|path| text::path(path)).collect();
        let paths = paths.join(", ");
        eprintln!("provium: no tests: {paths} has no *.test.lua");
        return Ok(None);
    }
    Ok(Some(files))
}

/// The tests that will run.
struct Plan {
    /// The files, with the names of their tests as far as they had to be found out.
    files: Vec<(PathBuf, Option<Selected>)>,
    /// Files that do not load, and why.
    broken: Vec<(PathBuf, String)>,
    /// What was selected from.
    offered: Offered,
}

/// The tests that were selected from.
#[derive(Default)]
struct Offered {
    count: usize,
    tags: BTreeSet<String>,
}

impl Offered {
    fn of<'a>(tests: impl Iterator<Item = &'a TestInfo>) -> Self {
        tests.fold(Self::default(), |mut offered, test| {
            offered.count += 1;
            offered.tags.extend(test.tags.iter().cloned());
            offered
        })
    }

    /// Says that none of them is selected by these options, the tags of which are given with them.
    fn none_is(&self, (options, tags): &(String, Vec<String>)) -> String {
        let unknown = tags.iter().find(|tag| !self.tags.contains(*tag));
        let known = || self.tags.iter().map(String::as_str);
        let about_tags = unknown.map_or_else(String::new, |tag| match self.tags.is_empty() {
            true => "; no test has a tag".to_owned(),
            false => {
                let list = known().collect::<Vec<_>>().join(", ");
                format!(
                    "; no test has the tag `{}`{} (there are: {list})",
                    text::readable(tag),
                    nearest(tag, known())
                )
            }
        });
        format!(
            "none of {} is selected by {options}{about_tags}",
            counted(self.count as u64, "test")
        )
    }
}

impl Plan {
    fn all_of(files: Vec<PathBuf>) -> Self {
        Self {
            files: files.into_iter().map(|file| (file, None)).collect(),
            broken: Vec::new(),
            offered: Offered::default(),
        }
    }

    fn new(files: Vec<PathBuf>, selection: &Selection, options: &RunOptions) -> Self {
        let (mut listed, mut broken) = (Vec::new(), Vec::new());
        for (file, tests) in runner::list(&files, options) {
            match tests {
                Ok(tests) => listed.push((file, tests)),
                Err(message) => broken.push((file, message)),
            }
        }
        let offered = Offered::of(listed.iter().flat_map(|(_, tests)| tests));
        let part = selection.part_of(selection.of(listed));
        Self {
            files: part
                .into_iter()
                .map(|selected| (selected.0.clone(), Some(selected)))
                .collect(),
            broken,
            offered,
        }
    }

    /// The same, where nothing was selected and a file may run that could not be listed.
    fn running_broken_files(mut self) -> Self {
        let broken = self.broken.drain(..);
        self.files.extend(broken.map(|(file, _)| (file, None)));
        self
    }

    /// The selected tests; a file that does not load is an error.
    fn targets(&self) -> anyhow::Result<Vec<Target>> {
        if let Some((file, message)) = self.broken.first() {
            anyhow::bail!("{}: {message}", text::path(file));
        }
        let named = self.files.iter().filter_map(|(_, named)| named.as_ref());
        let target = |file: &PathBuf, test: &TestInfo| Target {
            file: file.clone(),
            test: test.name.clone(),
        };
        let targets =
            named.flat_map(|(file, tests)| tests.iter().map(move |test| target(file, test)));
        Ok(targets.collect())
    }

    /// What this host lacks of that which the files need.
    fn lacks(&self, config: &Config) -> Option<String> {
        let has_own_qemu = config.profiles.values().any(|it| it.qemu.is_some());
        let roots = config.provium.roots.iter();
        let mut roots: Vec<_> = roots.rev().map(|root| config.folder.join(root)).collect();
        roots.push(PathBuf::from("."));
        host::missing(
            self.files.iter().map(|(file, _)| file),
            &roots,
            has_own_qemu,
        )
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.broken.is_empty()
    }

    /// What a round runs, of which the first is 1; with a seed each in an order of its own.
    fn jobs(&self, round: u32, seed: Option<u64>) -> Vec<Job> {
        let job = |file: &PathBuf, tests| Job {
            file: file.clone(),
            round,
            tests,
        };
        let broken = self.broken.iter();
        let broken = broken.map(|(file, message)| job(file, Tests::Broken(message.clone())));
        let whole = self.files.iter().filter(|(_, named)| named.is_none());
        let whole = whole.map(|(file, _)| job(file, Tests::All));
        let mut named: Vec<Selected> = self.files.iter().filter_map(|(_, n)| n.clone()).collect();
        if let Some(seed) = seed {
            runner::shuffle(&mut named, seed.wrapping_add(u64::from(round - 1)));
        }
        let named = named.iter().map(|(file, tests)| {
            let names = tests.iter().map(|test| test.name.clone());
            job(file, Tests::Only(names.collect()))
        });
        broken.chain(whole).chain(named).collect()
    }
}

fn print_list(plan: &Plan, args: &Args) -> anyhow::Result<Exit> {
    let mut json = args.json_list()?;
    for (file, tests) in plan.files.iter().filter_map(|(_, named)| named.as_ref()) {
        for test in tests {
            if let Some(out) = &mut json {
                writeln!(out, "{}", listed(file, test)?)?;
                continue;
            }
            let tags = match test.tags.is_empty() {
                true => String::new(),
                false => format!(" [{}]", test.tags.join(", ")),
            };
            let line = format!("{}: {}{tags}", text::path(file), test.name);
            println!("{}", text::printable(&line));
        }
    }
    for (file, message) in &plan.broken {
        let file = text::path(file);
        eprintln!("provium: {}", text::harmless(&format!("{file}: {message}")));
    }
    Ok(match (plan.broken.is_empty(), plan.is_empty()) {
        (false, _) => Exit::Failed,
        (true, true) => Exit::NoTests,
        (true, false) => Exit::Done,
    })
}

/// A test as a line of `--list --json`.
fn listed(file: &Path, test: &TestInfo) -> serde_json::Result<String> {
    let TestInfo { name, tags, line } = test;
    let file = text::path(file);
    let line = serde_json::json!({"file": file, "line": line, "name": name, "tags": tags});
    serde_json::to_string(&line).map(runner::escape_controls)
}

/// The first INT, TERM or HUP stops the run, the second this process.
fn stop_on_signals() -> std::io::Result<Stop> {
    let stop = Stop::default();
    // `nohup` has us ignore this one.
    let hang_up = (!sys::is_ignored(libc::SIGHUP)).then_some(libc::SIGHUP);
    for signal in [libc::SIGINT, libc::SIGTERM].into_iter().chain(hang_up) {
        signal_hook::flag::register_conditional_shutdown(
            signal,
            Exit::Failed as i32,
            stop.interrupted(),
        )?;
        signal_hook::flag::register(signal, stop.interrupted())?;
    }
    Ok(stop)
}

/// What did not pass is what failed last time; what was not run keeps its place there.
fn remember(
    root: &Path,
    selection: &Selection,
    mut failed: BTreeSet<runner::TestId>,
    jobs: &[Job],
    unfinished: &BTreeSet<(PathBuf, Option<String>)>,
) -> std::io::Result<()> {
    for job in jobs {
        let of_file = selection.id(&job.file, None);
        failed.retain(|id| match &job.tests {
            Tests::Only(tests) => {
                let ran = id.test.as_ref().is_none_or(|test| tests.contains(test));
                id.file != of_file.file || !ran
            }
            _ => id.file != of_file.file,
        });
    }
    let unfinished = unfinished.iter();
    failed.extend(unfinished.map(|(file, test)| selection.id(file, test.as_deref())));
    runner::remember_failed(root, &failed)
}

pub(super) fn run_file(args: &FileArgs) -> anyhow::Result<Exit> {
    sys::end_with_group();
    // A runner that keeps the VMs of a test that is stuck says so like this.
    sys::outlive_starter_on(runner::KEEP);
    let mut order = Vec::new();
    File::from(sys::inherited(args.order_fd)?).read_to_end(&mut order)?;
    let order = serde_json::from_slice(&order)?;
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
    run_script(&args.path, FileOptions { config, order }, Box::new(emit));
    Ok(Exit::Done)
}
