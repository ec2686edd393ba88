//! A line of `damage`: what a rule did to the image.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::line::BadLine;

/// A line of `damage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DamageLine<'a> {
    /// Sectors that are not as they were written. Prints as `SECTOR COUNT WHAT RULE`.
    Sectors {
        /// The first.
        sector: u64,
        /// How many.
        count: u64,
        /// What happened to them, in one word.
        what: Cow<'a, str>,
        /// The rule that did it, as shown.
        rule: Cow<'a, str>,
    },
    /// This many more ranges are damaged and not listed. Prints as `# N more are not listed`.
    Unlisted(u64),
}

const UNLISTED: &str = " more are not listed";

impl fmt::Display for DamageLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sectors {
                sector,
                count,
                what,
                rule,
            } => write!(f, "{sector} {count} {what} {rule}"),
            Self::Unlisted(number) => write!(f, "# {number}{UNLISTED}"),
        }
    }
}

impl FromStr for DamageLine<'static> {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let parse = || {
            if let Some(rest) = line.strip_prefix("# ") {
                return Some(Self::Unlisted(rest.strip_suffix(UNLISTED)?.parse().ok()?));
            }
            let mut words = line.splitn(4, ' ');
            Some(Self::Sectors {
                sector: words.next()?.parse().ok()?,
                count: words.next()?.parse().ok()?,
                what: words.next()?.to_owned().into(),
                rule: words.next()?.to_owned().into(),
            })
        };
        parse().ok_or_else(|| BadLine::new("a line of `damage`", line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_line_is_parsed_as_it_is_printed() {
        for text in [
            "11 2 torn tear op=write keep=3 then=ok",
            "0 18014398509481984 not-written misdirect shift=8",
            "# 7 more are not listed",
        ] {
            let line: DamageLine<'_> = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
        }
        for bad in ["", "1 2 lost", "x 2 lost lose", "# more are not listed"] {
            assert!(bad.parse::<DamageLine<'_>>().is_err(), "{bad}");
        }
    }
}
