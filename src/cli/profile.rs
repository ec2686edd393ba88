//! `provium profile`: writes out rules that fail as real devices do.

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::exit::UsageError;
use super::{Exit, table};
use crate::profile::{Profile, Settings, names};

/// Print rules that fail as real devices do, with the sources of their figures
///
/// The rules are a text for `provium fault --file`. `seed=` gives another random choice, and `scale=` multiplies the
/// times of phases, not latencies: with scale=0.01 fifteen minutes pass in nine seconds. Lists the profiles without a name.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  provium profile                                     list the profiles
  provium profile show ebs-increasing-latency         what it models, its sources and its rules
  provium profile ebs-increasing-latency scale=0.01 | provium fault /tmp/m/vda --file -
  provium profile flaky-link up=5s down=1s
  provium profile list --json")]
pub(super) struct Args {
    /// A profile to write out; `list`, the default; or `show`, for what a profile is
    #[arg(value_name = "NAME|list|show", value_parser = first_words(), hide_possible_values = true)]
    what: Option<String>,
    /// Settings of the profile: seed=, scale=, and what `show` says; after `show`, the name of the profile first
    #[arg(value_name = "KEY=VALUE")]
    words: Vec<String>,
    /// Print JSON: an array of profiles
    #[arg(long)]
    json: bool,
}

const LIST: &str = "list";
const SHOW: &str = "show";

fn first_words() -> PossibleValuesParser {
    PossibleValuesParser::new([LIST, SHOW].into_iter().chain(names()))
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let words = args.words.iter().map(String::as_str);
    let wrong = |text: String| Err(UsageError(text).into());
    match args.what.as_deref().unwrap_or(LIST) {
        LIST if !args.words.is_empty() => wrong("`list` takes no more words".into()),
        LIST => {
            list(args.json)?;
            Ok(Exit::Done)
        }
        _ if args.json => wrong("--json belongs to `provium profile list`".into()),
        SHOW => match words.clone().next() {
            None => wrong(
                "`show` expects the name of a profile: `provium profile list` has them".into(),
            ),
            Some(name) => show(name, words.skip(1)),
        },
        name => {
            let profile = Profile::named(name)?;
            print!("{}", text(&profile, words)?);
            Ok(Exit::Done)
        }
    }
}

/// The rules of `profile` with these settings.
fn text<'a>(profile: &Profile, words: impl Iterator<Item = &'a str>) -> Result<String, UsageError> {
    let usage = |error: crate::profile::SettingsError| UsageError(error.to_string());
    let settings = Settings::parse(words).map_err(usage)?;
    profile.text(&settings).map_err(usage)
}

fn list(as_json: bool) -> anyhow::Result<()> {
    let profiles = Profile::all();
    if as_json {
        let list: Vec<_> = profiles.iter().map(json_of).collect();
        println!("{}", serde_json::to_string_pretty(&list)?);
        return Ok(());
    }
    let row = |it: &Profile| [it.name.to_owned(), it.title.to_owned()];
    let rows: Vec<_> = profiles.iter().map(row).collect();
    table::print(["NAME", "WHAT"], &rows);
    Ok(())
}

fn json_of(profile: &Profile) -> Value {
    let parameters = profile.parameters.iter();
    let parameters: Vec<_> = parameters
        .map(|it| json!({"name": it.name, "default": it.default, "about": it.about}))
        .collect();
    json!({
        "name": profile.name,
        "title": profile.title,
        "models": profile.models,
        "sources": profile.sources,
        "chosen_here": profile.ours,
        "parameters": parameters,
    })
}

fn show<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> anyhow::Result<Exit> {
    let profile = Profile::named(name).map_err(|error| UsageError(error.to_string()))?;
    let text = text(&profile, words)?;
    println!(
        "{}: {}\n\nModels {}.\n",
        profile.name, profile.title, profile.models
    );
    println!("Settings:");
    let mut rows = vec![
        [
            "seed=1".to_owned(),
            "the seed of all random choices".to_owned(),
        ],
        [
            "scale=1".to_owned(),
            "what the times of phases are multiplied by".to_owned(),
        ],
    ];
    let own = profile.parameters.iter();
    rows.extend(own.map(|it| [format!("{}={}", it.name, it.default), it.about.to_owned()]));
    for line in table::lines(["", ""], &rows).iter().skip(1) {
        println!("  {line}");
    }
    println!("\nRules:\n\n{text}");
    Ok(Exit::Done)
}
