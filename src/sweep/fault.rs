//! The fault of a sweep: one rule, which a sweep arms for one request after the other.

use std::time::Duration;

use crate::fault::{GrammarError, Rule, Sectors, Selector, parse_rule};
use crate::protocol::Answered;
use crate::protocol::names::SECTOR;

/// The tag of the rule that a sweep arms.
pub const TAG: &str = "provium-sweep";

/// As many requests as a rule can pass over: it counts, and never acts.
const NEVER: u64 = 1_000_000_000_000_000;

/// What goes wrong with the request whose turn it is, and which requests have turns.
#[derive(Clone, Debug)]
pub struct SweptFault {
    /// Without the selectors that count.
    rule: Rule,
    /// The same, as it was given.
    text: String,
    /// It goes wrong with all later requests too.
    is_persistent: bool,
}

impl SweptFault {
    /// The fault `text` is one rule. Its `op=` and `at=` may be given apart.
    pub fn new(
        text: &str,
        op: Option<&str>,
        at: Option<&str>,
        is_persistent: bool,
    ) -> Result<Self, String> {
        let rules = text.lines().filter(|line| !line.trim().is_empty()).count();
        if rules > 1 {
            return Err(format!(
                "the fault is {rules} rules: a sweep has one, as in `error errno=EIO`"
            ));
        }
        let op = op.map(|op| format!(" op={op}")).unwrap_or_default();
        let at = at.map(|at| format!(" at={at}")).unwrap_or_default();
        let (first, rest) = text.trim().split_at(first_word(text.trim()));
        let text = format!("{first}{op}{at}{rest}");
        let rule = parse_rule(&text, 1);
        let rule = rule.map_err(|error| match error {
            GrammarError::At { what, .. } => format!("the fault: {what}"),
            error => error.to_string(),
        })?;
        if let Some(key) = own_key(&rule) {
            return Err(format!(
                "the fault has `{}=`: which request fails, and how often, is up to the sweep (valid beside the \
                 action's own keys: op, at, size, client, seed)",
                key.name()
            ));
        }
        if let Some(at) = rule.at.iter().find(|at| at.fixed().is_none()) {
            return Err(format!(
                "the fault is at={at}: a sweep goes by a trace, which does not say where the disk ends (valid: sectors \
                 from the start of the disk, as in at=2048+8)"
            ));
        }
        if rule.draw.is_some() || rule.heal.is_some() {
            return Err(
                "the fault has sectors that are drawn or heal: which requests fail is up to the sweep (valid: at=)".into(),
            );
        }
        if is_persistent && rule.cuts_power() {
            return Err("a power cut is not persistent: it ends the run that meets it".into());
        }
        Ok(Self {
            rule,
            text,
            is_persistent,
        })
    }

    /// Whether it cuts the power.
    pub fn cuts_power(&self) -> bool {
        self.rule.cuts_power()
    }

    /// As a rule says it, without its place.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The operations, as they are written.
    pub fn ops(&self) -> impl Iterator<Item = &'static str> {
        self.rule.ops.iter().map(crate::protocol::Op::name)
    }

    /// Whether a trace tells which requests it is about: not which of them are a test's own.
    pub(super) fn is_traceable(&self) -> bool {
        self.rule.client.is_none()
    }

    /// The rule for the `number`th of the requests, from 1. With `lasts` it acts only this long after it was armed.
    pub(super) fn rule(&self, number: u64, lasts: Option<Duration>) -> Rule {
        Rule {
            skip: number - 1,
            times: (!self.is_persistent).then_some(1),
            ..self.counting(lasts)
        }
    }

    /// A rule that counts the requests, and never acts.
    pub(super) fn counting(&self, lasts: Option<Duration>) -> Rule {
        Rule {
            skip: NEVER,
            lasts,
            tag: Some(TAG.to_owned()),
            ..self.rule.clone()
        }
    }

    /// Whether the request is one of those that have turns.
    pub(super) fn concerns(&self, request: &Answered<'_>) -> bool {
        let Rule { ops, at, size, .. } = &self.rule;
        let overlaps = |range: Sectors| {
            let end = range.start.saturating_add(range.count);
            request.sector < end && range.start < request.sector.saturating_add(request.count)
        };
        let bytes = request.count.saturating_mul(SECTOR);
        ops.contains(request.op)
            && (at.is_empty() || at.iter().filter_map(|at| at.fixed()).any(overlaps))
            && size.is_none_or(|size| size.contains(bytes))
    }

    pub(super) fn is_persistent(&self) -> bool {
        self.is_persistent
    }
}

/// Where the first word of a text ends.
fn first_word(text: &str) -> usize {
    text.find(char::is_whitespace).unwrap_or(text.len())
}

/// A selector that counts, waits or names: a sweep has its own.
fn own_key(rule: &Rule) -> Option<Selector> {
    let is_given = [
        (Selector::Skip, rule.skip > 0),
        (Selector::Every, rule.every > 1),
        (Selector::P, rule.probability.is_some()),
        (Selector::Per, rule.per_sector),
        (Selector::Times, rule.times.is_some()),
        (Selector::After, !rule.after.is_zero()),
        (Selector::For, rule.lasts.is_some()),
        (Selector::Up, rule.cycle.is_some()),
        (Selector::When, rule.when.is_some()),
        (Selector::Tag, rule.tag.is_some()),
    ];
    let given = is_given.into_iter().find(|(_, is_given)| *is_given);
    given.map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str, op: &str) -> Result<SweptFault, String> {
        SweptFault::new(text, Some(op), None, false)
    }

    #[test]
    fn rule_of_a_turn_passes_over_all_turns_before_and_acts_once() {
        let text = |fault: &SweptFault, number| fault.rule(number, None).to_string();
        let once = fault("error errno=ENOSPC", "write,flush").unwrap();
        let first = "error op=write,flush errno=ENOSPC times=1 tag=provium-sweep";
        assert_eq!(text(&once, 1), first);
        assert_eq!(
            text(&once, 8),
            "error op=write,flush errno=ENOSPC skip=7 times=1 tag=provium-sweep"
        );
        let always = SweptFault::new("eio_read", None, Some("8+1"), true).unwrap();
        assert_eq!(text(&always, 3), "eio_read at=8+1 skip=2 tag=provium-sweep");
        let lasts = Some(Duration::from_secs(70));
        let counting = always.counting(lasts).to_string();
        assert_eq!(
            counting,
            "eio_read at=8+1 skip=1000000000000000 for=70s tag=provium-sweep"
        );
    }

    #[test]
    fn fault_that_is_not_one_rule_says_what_is_wrong() {
        let says = |text: &str, op: &str, expected: &str| {
            let said = fault(text, op).unwrap_err();
            assert!(said.contains(expected), "{said}");
        };
        says("error\nslow", "write", "the fault is 2 rules");
        says("", "write", "valid:");
        says("eror", "write", "did you mean `error`?");
        says("error op=read", "write", "`op` is given twice");
        says("error", "wirte", "did you mean `write`?");
        says("corrupt how=flip", "flush", "cannot act on flush");
        for key in [
            "skip=1", "every=2", "p=0.5", "times=2", "after=1s", "for=1s", "tag=x", "when=x",
        ] {
            let name = key.split('=').next().unwrap();
            says(
                &format!("error {key}"),
                "write",
                &format!("the fault has `{name}=`"),
            );
        }
        let cut = SweptFault::new("cut", None, None, true).unwrap_err();
        assert!(cut.contains("not persistent"), "{cut}");
    }
}
