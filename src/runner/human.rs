//! A run for people: a line a test, a progress bar on a terminal, the failures in full.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use console::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Event, Outcome, Report, Reporter, Summary};

/// Draws to standard output.
pub struct HumanReporter {
    bar: ProgressBar,
    colour: bool,
    running: Vec<String>,
}

impl HumanReporter {
    /// A bar and colour only where a person looks at a terminal; no colour with `NO_COLOR`.
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let target = match terminal {
            true => ProgressDrawTarget::stdout(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {pos}/{len} [{elapsed}] {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            bar,
            colour: terminal && !no_colour,
            running: Vec::new(),
        }
    }

    fn paint(&self, text: &str, style: Style) -> String {
        style.force_styling(self.colour).apply_to(text).to_string()
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    fn event(&mut self, file: &Path, event: &Event) {
        match event {
            Event::Planned { tests } => self.bar.inc_length(tests.len() as u64),
            Event::Started { test, .. } => {
                self.running.push(name(file, test));
                self.show_running();
            }
            Event::Finished {
                test,
                outcome,
                seconds,
            } => self.finished(&name(file, test), outcome, *seconds),
            Event::FileFailed { message } => {
                self.failed(&file.display().to_string(), message, None);
            }
            Event::Log { text } => self.say(&format!("      {}: {text}", file.display())),
            Event::Vm { .. } => {}
        }
    }

    fn finished(&mut self, name: &str, outcome: &Outcome, seconds: f64) {
        self.running.retain(|other| other != name);
        self.show_running();
        self.bar.inc(1);
        match outcome {
            Outcome::Passed => {
                let word = self.paint("PASS", Style::new().green());
                self.say(&format!("{word}  {name} ({seconds:.2}s)"));
            }
            Outcome::Skipped { reason } => {
                let word = self.paint("SKIP", Style::new().yellow());
                self.say(&format!("{word}  {name}: {reason}"));
            }
            Outcome::Failed { message } => self.failed(name, message, Some(seconds)),
        }
    }

    fn failed(&self, name: &str, message: &str, seconds: Option<f64>) {
        let word = self.paint("FAIL", Style::new().red().bold());
        let took = seconds.map_or(String::new(), |seconds| format!(" ({seconds:.2}s)"));
        self.say(&format!("{word}  {name}{took}\n{}", indented(message)));
    }

    fn show_running(&self) {
        self.bar.set_message(self.running.join(", "));
    }

    fn ended(&self, summary: &Summary) {
        self.bar.finish_and_clear();
        let Summary {
            passed,
            failed,
            skipped,
            took,
        } = summary;
        println!("in {:.1}s:", took.as_secs_f64());
        println!("{passed} passed, {failed} failed, {skipped} skipped");
    }
}

impl Default for HumanReporter {
    fn default() -> Self {
        Self::new()
    }
}

impl Reporter for HumanReporter {
    fn report(&mut self, report: &Report) {
        match report {
            Report::Files(_) => {}
            Report::Event(file, event) => self.event(file, event),
            Report::Output(file, text) => {
                self.say(&format!(
                    "----  {} printed:\n{}",
                    file.display(),
                    indented(text)
                ));
            }
            Report::Ended(summary) => self.ended(summary),
        }
    }
}

fn name(file: &Path, test: &str) -> String {
    format!("{}: {test}", file.display())
}

fn indented(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("      {line}")).collect();
    lines.join("\n")
}
