//! Why a rule does not act on a request, in words.

use std::time::Duration;

use super::{Client, Ops};
use crate::units::duration::show_duration;
use crate::units::{counted, ordinal};

/// Why a rule does not act on a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The texts say it.
pub enum Why {
    #[error("it is for {0} alone")]
    Op(Ops),
    #[error("the request touches none of its sectors")]
    At,
    #[error("it is for requests with client={} alone", .0.name())]
    Client(Client),
    #[error("the request's length of {} is outside its size=", counted(*.0, "byte"))]
    Size(u64),
    #[error("it begins {} from now", show_duration(*.0))]
    After(Duration),
    #[error("its time is over")]
    Over,
    #[error("it is in the down= part of its cycle")]
    Down,
    #[error("no rule with the tag `{0}` has fired")]
    When(String),
    #[error("it passes over {}", counted(*.0, "more request"))]
    Skip(u64),
    #[error("it takes every {}{}, and this is number {number}", ordinal(*every), after(*skip))]
    Every {
        every: u64,
        /// The requests that match and that it has passed over before.
        skip: u64,
        /// Of the requests that match, from 1.
        number: u64,
    },
    #[error("its random draw (p=) is against it")]
    Probability,
    #[error("it has fired as often as it may")]
    Times,
    #[error("an earlier rule decides: {0}")]
    Decided(String),
    #[error("it is not asked about this request any more")]
    Counted,
}

/// The matching requests that do not count for `every=`.
fn after(skip: u64) -> String {
    match skip {
        0 => String::new(),
        1 => " after the first".to_owned(),
        _ => format!(" after the first {skip}"),
    }
}
