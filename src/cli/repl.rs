//! `provium repl`: a Lua prompt with a booted VM.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::{Context, Editor, Helper, Highlighter, Hinter, Validator};

use super::{Exit, output};
use crate::config::{Config, DEFAULT_PROFILE};
use crate::os::folders;
use crate::script::{Evaluated, Session};
use crate::units::text::harmless;

/// Open a Lua prompt with a booted VM in the global `vm`
///
/// The prompt has all names of a test file except `t` and `test`. TAB completes, the arrow keys recall
/// earlier lines, Ctrl-C interrupts a call, Ctrl-D ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  $ provium repl
  > vm:run(\"uname -r\").stdout")]
pub(super) struct Args {
    /// A profile of provium.toml
    #[arg(value_name = "PROFILE", default_value = DEFAULT_PROFILE)]
    profile: String,
}

/// Completes names that the session knows.
#[derive(Helper, Highlighter, Hinter, Validator)]
struct Names<'a>(&'a Session);

impl Completer for Names<'_> {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.0.complete(&line[..position]))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let here = std::env::current_dir()?;
    let config = output::load_config(Config::find(&here), &here)?;
    config.profile(&args.profile)?;
    let session = Session::open(config).map_err(anyhow::Error::msg)?;
    let interrupted = session.interrupted();
    signal_hook::flag::register(libc::SIGINT, Arc::clone(&interrupted))?;
    output::note(format_args!(
        "booting profile `{}`; Ctrl-D ends",
        args.profile
    ));
    session.boot(&args.profile).map_err(anyhow::Error::msg)?;
    let history = folders::cache()?.join("repl-history");
    let mut editor = Editor::<Names<'_>, _>::new()?;
    editor.set_helper(Some(Names(&session)));
    let _ = editor.load_history(&history); // It does not exist the first time.
    let mut chunk = String::new();
    loop {
        let prompt = if chunk.is_empty() { "> " } else { ">> " };
        match editor.readline(prompt) {
            Ok(line) => chunk += &format!("{line}\n"),
            Err(ReadlineError::Interrupted) => {
                chunk.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
        interrupted.store(false, Ordering::Relaxed);
        match session.evaluate(&chunk) {
            Evaluated::Incomplete => continue,
            Evaluated::Value(text) if text.is_empty() => {}
            Evaluated::Value(text) => println!("{}", harmless(&text)),
            Evaluated::Failed(text) => eprintln!("{}", harmless(&text)),
        }
        editor.add_history_entry(chunk.trim_end())?;
        chunk.clear();
    }
    let _ = editor.save_history(&history); // The session has ended anyway.
    session.close();
    Ok(Exit::Done)
}
