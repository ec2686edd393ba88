//! The armed rules of disks: as text, with counters, or as JSON.

use serde::Serialize;

use crate::cli::rule_json::ArmedJson;
use crate::cli::target::Target;
use crate::client::{ClientError, DiskControl};

/// A disk, as JSON has it.
#[derive(Serialize)]
struct DiskRules {
    id: String,
    /// Whether `ctl/ID/rules` says `off`.
    are_rules_off: bool,
    rules: Vec<ArmedJson>,
}

impl DiskRules {
    fn of(disk: &DiskControl) -> Result<Self, ClientError> {
        Ok(Self {
            id: disk.id().to_owned(),
            are_rules_off: disk.are_rules_off()?,
            rules: disk.rules()?.into_iter().map(ArmedJson::from).collect(),
        })
    }
}

/// Prints the rules of `target`; `with_counters`, as `rules` has them.
pub(super) fn show(target: &Target, with_counters: bool, json: bool) -> anyhow::Result<()> {
    let disks = target.disks()?;
    if json {
        let disks: Result<Vec<_>, _> = disks.iter().map(DiskRules::of).collect();
        println!("{}", serde_json::to_string_pretty(&disks?)?);
        return Ok(());
    }
    for disk in &disks {
        let lines = match with_counters {
            true => disk.rules()?.iter().map(ToString::to_string).collect(),
            false => disk.faults()?,
        };
        for line in lines {
            println!("{}{line}", target.name_before(disk));
        }
    }
    Ok(())
}
