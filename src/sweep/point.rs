//! One turn of a sweep: the request that failed, and what became of the run.

use serde::{Deserialize, Serialize};

use crate::protocol::Answered;

/// A request, as a table shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `write`, `flush`.
    pub op: String,
    /// Its first sector.
    pub sector: u64,
    /// How many sectors.
    pub count: u64,
}

impl Request {
    pub(super) fn of(request: &Answered<'_>) -> Self {
        Self {
            op: request.op.name().to_owned(),
            sector: request.sector,
            count: request.count,
        }
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.count {
            0 => f.write_str(&self.op),
            count => write!(f, "{} {}+{count}", self.op, self.sector),
        }
    }
}

/// The crash states of a power cut that were checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatesFound {
    /// Those with different contents.
    pub distinct: u64,
    /// Those that the check did not like.
    pub bad: u64,
}

/// One turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Which of the requests failed, from 1.
    pub k: u64,
    /// That request; None where the trace does not show it.
    #[serde(flatten)]
    pub request: Option<Request>,
    /// Whether all was well all the same.
    pub passed: bool,
    /// The first line of what was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// All of what was wrong.
    #[serde(skip)]
    pub whole: Option<String>,
    /// How many requests of the kind this run made.
    pub requests: u64,
    /// How long it took, with going back.
    pub seconds: f64,
    /// With `states = "each"`: the crash states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<StatesFound>,
    /// What of the run is not as a sweep has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Point {
    /// The request, or what stands in its place.
    pub fn request(&self) -> String {
        let shown = self.request.as_ref().map(Request::to_string);
        shown.unwrap_or_else(|| "-".to_owned())
    }

    /// Its line in a table: the widest request has `width` characters.
    pub fn line(&self, width: usize) -> String {
        let verdict = if self.passed { "pass" } else { "FAIL" };
        let states = self
            .states
            .map(|states| format!("  {} of {} states bad", states.bad, states.distinct));
        let rest = self.error.as_ref().map(|error| format!("  {error}"));
        format!(
            "{:>6}  {:<width$}  {verdict}{}{}",
            self.k,
            self.request(),
            states.unwrap_or_default(),
            rest.unwrap_or_default()
        )
    }
}
