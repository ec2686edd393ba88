//! `provium test --shrink`: which of the faults that fire a test needs to fail.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;

use super::exit::UsageError;
use super::{Exit, output};
use crate::evidence::Recording;
use crate::os::run_folder::{RunFolder, RunFolderKind};
use crate::runner::{Progress, RunOptions, ShrinkError, Shrinker, Shrunk, Stop, Target};
use crate::units::counted;
use crate::units::text::{self, harmless, printable};

/// How often a test is run to see it fail, if it is the only one.
const TRIES: u32 = 10;
/// Faults that are listed.
const LISTED: usize = 20;

/// Shrinks the faults of a recording.
pub(super) fn of_recording(
    folder: &Path,
    options: &RunOptions,
    stop: &Stop,
) -> anyhow::Result<Exit> {
    let recording = Recording::read(folder).map_err(|error| UsageError(error.to_string()))?;
    warn_of(&recording);
    let target = target_of(&recording)?;
    let bar = bar();
    let tell = |progress: &Progress| bar.set_message(sentence(progress));
    let shrinker = Shrinker {
        options,
        stop,
        tell: &tell,
    };
    let shrunk = shrinker.shrink(&target, recording);
    finish(&shrinker, &target, shrunk, &bar)
}

/// Shrinks the faults of tests, which are run first.
pub(super) fn of_tests(
    targets: &[Target],
    options: &RunOptions,
    stop: &Stop,
) -> anyhow::Result<Exit> {
    if targets.is_empty() {
        output::error("no tests: none was selected");
        return Ok(Exit::NoTests);
    }
    let bar = bar();
    let tell = |progress: &Progress| bar.set_message(sentence(progress));
    let shrinker = Shrinker {
        options,
        stop,
        tell: &tell,
    };
    let tries = if targets.len() == 1 { TRIES } else { 1 };
    let scratch = RunFolder::create(RunFolderKind::Evidence)?;
    let mut exit = Exit::Done;
    for target in targets {
        let shrunk = shrinker.record_and_shrink(target, scratch.path(), tries);
        if !matches!(finish(&shrinker, target, shrunk, &bar)?, Exit::Done) {
            exit = Exit::Failed;
        }
        if stop.reason().is_some() {
            break;
        }
    }
    Ok(exit)
}

/// The test that was recorded.
fn target_of(recording: &Recording) -> anyhow::Result<Target> {
    let file = PathBuf::from(&recording.test.file);
    if !file.is_file() {
        let folder = std::env::current_dir()?;
        anyhow::bail!(
            "the recording is of {}, and {} has no such file: run the command where the test was run",
            text::path(&file),
            text::path(&folder)
        );
    }
    let test = recording.test.name.clone();
    Ok(Target { file, test })
}

/// Says what may be in the way of a replay.
fn warn_of(recording: &Recording) {
    let ours = env!("CARGO_PKG_VERSION");
    match recording.test.versions.get("provium") {
        Some(theirs) if theirs != ours => {
            output::warn(format_args!(
                "provium {theirs} made the recording, and this is {ours}"
            ));
        }
        _ => {}
    }
    recording
        .remarks
        .iter()
        .for_each(|remark| output::warn(printable(remark)));
}

/// Writes what was found, and says it.
fn finish(
    shrinker: &Shrinker<'_>,
    target: &Target,
    shrunk: Result<Shrunk, ShrinkError>,
    bar: &ProgressBar,
) -> anyhow::Result<Exit> {
    let test = harmless(&format!("{}: {}", text::path(&target.file), target.test));
    let shrunk = match shrunk {
        Ok(shrunk) => shrunk,
        Err(error) => {
            bar.suspend(|| output::error(format_args!("{test}: {}", harmless(&error.to_string()))));
            return Ok(Exit::Failed);
        }
    };
    let file = shrunk.write(target)?;
    let path = text::path(&file);
    let copy = Target {
        file,
        test: target.test.clone(),
    };
    let fails = shrinker.fails(&copy, &shrunk.reason)?;
    bar.suspend(|| {
        say(&test, &shrunk);
        println!("      written to {path}");
    });
    if !fails {
        output::error(format_args!(
            "{path} did not fail so when it was run: the test needs more than its faults"
        ));
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

fn say(test: &str, shrunk: &Shrunk) {
    let Shrunk {
        recording,
        needed,
        reason,
        progress,
    } = shrunk;
    let runs = counted(progress.runs as u64, "run");
    println!(
        "SHRUNK  {test} ({runs}, {:.1}s)",
        progress.took.as_secs_f64()
    );
    println!("      {reason}");
    println!(
        "      needs {} of {}:",
        needed.len(),
        counted(recording.faults() as u64, "fault")
    );
    for line in recording.describe(needed).iter().take(LISTED) {
        println!("        {}", printable(line));
    }
    let more = needed.len().saturating_sub(LISTED);
    if more > 0 {
        println!("        and {more} more");
    }
}

/// A bar only where a person looks at a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, output::progress_target());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// How far it is, in a sentence.
fn sentence(progress: &Progress) -> String {
    let runs = counted(progress.runs as u64, "run");
    let Some((left, all)) = progress.faults else {
        return format!("{runs}: waiting for it to fail");
    };
    let seconds = progress.took.as_secs_f64();
    let rate = progress.runs as f64 / seconds.max(0.001);
    // Each fault that is needed takes a bisection; most failures need one or two.
    let more = 2.0 * (left as f64 + 1.0).log2().ceil() + 2.0;
    format!(
        "{runs}: {left} of {all} faults left, {rate:.1} runs/s, about {:.0} s to go",
        more / rate.max(0.001)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_counts_rate_and_time_left() {
        let mut progress = Progress {
            runs: 20,
            faults: None,
            took: Duration::from_secs(10),
        };
        assert_eq!(sentence(&progress), "20 runs: waiting for it to fail");
        progress.faults = Some((7, 500));
        assert_eq!(
            sentence(&progress),
            "20 runs: 7 of 500 faults left, 2.0 runs/s, about 4 s to go"
        );
    }
}
