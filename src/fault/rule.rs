//! One rule: an action and the requests that it acts on.

use std::fmt;
use std::time::Duration;

use super::{Errno, Mode, Ops};
use crate::duration::show_duration;

/// What a rule does to a request that it matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The request fails with this error number, and the image is not touched.
    Error(Errno),
    /// The request waits this long before it is served.
    Delay(Duration),
}

/// An action and its selectors. Two rules are equal when they do the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What happens.
    pub action: Action,
    /// The kinds of request it happens to.
    pub ops: Ops,
    /// How long after it was armed it begins to act.
    pub after: Duration,
}

/// Prints the text that parses back to an equal rule: the mode's name where the rule is one.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Mode::of(self), &self.action) {
            (Some(mode), _) => f.write_str(mode.name())?,
            (None, Action::Error(errno)) => write!(f, "error op={} errno={errno}", self.ops)?,
            (None, Action::Delay(by)) => {
                write!(f, "delay op={} by={}", self.ops, show_duration(*by))?;
            }
        }
        if !self.after.is_zero() {
            write!(f, " after={}", show_duration(self.after))?;
        }
        Ok(())
    }
}
