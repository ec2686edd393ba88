//! The engine as a whole: what is armed, asked and counted. Here is what all of its tests use.

mod counting;
mod deciding;
mod delays;
mod describing;
mod documents;
mod drawing;
mod editing;
mod errors;
mod errors_of_sectors;
mod explaining;
mod healing;
mod limit_model;
mod limits;
mod parsing;
mod remarks;
mod selecting;
mod strategies;
mod waiting;

use std::time::Duration;

use super::*;
use crate::protocol::{Errno, Remark, RuleLine};

/// When rules are armed, and requests come unless a test says otherwise.
const NOW: Duration = Duration::from_secs(100);

const EIO: Option<Decision> = Some(Decision::Error(Errno::EIO));

/// How many sectors the disk of the tests has.
const DISK_SECTORS: u64 = 2048;

/// The set of these rules, armed at [`NOW`] on a disk with the seed 7.
fn set(rules: &[&str]) -> FaultSet {
    let rules = rules.iter().map(|rule| parse_rule(rule, 1).unwrap());
    let edits: Vec<_> = rules.map(Edit::Add).collect();
    let arming = Arming {
        now: NOW,
        seed: 7,
        disk_sectors: DISK_SECTORS,
        first_id: 1,
    };
    FaultSet::default().edited(&edits, arming).unwrap()
}

/// A request of whole sectors.
fn io(op: Op, sector: u64, sectors: u64) -> IoRange {
    IoRange {
        op,
        offset: sector * 512,
        len: sectors * 512,
    }
}

/// How a new request ends at `now`, if a rule decides.
fn decide_at(set: &FaultSet, range: IoRange, now: Duration) -> Option<Decision> {
    let outcome = set.outcome(range, now, &mut RuleHits::default());
    outcome.decision.map(|(decision, _)| decision)
}

/// How a new request ends at [`NOW`], if a rule decides.
fn decide(set: &FaultSet, range: IoRange) -> Option<Decision> {
    decide_at(set, range, NOW)
}

/// Which of `reads` reads fail, counted from 1.
fn failing(set: &FaultSet, reads: u64) -> Vec<u64> {
    (1..=reads)
        .filter(|_| decide(set, io(Op::Read, 0, 1)) == EIO)
        .collect()
}

/// How the rules print.
fn names(set: &FaultSet) -> Vec<String> {
    set.rules().map(Rule::to_string).collect()
}
