//! The one grammar for faults: what a shell echoes, the command line passes and Lua names.
//!
//! A text is lines; a line is a rule (armed), `!` and a rule or a tag (removed), or blank (nothing).
//! A rule is a mode or an action, and `key=value` words.

use crate::units::nearest;
use std::time::Duration;

use super::{Action, HANG_MAX, How, Mode, Op, Ops, Probability, Rule, Sectors, SizeRange, Then};
use crate::protocol::{BadErrno, Errno};
use crate::units::duration::parse_duration;
use crate::units::size::parse_size;

/// One change to a fault set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Arms the rule, after those that are armed already.
    Add(Rule),
    /// Takes the rule away; nothing happens when it is not armed.
    Remove(Rule),
    /// Takes the rules with this tag away.
    RemoveTag(String),
}

/// Why a text is not a list of edits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// The text is not UTF-8.
    #[error(
        "the text is not UTF-8: write one rule a line (valid: {})",
        first_words()
    )]
    NotText,
    /// Something in a line.
    #[error("line {line}, column {column}: {what}")]
    At {
        /// Counted from 1.
        line: usize,
        /// Of the word that is wrong, in characters, counted from 1.
        column: usize,
        /// What is wrong with it, and what would be right.
        what: String,
    },
}

/// The keys of all rules, in the order in which they are printed.
const SELECTORS: [&str; 15] = [
    "op", "at", "size", "from", "skip", "every", "p", "seed", "times", "after", "for", "up",
    "down", "when", "tag",
];

/// The keys of an action.
fn action_keys(action: &str) -> &'static [&'static str] {
    match action {
        "error" => &["errno"],
        "delay" | "misdirect" => &["by"],
        "hang" => &["max", "then"],
        "corrupt" => &["how", "bits", "byte"],
        "tear" => &["keep", "then"],
        _ => &[],
    }
}

/// The largest count of requests that a selector takes.
const MOST_REQUESTS: u64 = 1_000_000_000_000_000;
/// A file has at most 2^63 - 1 bytes, and so a disk fewer sectors than this.
const SECTORS_END: u64 = 1 << 54;
/// The longest time in a rule: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const REQUESTS: &str = "a number of requests, up to 10^15";
const FROM_ONE: &str = "a number from 1 to 10^15";
const SECTOR_COUNT: &str = "a number of sectors below 2^54";

/// What a rule may begin with.
fn first_words() -> String {
    format!("{}, {}", Mode::list(), Action::NAMES.join(", "))
}

/// Parses one rule, on line `line`.
pub fn parse_rule(text: &str, line: usize) -> Result<Rule, GrammarError> {
    Line::new(text, line, 0).rule()
}

/// Parses a whole text into its edits, in order; the first bad line rejects all of it.
pub fn parse_edits(text: &[u8]) -> Result<Vec<Edit>, GrammarError> {
    let text = std::str::from_utf8(text).map_err(|_| GrammarError::NotText)?;
    let lines = text.lines().enumerate();
    let filled = lines.filter(|(_, line)| !line.trim().is_empty());
    filled.map(|(at, line)| parse_edit(line, at + 1)).collect()
}

fn parse_edit(text: &str, number: usize) -> Result<Edit, GrammarError> {
    let indent = text.len() - text.trim_start().len();
    let Some(rest) = text.trim_start().strip_prefix('!') else {
        return Line::new(text, number, 0).rule().map(Edit::Add);
    };
    let line = Line::new(rest, number, text[..indent].chars().count() + 1);
    match line.words.as_slice() {
        [] => {
            Err(line.error_at_end("`!` wants the rule or the tag to remove, as in `!slow`".into()))
        }
        [word] if is_tag(word) && Mode::named(word).is_none() => {
            Ok(Edit::RemoveTag((*word).to_owned()))
        }
        _ => line.rule().map(Edit::Remove),
    }
}

/// The words of a line.
struct Line<'a> {
    number: usize,
    text: &'a str,
    /// Characters that stand before `text`.
    offset: usize,
    words: Vec<&'a str>,
}

/// A `key=value` word.
#[derive(Clone, Copy)]
struct Pair<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> Line<'a> {
    fn new(text: &'a str, number: usize, offset: usize) -> Self {
        let words = text.split_whitespace().collect();
        Self {
            number,
            text,
            offset,
            words,
        }
    }

    /// An error at `word`, a part of the line.
    fn error(&self, word: &str, what: String) -> GrammarError {
        let bytes = word.as_ptr() as usize - self.text.as_ptr() as usize;
        GrammarError::At {
            line: self.number,
            column: self.offset + self.text[..bytes].chars().count() + 1,
            what,
        }
    }

    /// An error at the end of the line.
    fn error_at_end(&self, what: String) -> GrammarError {
        self.error(&self.text[self.text.len()..], what)
    }

    fn rule(&self) -> Result<Rule, GrammarError> {
        let Some((&first, rest)) = self.words.split_first() else {
            let what = format!("a rule is missing (valid: {})", first_words());
            return Err(self.error_at_end(what));
        };
        let pairs = self.pairs(rest)?;
        let mode = Mode::named(first);
        if mode.is_none() && !Action::NAMES.contains(&first) {
            let known = Mode::ALL.map(Mode::name).into_iter().chain(Action::NAMES);
            let what = format!(
                "unknown mode `{}`{} (valid: {})",
                readable(first),
                nearest(first, known),
                first_words()
            );
            return Err(self.error(first, what));
        }
        // A mode says what its action would be told.
        let own = if mode.is_some() {
            &[][..]
        } else {
            action_keys(first)
        };
        self.check_keys(first, &pairs, own)?;
        let mut rule = match mode {
            Some(mode) => mode.rule(),
            None => Rule::new(self.action(first, &pairs)?),
        };
        for pair in pairs.iter().filter(|pair| !own.contains(&pair.key)) {
            self.select(&mut rule, *pair)?;
        }
        self.cycle(&mut rule, &pairs)?;
        Ok(rule)
    }

    fn pairs(&self, words: &[&'a str]) -> Result<Vec<Pair<'a>>, GrammarError> {
        let pair = |word: &&'a str| match word.split_once('=') {
            Some((key, value)) => Ok(Pair { key, value }),
            None => Err(self.error(word, format!("`{}` is no key=value", readable(word)))),
        };
        words.iter().map(pair).collect()
    }

    fn check_keys(
        &self,
        first: &str,
        pairs: &[Pair<'_>],
        own: &[&str],
    ) -> Result<(), GrammarError> {
        for (at, pair) in pairs.iter().enumerate() {
            let known = || own.iter().copied().chain(SELECTORS);
            if !known().any(|key| key == pair.key) {
                let valid: Vec<_> = known().collect();
                let what = format!(
                    "unknown key `{}` of `{first}`{} (valid: {})",
                    readable(pair.key),
                    nearest(pair.key, known()),
                    valid.join(", ")
                );
                return Err(self.error(pair.key, what));
            }
            if pairs[..at].iter().any(|other| other.key == pair.key) {
                return Err(self.error(pair.key, format!("`{}` stands twice", pair.key)));
            }
        }
        Ok(())
    }

    fn action(&self, name: &str, pairs: &[Pair<'_>]) -> Result<Action, GrammarError> {
        let find = |key: &str| pairs.iter().copied().find(|pair| pair.key == key);
        let wanted = |key: &str, example: &str| {
            let missing =
                || self.error_at_end(format!("`{name}` wants {key}=, as in {key}={example}"));
            find(key).ok_or_else(missing)
        };
        let then = || match find("then") {
            Some(pair) if pair.value == "ok" => Ok(Some(Then::Ok)),
            Some(pair) => self.errno(pair).map(|errno| Some(errno.into())),
            None => Ok(None),
        };
        Ok(match name {
            "error" => {
                let errno = find("errno").map(|pair| self.errno(pair));
                Action::Error(errno.transpose()?.unwrap_or(Errno::EIO))
            }
            "delay" => {
                let by = wanted("by", "50ms")?;
                let (min, max) = by.value.split_once("..").unwrap_or((by.value, by.value));
                let (min, max) = (self.duration(by, min)?, self.duration(by, max)?);
                if min > max {
                    return Err(self.bad(by, "a range from the shortest to the longest"));
                }
                Action::Delay(min, max)
            }
            "hang" => {
                let max = find("max").map(|max| self.duration(max, max.value));
                let then = then()?.unwrap_or(Then::Error(Errno::EIO));
                Action::Hang(max.transpose()?.unwrap_or(HANG_MAX), then)
            }
            "corrupt" => self.corrupt(wanted("how", "flip")?, find("bits"), find("byte"))?,
            "lose" => Action::Lose,
            "tear" => {
                let keep = self.count(wanted("keep", "1")?, SECTORS_END, SECTOR_COUNT)?;
                Action::Tear(keep, then()?.unwrap_or(Then::Ok))
            }
            "misdirect" => {
                let by = wanted("by", "+8")?;
                let signed = by.value.starts_with(['+', '-']);
                let is_near = |by: &i64| *by != 0 && by.unsigned_abs() < SECTORS_END;
                let sectors = by.value.parse().ok().filter(|by| signed && is_near(by));
                let what = "a number of sectors with its sign, as in +8 or -8, below 2^54";
                Action::Misdirect(sectors.ok_or_else(|| self.bad(by, what))?)
            }
            _ => Action::Stale,
        })
    }

    fn corrupt(
        &self,
        how: Pair<'_>,
        bits: Option<Pair<'_>>,
        byte: Option<Pair<'_>>,
    ) -> Result<Action, GrammarError> {
        let strays = [(bits, "flip"), (byte, "fill")].into_iter();
        let mut strays = strays.filter(|(_, word)| how.value != *word);
        if let Some((pair, word)) = strays.find_map(|(pair, word)| Some((pair?, word))) {
            let what = format!("`{}` belongs to how={word}", pair.key);
            return Err(self.error(pair.key, what));
        }
        Ok(Action::Corrupt(match how.value {
            "flip" => {
                let what = "a number of bits from 1 to 65536";
                let bits = match bits {
                    Some(bits) => self.small(bits, 1..=65_536, what)?,
                    None => 1,
                };
                How::Flip(bits as u32)
            }
            "zero" => How::Zero,
            "random" => How::Random,
            "fill" => {
                let what = "a byte from 0 to 255, as in byte=0xff";
                let byte =
                    byte.ok_or_else(|| self.error_at_end(format!("how=fill wants byte=: {what}")))?;
                How::Fill(self.small(byte, 0..=255, what)? as u8)
            }
            _ => return Err(self.bad(how, "one of flip, zero, random, fill")),
        }))
    }

    fn select(&self, rule: &mut Rule, pair: Pair<'_>) -> Result<(), GrammarError> {
        match pair.key {
            "op" => rule.ops = self.ops(rule, pair)?,
            "at" => {
                let what = "sectors below 2^54 as START+COUNT, with commas between ranges, as in at=2048+8";
                let ranges = pair.value.split(',').map(sectors);
                let ranges: Option<_> = ranges.collect();
                rule.at = ranges.ok_or_else(|| self.bad(pair, what))?;
            }
            "size" => {
                let what = "bytes as MIN..MAX, either of them left out if need be, as in size=4K..";
                rule.size = Some(size_range(pair.value).ok_or_else(|| self.bad(pair, what))?);
            }
            "from" if pair.value == "guest" => rule.from_guest = true,
            "from" => return Err(self.bad(pair, "`guest`, the only one that can be told apart")),
            "skip" => rule.skip = self.count(pair, MOST_REQUESTS, REQUESTS)?,
            "every" => {
                rule.every = self.count(pair, MOST_REQUESTS, FROM_ONE)?;
                if rule.every == 0 {
                    return Err(self.bad(pair, FROM_ONE));
                }
            }
            "times" => rule.times = Some(self.count(pair, MOST_REQUESTS, REQUESTS)?),
            "seed" => rule.seed = Some(self.count(pair, u64::MAX, "a whole number below 2^64")?),
            "p" => {
                let value = pair.value.parse().ok().and_then(Probability::new);
                rule.probability =
                    Some(value.ok_or_else(|| self.bad(pair, "a number from 0 to 1"))?);
            }
            "after" => rule.after = self.duration(pair, pair.value)?,
            "for" => rule.lasts = Some(self.duration(pair, pair.value)?),
            "when" => rule.when = Some(self.tag(pair)?),
            "tag" => rule.tag = Some(self.tag(pair)?),
            _ => {} // `up` and `down` are read together.
        }
        Ok(())
    }

    fn cycle(&self, rule: &mut Rule, pairs: &[Pair<'_>]) -> Result<(), GrammarError> {
        let find = |key: &str| pairs.iter().copied().find(|pair| pair.key == key);
        match (find("up"), find("down")) {
            (None, None) => {}
            (Some(up), Some(down)) => {
                let cycle = (
                    self.duration(up, up.value)?,
                    self.duration(down, down.value)?,
                );
                if (cycle.0 + cycle.1).is_zero() {
                    return Err(self.bad(up, "a time above 0, or down= one"));
                }
                rule.cycle = Some(cycle);
            }
            (Some(one), None) | (None, Some(one)) => {
                return Err(self.error(one.key, "up= and down= come together".into()));
            }
        }
        Ok(())
    }

    fn ops(&self, rule: &Rule, pair: Pair<'_>) -> Result<Ops, GrammarError> {
        let possible = rule.action.ops();
        if pair.value == "all" {
            return Ok(possible);
        }
        let named = |word: &str| Op::named(word);
        let ops: Option<Vec<Op>> = pair.value.split(',').map(named).collect();
        let what = "a list of read, write, flush, discard, zero, or all";
        let ops = Ops::of(&ops.ok_or_else(|| self.bad(pair, what))?);
        let senseless = ops.without(possible);
        if !senseless.is_empty() {
            let action = rule.action.name();
            let what = format!("`{action}` can do nothing to {senseless} (valid: op={possible})");
            return Err(self.error(pair.key, what));
        }
        Ok(ops)
    }

    fn errno(&self, pair: Pair<'_>) -> Result<Errno, GrammarError> {
        Errno::parse(pair.value).map_err(|why| {
            let or_ok = match why {
                BadErrno::Unknown(_) if pair.key == "then" => "; or ok",
                _ => "",
            };
            let what = format!("`{}={}` {why}{or_ok}", pair.key, readable(pair.value));
            self.error(pair.key, what)
        })
    }

    fn duration(&self, pair: Pair<'_>, value: &str) -> Result<Duration, GrammarError> {
        let what = "a time with its unit, as in 200us, 50ms, 1.5s, 2m or 1h, up to a year";
        let duration = parse_duration(value).filter(|duration| *duration <= LONGEST);
        duration.ok_or_else(|| self.bad(pair, what))
    }

    fn count(&self, pair: Pair<'_>, most: u64, what: &str) -> Result<u64, GrammarError> {
        let number = pair.value.parse().ok().filter(|number| *number <= most);
        number.ok_or_else(|| self.bad(pair, what))
    }

    fn small(
        &self,
        pair: Pair<'_>,
        range: std::ops::RangeInclusive<u64>,
        what: &str,
    ) -> Result<u64, GrammarError> {
        let number = match pair.value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => pair.value.parse().ok(),
        };
        let number = number.filter(|number| range.contains(number));
        number.ok_or_else(|| self.bad(pair, what))
    }

    fn tag(&self, pair: Pair<'_>) -> Result<String, GrammarError> {
        if is_tag(pair.value) && Mode::named(pair.value).is_none() && pair.value != "all" {
            return Ok(pair.value.to_owned());
        }
        let what = "a name of letters, digits, `.`, `_` and `-` that is no mode and not `all`";
        Err(self.bad(pair, what))
    }

    fn bad(&self, pair: Pair<'_>, wanted: &str) -> GrammarError {
        let what = format!("`{}={}` wants {wanted}", pair.key, readable(pair.value));
        self.error(pair.key, what)
    }
}

/// Whether `word` can be a tag.
fn is_tag(word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !word.is_empty() && word.len() <= 64 && word.chars().all(is_part)
}

fn sectors(text: &str) -> Option<Sectors> {
    let (start, count) = text.split_once('+')?;
    let (start, count) = (start.parse().ok()?, count.parse().ok()?);
    let end = u64::checked_add(start, count)?;
    (count > 0 && end <= SECTORS_END).then_some(Sectors { start, count })
}

fn size_range(text: &str) -> Option<SizeRange> {
    let (min, max) = text.split_once("..")?;
    let end = |text: &str, open| {
        if text.is_empty() {
            Some(open)
        } else {
            parse_size(text)
        }
    };
    let (min, max) = (end(min, 0)?, end(max, u64::MAX)?);
    (min <= max).then_some(SizeRange { min, max })
}

/// `; did you mean ...?`, if `text` begins with a misspelt action.
pub fn nearest_action(text: &str) -> Option<String> {
    let first = text.split_whitespace().next().unwrap_or_default();
    let near = nearest(first, Action::NAMES.into_iter());
    Some(near).filter(|near| !near.is_empty())
}

/// Cuts and escapes user input so that a message stays one short line.
fn readable(word: &str) -> String {
    const LONGEST: usize = 40;
    let cut: String = word.chars().take(LONGEST).collect();
    let dots = if cut.len() < word.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_debug())
}
