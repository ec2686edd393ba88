//! From an armed rule to its line in `rules`, and back; and the names by which users mean a rule.

use std::time::Duration;

use super::{Armed, Arming, HealCounts, Ranges, Rule, Sectors, parse_rule};
use crate::protocol::{Remark, RuleLine};

impl Armed {
    /// Its line at `now`.
    pub fn line(&self, now: Duration, remark: Option<Remark>) -> RuleLine {
        let counts = self.counts();
        let left = |times: u64| times.saturating_sub(counts.fired);
        RuleLine {
            rule: self.text().to_owned(),
            counts,
            left: self.rule.times.map(left),
            age: now.saturating_sub(self.since),
            seed: self.seed,
            woken: self.is_woken(),
            bad: self.rule.has_own_sectors().then(|| {
                let bad = self.bad_sectors().into_iter();
                bad.map(|Sectors { start, count }| (start, count)).collect()
            }),
            healed: self
                .healed()
                .map(|HealCounts { healed, refused }| (healed, refused)),
            remark,
        }
    }

    /// The rule of a line, as it is now on the disk of `arming`. None if the line's text is not a rule.
    pub fn of_line(line: &RuleLine, id: u64, arming: Arming) -> Option<Self> {
        let rule = parse_rule(&line.rule, 1).ok()?;
        let arming = Arming {
            now: arming.now.saturating_sub(line.age),
            seed: line.seed,
            ..arming
        };
        let armed = match &line.bad {
            Some(bad) => {
                let bad = bad.iter().map(|&(start, count)| Sectors { start, count });
                let healed = line
                    .healed
                    .map(|(healed, refused)| HealCounts { healed, refused });
                Self::on(
                    id,
                    rule,
                    arming,
                    Ranges::of(bad),
                    healed.unwrap_or_default(),
                )
            }
            None => Self::new(id, rule, arming),
        };
        Some(armed.counting_from(line.counts, line.woken))
    }
}

/// The name of a rule: its tag, or a text that parses to it.
#[derive(Clone, Debug)]
pub struct RuleName {
    given: String,
    /// All texts that a rule like this may print as.
    texts: Vec<String>,
}

impl RuleName {
    /// The name that `text` is.
    pub fn new(text: &str) -> Self {
        let rule = parse_rule(text, 1);
        Self {
            given: text.to_owned(),
            texts: rule.map(Rule::spellings).unwrap_or_default(),
        }
    }

    /// Whether it means the rule of `line`.
    pub fn means(&self, line: &RuleLine) -> bool {
        let last = line.rule.rsplit(' ').next();
        let tag = last.and_then(|word| word.strip_prefix("tag="));
        self.texts.contains(&line.rule) || tag == Some(&*self.given)
    }
}
