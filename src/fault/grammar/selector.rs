//! The selectors of a rule: which requests it acts on.

use std::ops::RangeInclusive;

use super::error::GrammarError;
use super::line::{Line, Pair};
use crate::fault::{Client, Draw, MOST_DRAWN, Op, Ops, Rule, Selector};
use crate::units::{Probability, nearest};

/// The largest count of requests that a selector takes.
const MOST_REQUESTS: u64 = 1_000_000_000_000_000;

/// The operations that a rule with heal= can have fail because of bad sectors.
const FAIL_UNTIL_HEALED: Ops = Ops::of(&[Op::Read, Op::Discard]);
const WRITES_HEAL: &str = "with heal=write, op= says which requests fail because of bad sectors (valid: op=read,discard): \
    a write heals them, and fails by tries= and spares= alone";

impl Line<'_> {
    /// Has `rule` act on the requests that the selectors choose.
    pub(super) fn select(
        &self,
        rule: &mut Rule,
        selectors: &[(Selector, Pair<'_>)],
    ) -> Result<(), GrammarError> {
        for (selector, pair) in selectors {
            self.set(rule, *selector, *pair)?;
        }
        if rule.heal.is_some() && !selectors.iter().any(|(key, _)| *key == Selector::Op) {
            rule.ops = match rule.ops {
                Ops::ALL => Ops::of(&[Op::Read]),
                ops if ops.without(FAIL_UNTIL_HEALED).is_empty() => ops,
                _ => return Err(self.error_at_end(WRITES_HEAL.into())),
            };
        }
        self.set_draw(rule, selectors)?;
        self.set_cycle(rule, selectors)?;
        let per = selectors
            .iter()
            .find(|(selector, _)| *selector == Selector::Per);
        per.map_or(Ok(()), |(_, per)| self.check_per(rule, *per))
    }

    fn set_draw(
        &self,
        rule: &mut Rule,
        selectors: &[(Selector, Pair<'_>)],
    ) -> Result<(), GrammarError> {
        let find = |key| selectors.iter().find(|(selector, _)| *selector == key);
        let number = |key, range: RangeInclusive<u64>, expected| match find(key) {
            Some((_, pair)) => self.small(*pair, range, expected).map(Some),
            None => Ok(None),
        };
        let most = 1..=MOST_DRAWN;
        let count = number(
            Selector::Sectors,
            most,
            "a number of sectors from 1 to 1000000",
        )?;
        let most = 2..=MOST_DRAWN;
        let cluster = number(
            Selector::Cluster,
            most,
            "a number of sectors from 2 to 1000000",
        )?;
        match (count, find(Selector::Cluster)) {
            (None, Some((_, pair))) => {
                let what = "cluster= belongs to sectors=, as in sectors=300 cluster=10";
                return Err(self.error(pair.key, what.into()));
            }
            _ => rule.draw = count.map(|count| Draw { count, cluster }),
        }
        Ok(())
    }

    fn set(&self, rule: &mut Rule, selector: Selector, pair: Pair<'_>) -> Result<(), GrammarError> {
        match selector {
            Selector::Op => rule.ops = self.ops(rule, pair)?,
            Selector::At => rule.at = self.at(pair)?,
            // `set_draw` reads the two together.
            Selector::Sectors | Selector::Cluster => {}
            Selector::Size => rule.size = Some(self.size(pair)?),
            Selector::Client => rule.client = Some(self.client(pair)?),
            Selector::Skip => rule.skip = self.requests(pair)?,
            Selector::Every => rule.every = self.every(pair)?,
            Selector::P => rule.probability = Some(self.probability(pair)?),
            Selector::Per => rule.per_sector = self.per(pair)?,
            Selector::Seed => rule.seed = Some(self.seed(pair)?),
            Selector::Times => rule.times = Some(self.requests(pair)?),
            Selector::After => rule.after = self.duration(pair)?,
            Selector::For => rule.lasts = Some(self.duration(pair)?),
            // `set_cycle` reads the two together.
            Selector::Up | Selector::Down => {}
            Selector::When => rule.when = Some(self.tag(pair)?),
            Selector::Tag => rule.tag = Some(self.tag(pair)?),
        }
        Ok(())
    }

    fn set_cycle(
        &self,
        rule: &mut Rule,
        selectors: &[(Selector, Pair<'_>)],
    ) -> Result<(), GrammarError> {
        let find = |key| selectors.iter().find(|(selector, _)| *selector == key);
        match (find(Selector::Up), find(Selector::Down)) {
            (None, None) => Ok(()),
            (Some((_, up)), Some((_, down))) => {
                let cycle = (self.duration(*up)?, self.duration(*down)?);
                if (cycle.0 + cycle.1).is_zero() {
                    return Err(self.bad(*up, "a time above 0, unless down= has one"));
                }
                rule.cycle = Some(cycle);
                Ok(())
            }
            (Some((_, one)), None) | (None, Some((_, one))) => {
                Err(self.error(one.key, "up= and down= must be given together".into()))
            }
        }
    }

    fn ops(&self, rule: &Rule, pair: Pair<'_>) -> Result<Ops, GrammarError> {
        let kind = rule.action.kind();
        let possible = match rule.heal {
            Some(_) => FAIL_UNTIL_HEALED,
            None => kind.ops(),
        };
        if pair.value == "all" {
            return Ok(possible);
        }
        let mut names = pair.value.split(',');
        let ops: Option<Vec<Op>> = names.clone().map(Op::named).collect();
        let wrong = names.find(|name| Op::named(name).is_none());
        let known = || Op::ALL.map(Op::name).into_iter().chain(["all"]);
        let expected = || {
            let nearest = nearest(wrong.unwrap_or_default(), known());
            format!(
                "a list of {}, or all{nearest}",
                Op::ALL.map(Op::name).join(", ")
            )
        };
        let ops = Ops::of(&ops.ok_or_else(|| self.bad(pair, &expected()))?);
        let impossible = ops.without(possible);
        match impossible.is_empty() {
            true => Ok(ops),
            false => {
                let name = kind.name();
                let is_write = impossible
                    .without(Ops::of(&[Op::Write, Op::Zero]))
                    .is_empty();
                if rule.heal.is_some() && is_write {
                    return Err(self.error(pair.key, WRITES_HEAL.into()));
                }
                let what = format!("`{name}` cannot act on {impossible} (valid: op={possible})");
                Err(self.error(pair.key, what))
            }
        }
    }

    fn client(&self, pair: Pair<'_>) -> Result<Client, GrammarError> {
        let mut all = Client::ALL.into_iter();
        let named = all.find(|client| client.name() == pair.value);
        named.ok_or_else(|| {
            let nearest = nearest(pair.value, Client::ALL.map(Client::name).into_iter());
            self.bad(pair, &format!("guest or host{nearest}"))
        })
    }

    fn requests(&self, pair: Pair<'_>) -> Result<u64, GrammarError> {
        self.count(pair, MOST_REQUESTS, "a number of requests, up to 10^15")
    }

    fn every(&self, pair: Pair<'_>) -> Result<u64, GrammarError> {
        let expected = "a number from 1 to 10^15";
        match self.count(pair, MOST_REQUESTS, expected)? {
            0 => Err(self.bad(pair, expected)),
            every => Ok(every),
        }
    }

    fn probability(&self, pair: Pair<'_>) -> Result<Probability, GrammarError> {
        let value = pair.value.parse().ok().and_then(Probability::new);
        value.ok_or_else(|| self.bad(pair, "a number from 0 to 1"))
    }

    fn per(&self, pair: Pair<'_>) -> Result<bool, GrammarError> {
        match pair.value {
            "sector" => Ok(true),
            _ => Err(self.bad(pair, "sector, the only valid value")),
        }
    }

    /// Fails unless something is drawn for each sector.
    fn check_per(&self, rule: &Rule, per: Pair<'_>) -> Result<(), GrammarError> {
        let what = if rule.cuts_power() {
            "`per=sector` is not for `cut`, whose p= says what survives (valid: skip=, every=, times=)"
        } else if rule.probability.is_none() {
            "`per=sector` expects p=, the probability for each sector, as in p=0.001 per=sector"
        } else if !rule.ops.iter().any(Op::has_range) {
            "`per=sector` draws for sectors, and a flush has none (valid: op=read,write,discard,zero)"
        } else {
            return Ok(());
        };
        Err(self.error(per.key, what.to_owned()))
    }

    fn seed(&self, pair: Pair<'_>) -> Result<u64, GrammarError> {
        self.count(pair, u64::MAX, "a whole number below 2^64")
    }
}
