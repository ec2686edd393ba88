//! A run for people: one line for each test, a progress bar on a terminal, the failures in full.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use console::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failures::{Again, Failures};
use super::names::Names;
use super::places::Places;
use super::report::{Report, Reporter, Summary};
use super::sweeps;
use crate::events::{Event, KeptVm, Outcome};
use crate::os::colour;
use crate::units::text::{self, harmless, printable};

/// Writes to standard output, or to standard error when another report goes to standard output.
pub struct HumanReporter {
    bar: ProgressBar,
    to_stderr: bool,
    colour: bool,
    names: Names,
    running: Vec<String>,
    flaky: Vec<String>,
    places: Places,
    failures: Failures,
    sweep: sweeps::Progress,
    /// Tests that were not run, by the reason.
    not_run: BTreeMap<String, Vec<String>>,
}

impl HumanReporter {
    /// A bar only where a person looks at a terminal, and none if it `is_quiet`.
    pub fn new(to_stderr: bool, is_quiet: bool, again: Again) -> Self {
        let on_terminal = match to_stderr {
            true => std::io::stderr().is_terminal(),
            false => std::io::stdout().is_terminal(),
        };
        Self {
            bar: bar(on_terminal && !is_quiet, to_stderr),
            to_stderr,
            colour: colour::is_wanted(on_terminal),
            names: Names::default(),
            running: Vec::new(),
            flaky: Vec::new(),
            places: Places::default(),
            failures: Failures::new(again),
            sweep: sweeps::Progress::default(),
            not_run: BTreeMap::new(),
        }
    }

    fn paint(&self, text: &str, style: Style) -> String {
        style.force_styling(self.colour).apply_to(text).to_string()
    }

    fn say(&self, text: &str) -> io::Result<()> {
        self.bar.suspend(|| match self.to_stderr {
            true => writeln!(io::stderr(), "{text}"),
            false => writeln!(io::stdout(), "{text}"),
        })
    }

    /// One line that begins with `word`, and a text below it, which may be a guest's.
    fn entry(&self, word: &str, style: Style, line: &str, text: &str) -> io::Result<()> {
        let word = self.paint(&format!("{word:<5}"), style);
        let text = match text {
            "" => String::new(),
            text => format!("\n{}", indented(&harmless(text))),
        };
        self.say(&format!("{word} {}{text}", printable(line)))
    }

    fn event(&mut self, file: &Path, round: u32, event: &Event) -> io::Result<()> {
        self.places.note(file, event);
        self.failures.note(&self.places, file, event);
        let names = self.names;
        let name = |test: &str| names.test(file, round, test);
        let of_file = || names.file(file, round);
        match event {
            Event::Planned { tests } => {
                self.bar.inc_length(tests.len() as u64);
                Ok(())
            }
            Event::Started { test, .. } => {
                self.running.push(name(test));
                self.show_running();
                Ok(())
            }
            Event::Slow {
                test,
                seconds,
                held,
                consoles,
            } => self.slow(&name(test), *seconds, held.as_deref(), consoles),
            Event::Signalled { signal, consoles } => {
                let line = format!("{}: its process does not end", of_file());
                self.entry(signal, Style::new().red(), &line, consoles)
            }
            Event::Retried {
                test,
                attempt,
                message,
                seconds,
                ..
            } => self.retried(&name(test), *attempt, message, *seconds),
            Event::Finished {
                test,
                outcome,
                seconds,
                attempts,
                ..
            } => self.finished(name(test), outcome, *seconds, *attempts),
            Event::FileFailed { message, .. } => self.failed(&of_file(), message),
            Event::FileNotRun { .. } | Event::Vm { .. } => Ok(()),
            Event::Kept { process, vms } => self.kept(file, *process, vms),
            Event::Preparing {
                what,
                percent,
                is_first,
                ..
            } => self.preparing(&of_file(), what, *percent, *is_first),
            Event::Log { text } => self.log(&of_file(), text),
            Event::SweepPoint { .. } | Event::Swept { .. } => self.sweep(&of_file(), event),
        }
    }

    fn slow(&self, name: &str, seconds: f64, held: Option<&str>, consoles: &str) -> io::Result<()> {
        let line = format!("{name} (runs for {seconds:.0}s)");
        // A request that is held explains more than a console does.
        self.entry(
            "SLOW",
            Style::new().yellow(),
            &line,
            held.unwrap_or(consoles),
        )
    }

    fn retried(&mut self, name: &str, attempt: u32, message: &str, seconds: f64) -> io::Result<()> {
        self.ended_running(name);
        let line = format!("{name} (try {attempt} failed, {seconds:.2}s)");
        self.entry("RETRY", Style::new().yellow(), &line, message)
    }

    fn failed(&self, line: &str, message: &str) -> io::Result<()> {
        self.entry("FAIL", Style::new().red().bold(), line, message)
    }

    /// A line when it begins; on a terminal, the bar shows how much is done.
    fn preparing(
        &self,
        file: &str,
        what: &str,
        percent: Option<f64>,
        is_first: bool,
    ) -> io::Result<()> {
        match percent {
            Some(done) if done >= 100.0 => self.show_running(),
            Some(done) => self
                .bar
                .set_message(format!("{done:.0} % {}", printable(what))),
            None => self
                .bar
                .set_message(format!("another run is {}", printable(what))),
        }
        match is_first {
            true => self.log(
                file,
                &format!("{what}, once: time limits do not run meanwhile"),
            ),
            false => Ok(()),
        }
    }

    /// On a terminal, the bar shows how far a sweep has come; a line says what it has found.
    fn sweep(&mut self, file: &str, event: &Event) -> io::Result<()> {
        match self.sweep.note(event, Instant::now()) {
            Some(progress) => self.bar.set_message(progress),
            None => self.show_running(),
        }
        match (event, sweeps::line(event)) {
            (Event::Swept { notes, seconds, .. }, Some(line)) => {
                let notes = notes.iter().map(|note| format!("\nnote: {note}"));
                let notes: String = notes.collect();
                self.log(file, &format!("{line} in {seconds:.1}s{notes}"))
            }
            _ => Ok(()),
        }
    }

    fn log(&self, file: &str, text: &str) -> io::Result<()> {
        self.say(&indented(&format!("{file}: {}", harmless(text))))
    }

    fn finished(
        &mut self,
        name: String,
        outcome: &Outcome,
        seconds: f64,
        attempts: u32,
    ) -> io::Result<()> {
        self.ended_running(&name);
        self.bar.inc(1);
        let took = format!("{name} ({seconds:.2}s)");
        match outcome {
            Outcome::Passed if attempts > 1 => {
                let line = format!("{name} ({seconds:.2}s, passed at try {attempts})");
                self.entry("FLAKY", Style::new().yellow().bold(), &line, "")?;
                self.flaky.push(name);
                Ok(())
            }
            Outcome::Passed => self.entry("PASS", Style::new().green(), &took, ""),
            Outcome::Skipped { reason } => {
                let line = format!("{name}: {reason}");
                self.entry("SKIP", Style::new().yellow(), &line, "")
            }
            Outcome::Failed { message } => self.failed(&took, message),
            Outcome::NotRun { reason } => {
                let names = self.not_run.entry(reason.clone()).or_default();
                names.push(name);
                Ok(())
            }
        }
    }

    fn kept(&self, file: &Path, process: u32, vms: &[KeptVm]) -> io::Result<()> {
        for vm in vms {
            let line = format!("vm `{}` of {}", vm.name, text::path(file));
            let folder = text::path(&vm.folder);
            let socket = format!("console  provium console {folder}/console.sock\n");
            // A test that is stuck offers its console only once it goes on.
            let has_socket = vm.folder.join("console.sock").exists();
            let socket = if has_socket { &socket } else { "" };
            let text = format!(
                "disks    provium status {folder}/mnt\n\
                 {socket}\
                 log      {folder}/console.log\n\
                 end it   kill {process}"
            );
            self.entry("KEPT", Style::new().cyan(), &line, &text)?;
        }
        Ok(())
    }

    fn ended_running(&mut self, name: &str) {
        self.running.retain(|other| other != name);
        self.show_running();
    }

    fn show_running(&self) {
        self.bar.set_message(self.running.join(", "));
    }

    fn ended(&self, summary: &Summary) -> io::Result<()> {
        self.bar.finish_and_clear();
        for line in self.failures.lines() {
            self.say(&line)?;
        }
        for name in &self.flaky {
            self.entry("FLAKY", Style::new().yellow().bold(), name, "")?;
        }
        let stopped = summary.stopped.as_ref();
        for (reason, names) in &self.not_run {
            // One line says why the whole run was stopped.
            if stopped.is_none_or(|stopped| stopped.reason != *reason) {
                self.entry("NOT RUN", Style::new().yellow(), reason, &names.join("\n"))?;
            }
        }
        if let Some(stopped) = stopped {
            self.say(&printable(&stopped.to_string()))?;
        }
        self.say(&format!("in {:.1}s:", summary.took.as_secs_f64()))?;
        self.say(&counts(summary))
    }
}

/// The last line of a run.
fn counts(summary: &Summary) -> String {
    let Summary {
        passed,
        flaky,
        failed,
        skipped,
        not_run,
        files_not_run,
        ..
    } = summary;
    let mut line = format!("{passed} passed, {failed} failed, {skipped} skipped");
    if *flaky > 0 {
        line += &format!(", {flaky} flaky");
    }
    if *not_run > 0 {
        line += &format!(", {not_run} not run");
    }
    if *files_not_run > 0 {
        let word = if *files_not_run == 1 { "file" } else { "files" };
        line += &format!(", {files_not_run} {word} not run");
    }
    line
}

impl Reporter for HumanReporter {
    fn report(&mut self, report: &Report) -> io::Result<()> {
        match report {
            Report::Began { seed, rounds, .. } => {
                self.names = Names::new(*rounds);
                seed.map_or(Ok(()), |seed| {
                    self.say(&format!(
                        "shuffled: --shuffle={seed} gives this order again"
                    ))
                })
            }
            Report::Event(file, round, event) => self.event(file, *round, event),
            Report::Output(file, round, text) => {
                let line = format!("{} printed:", self.names.file(file, *round));
                self.entry("----", Style::new(), &line, text)
            }
            Report::Ended(summary) => self.ended(summary),
        }
    }
}

/// A progress bar; hidden where there is no terminal.
fn bar(terminal: bool, to_stderr: bool) -> ProgressBar {
    let target = match (terminal, to_stderr) {
        (true, true) => ProgressDrawTarget::stderr(),
        (true, false) => ProgressDrawTarget::stdout(),
        (false, _) => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} [{elapsed}] {wide_msg}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Characters of a line that are shown of its beginning and of its end, if it is longer than both together.
const LINE: [usize; 2] = [300, 200];

fn indented(text: &str) -> String {
    let line = |line| format!("      {}", text::without_middle(line, LINE[0], LINE[1]));
    let lines: Vec<_> = text.lines().map(line).collect();
    lines.join("\n")
}
