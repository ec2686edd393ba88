//! The command line: from clap's types to calls, and from results to exit codes.

mod bench;
mod checkpoint;
mod completions;
mod console;
mod decisions;
mod disks;
mod doctor;
mod durability;
mod exit;
mod fault;
mod guest;
mod help;
mod host;
mod init;
mod man;
mod mark;
mod mount;
mod number;
mod output;
mod power;
mod private_mount;
mod profile;
mod record;
mod repl;
mod rule_json;
mod run;
mod sectors;
mod states;
mod status;
mod sweep;
mod table;
mod target;
mod test;
mod test_html;
mod test_options;
mod test_shrink;
mod top;
mod trace;
mod umount;
mod usage;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::Exit;

use crate::os::sys;
use crate::runner;

/// A disk that fails on cue: serves disk images as files, and arms faults while they are in use
#[derive(Debug, Parser)]
#[command(name = "provium", version, max_term_width = 100, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: output::Args,
}

const EXAMPLES: &str = "\
Examples:
  provium mount /tmp/m --disk vda=disk.img      serve disk.img as /tmp/m/vda
  echo eio_read > /tmp/m/ctl/vda/faults         from now on its reads fail
  provium fault /tmp/m/vda --clear              and now they succeed again
  provium power /tmp/m cut                      cut the power of all its disks
  provium top /tmp/m                            show live what its disks do
  provium umount /tmp/m
  provium test examples/                        run Lua tests against real guests
  provium help rules                            how faults are written

Exit codes: 0 done, 1 failed, 2 wrong usage, configuration, rule or ID, 4 no tests matched.";

#[derive(Debug, Subcommand)]
enum Command {
    Mount(mount::Args),
    Umount(umount::Args),
    Attach(disks::AttachArgs),
    Detach(disks::DetachArgs),
    Run(run::Args),
    Fault(fault::Args),
    Profile(profile::Args),
    Power(power::Args),
    Checkpoint(checkpoint::Args),
    Record(record::Args),
    Mark(mark::Args),
    Status(status::Args),
    Top(top::Args),
    Trace(trace::Args),
    Decisions(decisions::Args),
    States(Box<states::Args>),
    #[command(hide = true)]
    StateServer(states::ServerArgs),
    Sectors(sectors::Args),
    Sweep(Box<sweep::Args>),
    #[command(hide = true)]
    RunSweep(Box<sweep::Args>),
    Test(Box<test_options::Args>),
    #[command(hide = true)]
    TestFile(test::FileArgs),
    Bench(bench::Args),
    Init(init::Args),
    Repl(repl::Args),
    Console(console::Args),
    Guest(guest::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
    Help(help::Args),
}

/// Prints a panic. A standard output that cannot be written is not a bug, and gets a sentence.
fn report_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let text = panic.payload().downcast_ref::<String>();
    let printing = text.and_then(|text| text.split_once("failed printing to stdout: "));
    if let Some((_, why)) = printing {
        eprintln!("provium: cannot write to standard output: {why}");
        std::process::exit(i32::from(Exit::Failed as u8));
    }
    eprintln!("provium: this is a bug, please report it: {panic}");
}

impl Command {
    /// Whether it only prints: it may end when its reader does.
    fn is_filter(&self) -> bool {
        matches!(
            self,
            Self::Fault(_)
                | Self::Profile(_)
                | Self::Power(_)
                | Self::Checkpoint(_)
                | Self::Record(_)
                | Self::Status(_)
                | Self::Top(_)
                | Self::Trace(_)
                | Self::Decisions(_)
                | Self::Guest(_)
                | Self::Sectors(_)
                | Self::Doctor(_)
                | Self::Completions(_)
                | Self::Help(_)
        )
    }
}

/// The words of a command line; `provium PATH ...` is `provium test PATH ...`.
fn with_command(mut words: Vec<OsString>) -> Vec<OsString> {
    let is_path = |word: &OsString| {
        let is_command = Cli::command()
            .get_subcommands()
            .any(|it| it.get_name() == word);
        let path = Path::new(word);
        !is_command && (path.exists() || runner::is_test_file(path))
    };
    let first = 1 + output::leading_options(words.get(1..).unwrap_or_default());
    if words.get(first).is_some_and(is_path) {
        words.insert(first, "test".into());
    }
    words
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_panic));
    let words = with_command(std::env::args_os().collect());
    let color = output::set_colours(&words);
    let mut whole = help::grouped(Cli::command().color(color));
    let matches = whole.try_get_matches_from_mut(&words);
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    let Cli { command, output } =
        parsed.unwrap_or_else(|error| usage::exit(error, &Cli::command(), &words));
    output.set();
    if command.is_filter() {
        sys::end_with_reader();
    }
    let result = match command {
        Command::Mount(args) => mount::run(args),
        Command::Umount(args) => umount::run(&args),
        Command::Attach(args) => disks::attach(&args),
        Command::Detach(args) => disks::detach(&args),
        Command::Run(args) => return run_command(&args),
        Command::Fault(args) => fault::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Power(args) => power::run(&args),
        Command::Checkpoint(args) => checkpoint::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Mark(args) => mark::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Decisions(args) => decisions::run(&args),
        Command::States(args) => states::run(&args),
        Command::StateServer(args) => states::run_server(args),
        Command::Sectors(args) => sectors::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::RunSweep(args) => sweep::run_worker(&args),
        Command::Test(args) => test::run(&args),
        Command::TestFile(args) => test::run_file(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Repl(args) => repl::run(&args),
        Command::Console(args) => console::run(&args),
        Command::Guest(args) => guest::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => {
            completions::run(&args, &Cli::command());
            Ok(Exit::Done)
        }
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::Help(args) => help::run(&args, Cli::command().color(color)),
    };
    let exit = result.unwrap_or_else(|error| {
        output::error(format_args!("{error:#}"));
        exit::of(&error)
    });
    exit.into()
}

/// Runs somebody else's command, the exit code of which is ours.
fn run_command(args: &run::Args) -> ExitCode {
    let code = run::run(args).unwrap_or_else(|error| {
        output::error(format_args!("{error:#}"));
        match exit::of(&error) {
            Exit::Usage => Exit::Usage as u8,
            _ => exit::RUN_FAILED,
        }
    });
    code.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_in_the_place_of_a_command_is_tested() {
        let words = |line: &str| with_command(line.split(' ').map(OsString::from).collect());
        let is_test = |line: &str| words(line)[1] == "test";
        assert!(is_test("provium src -j 1"));
        assert!(is_test("provium ./src/cli/mod.rs"));
        assert!(is_test("provium no/such.test.lua"));
        assert_eq!(words("provium test src").len(), 3);
        for line in [
            "provium",
            "provium --version",
            "provium mount x",
            "provium moutn src",
            "provium help",
        ] {
            assert_eq!(words(line).join(" ".as_ref()), *line);
        }
    }

    #[test]
    fn command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
