//! `--show-sectors`: the sectors of rules, for scripts.

use serde::Serialize;
use serde_json::Value;

use crate::cli::rule_json::sectors_json;
use crate::cli::target::Target;
use crate::client::{ClientError, DiskControl};
use crate::fault::{Sectors, parse_rule};
use crate::protocol::RuleLine;

/// Ranges of sectors, as the first with how many.
type Ranges = Vec<(u64, u64)>;

/// A disk, as JSON has it.
#[derive(Serialize)]
struct DiskSectors {
    id: String,
    rules: Vec<RuleSectors>,
}

/// A rule with sectors of its own.
#[derive(Serialize)]
struct RuleSectors {
    text: String,
    sectors: Vec<Value>,
}

/// Prints the sectors of each rule that is not for all of the disk; of those that heal, what is left bad.
pub(super) fn show(target: &Target, json: bool) -> anyhow::Result<()> {
    let mut disks = Vec::new();
    for disk in target.disks()? {
        let rules = rules(&disk)?;
        if !json {
            let before = target.name_before(&disk);
            let all = rules.iter().flat_map(|(_, sectors)| sectors);
            all.for_each(|(start, count)| println!("{before}{start} {count}"));
        }
        let rules = rules.into_iter().map(|(text, sectors)| RuleSectors {
            text,
            sectors: sectors.iter().map(sectors_json).collect(),
        });
        disks.push(DiskSectors {
            id: disk.id().to_owned(),
            rules: rules.collect(),
        });
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&disks)?);
    }
    Ok(())
}

/// The texts of rules with sectors of their own, and these.
fn rules(disk: &DiskControl) -> Result<Vec<(String, Ranges)>, ClientError> {
    let lines = disk.rules()?.into_iter();
    Ok(lines
        .filter_map(|line| sectors(&line).map(|sectors| (line.rule, sectors)))
        .collect())
}

fn sectors(line: &RuleLine) -> Option<Ranges> {
    if let Some(bad) = &line.bad {
        return Some(bad.clone());
    }
    let rule = parse_rule(&line.rule, 1).ok()?;
    let fixed = rule.at.iter().filter_map(|at| at.fixed());
    let ranges: Vec<_> = fixed
        .map(|Sectors { start, count }| (start, count))
        .collect();
    (!ranges.is_empty()).then_some(ranges)
}
