//! `provium man`: the manual pages, from the command line's own help, one table, and the pages of docs/.

mod markdown;
mod pages;
mod roff;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap_mangen::Man;

use super::Exit;
use super::exit::{MEANINGS, UsageError};
use pages::PAGES;
use roff::Roff;
use table::{Extra, FILES, VARIABLES, extra_of};

/// Write the manual pages: one per command, and those of files and rules
///
/// In a folder called `man1`, as below /usr/share/man, only the pages of commands stay; those of the sections 5, 7
/// and 8 go to its neighbours.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  provium man ~/.local/share/man/man1 && man provium-test")]
pub(super) struct Args {
    /// The folder; created if it is missing
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// A manual page.
struct Page {
    name: String,
    section: u8,
    text: String,
}

pub(super) fn run(args: &Args, command: clap::Command) -> anyhow::Result<Exit> {
    let write = || {
        for page in all(command)? {
            let folder = folder_of(&args.folder, page.section);
            std::fs::create_dir_all(&folder)?;
            let file = folder.join(format!("{}.{}", page.name, page.section));
            std::fs::write(file, page.text)?;
        }
        std::io::Result::Ok(())
    };
    if args.folder.exists() && !args.folder.is_dir() {
        let text = format!("{} is not a folder", args.folder.display());
        return Err(UsageError(text).into());
    }
    write().with_context(|| format!("cannot write the man pages to {}", args.folder.display()))?;
    Ok(Exit::Done)
}

/// Where pages of `section` go, if those of commands go to `folder`.
fn folder_of(folder: &Path, section: u8) -> PathBuf {
    match folder.file_name() {
        Some(name) if name == "man1" => folder.with_file_name(format!("man{section}")),
        _ => folder.to_owned(),
    }
}

fn all(command: clap::Command) -> std::io::Result<Vec<Page>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut all = Vec::new();
    add_commands(&command, &mut all)?;
    all.extend(PAGES.iter().map(|page| Page {
        name: page.name.to_owned(),
        section: page.section,
        text: page.text(),
    }));
    Ok(all)
}

/// The texts of the pages of commands, with their names.
#[cfg(test)]
pub(super) fn texts(command: clap::Command) -> std::io::Result<Vec<String>> {
    let pages = all(command)?.into_iter();
    let pages = pages.filter(|page| page.section == 1);
    Ok(pages.map(|page| page.name + &page.text).collect())
}

/// The page of a command, and those of its visible commands.
fn add_commands(command: &clap::Command, all: &mut Vec<Page>) -> std::io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    all.push(Page {
        name: name.to_owned(),
        section: 1,
        text: of_command(command, name)?,
    });
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        add_commands(one, all)?;
    }
    Ok(())
}

fn of_command(command: &clap::Command, name: &str) -> std::io::Result<String> {
    let extra = extra_of(name);
    let man = Man::new(command.clone()).manual("Provium");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.get_subcommands().any(|one| !one.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::default();
    if let Some(examples) = examples(command) {
        roff.section("EXAMPLES");
        roff.literal(&examples);
    }
    roff.section("EXIT STATUS");
    for (code, meaning) in MEANINGS
        .iter()
        .filter(|(code, _)| *code != 4 || extra.runs_tests)
    {
        roff.entry(&code.to_string(), meaning);
    }
    add_files(&mut roff, &extra);
    add_variables(&mut roff, command, &extra);
    roff.section("SEE ALSO");
    roff.see_also(&[extra.see_also, &["provium(1)"]].concat(), name);
    Ok(String::from_utf8_lossy(&text).into_owned() + &roff.text())
}

/// The examples of a command's help, without the words around them.
pub(super) fn examples(command: &clap::Command) -> Option<String> {
    let help = command.get_after_help()?.to_string();
    let (_, after) = help.split_once("Example")?;
    let (_, after) = after.split_once(":\n")?;
    let lines = after.lines().take_while(|line| !line.is_empty());
    Some(lines.map(|line| format!("{line}\n")).collect())
}

fn add_files(roff: &mut Roff, extra: &Extra) {
    let files = FILES.iter().filter(|(name, _)| extra.files.contains(name));
    for (at, (name, what)) in files.enumerate() {
        if at == 0 {
            roff.section("FILES");
        }
        roff.entry(name, what);
    }
}

/// The variables that all commands read, and those of this one's options.
fn add_variables(roff: &mut Roff, command: &clap::Command, extra: &Extra) {
    roff.section("ENVIRONMENT");
    for argument in command.get_arguments().filter(|it| !it.is_hide_set()) {
        if let (Some(name), Some(long)) = (argument.get_env(), argument.get_long()) {
            let text = format!("the value of `--{long}` where the command line has none");
            roff.entry(&name.to_string_lossy(), &text);
        }
    }
    for (name, what) in VARIABLES {
        if extra.variables.contains(&name) || name.contains("COLOR") {
            roff.entry(name, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    fn pages() -> Vec<Page> {
        all(Cli::command()).unwrap()
    }

    #[test]
    fn page_of_each_command_has_all_sections_and_its_help() {
        for page in pages().iter().filter(|page| page.section == 1) {
            for section in [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "EXIT STATUS",
                "ENVIRONMENT",
                "SEE ALSO",
            ] {
                let heading = format!("\n.SH {section}").replace(' ', " ");
                let quoted = format!("\n.SH \"{section}\"");
                assert!(
                    page.text.contains(&heading) || page.text.contains(&quoted),
                    "{}: {section}",
                    page.name
                );
            }
        }
        let mount = pages()
            .into_iter()
            .find(|page| page.name == "provium-mount")
            .unwrap();
        for part in ["\n.SH \"EXAMPLES\"", "\n.SH \"FILES\"", "PROVIUM\\_LOG"] {
            assert!(
                mount
                    .text
                    .replace("PROVIUM_LOG", "PROVIUM\\_LOG")
                    .contains(part),
                "{part}"
            );
        }
    }

    #[test]
    fn pages_refer_to_pages_that_exist() {
        let pages = pages();
        let names: BTreeSet<_> = pages
            .iter()
            .map(|page| format!("{}({})", page.name, page.section))
            .collect();
        for page in &pages {
            let (_, also) = page.text.rsplit_once("SEE ALSO").unwrap();
            let plain = also
                .replace("\\fB", "")
                .replace("\\fR", "")
                .replace("\\-", "-");
            for word in plain
                .split([',', '\n', ' ', '"'])
                .filter(|word| word.ends_with(')'))
            {
                let ours = word.contains("provium");
                assert!(!ours || names.contains(word), "{}: {word}", page.name);
            }
        }
    }

    #[test]
    fn pages_of_other_sections_go_beside_a_folder_called_man1() {
        let beside = |folder: &str| folder_of(Path::new(folder), 5).display().to_string();
        assert_eq!(beside("/usr/share/man/man1"), "/usr/share/man/man5");
        assert_eq!(beside("/tmp/all"), "/tmp/all");
    }
}
