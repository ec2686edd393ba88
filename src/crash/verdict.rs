//! What a checker says of a state, and of which other states that is true as well.
//!
//! A checker that is given the same answers does the same. So a state that agrees with a checked one in all
//! sectors that its checker has read has the same verdict, and needs no check.

use std::collections::HashMap;
use std::fmt;

use super::content::Content;
use super::deltas::Deltas;
use super::history::History;
use super::sectors::Sectors;

/// Most sets of sectors that are compared.
const MOST_SETS: usize = 512;

/// What a checker says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It exited with 0.
    Good,
    /// It exited with another code, was ended by a signal or took too long.
    Bad(Failure),
}

/// How a checker failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// What it exited with; None for a signal and for a time-out.
    pub code: Option<i32>,
    /// `exit code 1`, `signal 9`, `no answer within 60 s`.
    pub how: String,
    /// What it printed, with `{}` where the path of the state stood.
    pub output: String,
}

/// Prints how it failed, then on lines of its own what it printed.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.how)?;
        match self.output.trim_end() {
            "" => Ok(()),
            output => write!(f, "\n{output}"),
        }
    }
}

impl Verdict {
    /// Whether a state is as it should be.
    pub fn is_good(&self) -> bool {
        *self == Self::Good
    }

    /// The exit code, if there was one.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Good => Some(0),
            Self::Bad(failure) => failure.code,
        }
    }
}

/// The sum of what a checker has read, and the step of the mark that it was given.
type Key = (u128, Option<usize>);

/// The verdicts so far, by what their checkers have read.
#[derive(Debug, Default)]
pub struct Verdicts(Vec<(Sectors, HashMap<Key, Verdict>)>);

impl Verdicts {
    /// That of a state with `content` after `mark`, if a checker would read what another one has read.
    pub fn of(
        &self,
        content: &Content,
        mark: Option<usize>,
        history: &History,
        deltas: &Deltas,
    ) -> Option<&Verdict> {
        let mut known = self.0.iter();
        let key = |read| (sum_of(read, content, history, deltas), mark);
        known.find_map(|(read, verdicts)| verdicts.get(&key(read)))
    }

    /// Learns the verdict of a state with `content` after `mark`, whose checker has read `read`.
    pub fn learn(
        &mut self,
        read: Sectors,
        verdict: Verdict,
        content: &Content,
        mark: Option<usize>,
        history: &History,
        deltas: &Deltas,
    ) {
        let key = (sum_of(&read, content, history, deltas), mark);
        let has_room = self.0.len() < MOST_SETS;
        match self.0.iter_mut().find(|(known, _)| *known == read) {
            Some((_, verdicts)) => {
                verdicts.insert(key, verdict);
            }
            None if has_room => self.0.push((read, HashMap::from([(key, verdict)]))),
            None => {}
        }
    }
}

/// Whether two contents agree in the sectors `read`.
pub fn agree(read: &Sectors, contents: [&Content; 2], history: &History, deltas: &Deltas) -> bool {
    let [one, other] = contents.map(|content| sum_of(read, content, history, deltas));
    one == other
}

/// The sum of `content` in the sectors `read`.
fn sum_of(read: &Sectors, content: &Content, history: &History, deltas: &Deltas) -> u128 {
    let mut sum = 0_u128;
    for range in read.ranges() {
        for (part, request) in content.segments(&range) {
            if let Some(request) = request {
                let start = history.requests[request].sectors.start;
                sum = sum.wrapping_add(deltas.of_part(request, start, &part));
            }
        }
    }
    sum
}
