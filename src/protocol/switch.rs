//! What `rules` takes: whether armed rules act.

use std::fmt;
use std::str::FromStr;

use super::line::BadLine;

/// Whether armed rules act on requests and count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// They do.
    #[default]
    On,
    /// They let all requests pass, such as those of a program that probes a disk before its user has it.
    Off,
}

impl Switch {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Switch {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(BadLine::new("`on` or `off`", text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switch_is_parsed_as_it_is_printed() {
        for switch in [Switch::On, Switch::Off] {
            assert_eq!(switch.to_string().parse(), Ok(switch));
        }
        assert!("of".parse::<Switch>().is_err());
    }
}
