//! A line that is a rule: a mode or an action, and `key=value` words.

use super::action::ActionWords;
use super::error::{GrammarError, first_words, is_first};
use super::line::{Line, Pair};
use crate::fault::{ActionKey, ActionKind, Mode, Op, Rule, Selector};
use crate::units::nearest;
use crate::units::text::readable;

/// The keys of healing.
const HEAL_KEYS: [ActionKey; 3] = [ActionKey::Heal, ActionKey::Tries, ActionKey::Spares];

/// The word that a rule begins with.
#[derive(Clone, Copy)]
enum First {
    Mode(Mode),
    Action(ActionKind),
}

impl First {
    fn named(name: &str) -> Option<Self> {
        let mode = Mode::named(name).map(Self::Mode);
        mode.or_else(|| ActionKind::named(name).map(Self::Action))
    }

    fn kind(self) -> ActionKind {
        match self {
            Self::Mode(mode) => mode.rule().action.kind(),
            Self::Action(kind) => kind,
        }
    }

    /// The keys that the rule takes beside selectors. A mode has the values of its action.
    fn keys(self) -> &'static [ActionKey] {
        match (self, self.kind()) {
            (Self::Mode(_), ActionKind::Error) => &HEAL_KEYS,
            (Self::Mode(_), _) => &[],
            (Self::Action(_), kind) => kind.keys(),
        }
    }
}

impl<'a> Line<'a> {
    /// The rule that the line is.
    pub(super) fn rule(&self) -> Result<Rule, GrammarError> {
        let Some((&word, rest)) = self.words.split_first() else {
            let what = format!("a rule is missing (valid: {})", first_words());
            return Err(self.error_at_end(what));
        };
        let pairs = self.pairs(rest)?;
        let first = First::named(word).ok_or_else(|| self.unknown_first(word))?;
        let selectors = self.selectors(word, first.keys(), &pairs)?;
        let words = ActionWords {
            line: self,
            kind: first.kind(),
            pairs: &pairs,
        };
        let mut rule = match first {
            First::Mode(mode) => mode.rule(),
            First::Action(_) => Rule::new(words.action()?),
        };
        if words.kind == ActionKind::Error {
            rule.heal = words.heal()?;
        }
        self.select(&mut rule, &selectors)?;
        Ok(rule)
    }

    fn unknown_first(&self, word: &str) -> GrammarError {
        let modes = Mode::ALL.map(Mode::name).into_iter();
        let known = modes.chain(ActionKind::ALL.map(ActionKind::name));
        let what = format!(
            "unknown mode `{}`{} (valid: {})",
            readable(word),
            selector_for(word)
                .or_else(|| several_rules(word))
                .unwrap_or_else(|| nearest(word, known)),
            first_words()
        );
        self.error(word, what)
    }

    /// Those of `pairs` that are selectors; the others have one of the keys `own` of the rule's `first`
    /// word. Fails if a key is unknown, or is given twice.
    fn selectors(
        &self,
        first: &str,
        own: &[ActionKey],
        pairs: &[Pair<'a>],
    ) -> Result<Vec<(Selector, Pair<'a>)>, GrammarError> {
        let mut selectors = Vec::new();
        for (at, pair) in pairs.iter().enumerate() {
            if !own.iter().any(|key| key.name() == pair.key) {
                let selector = Selector::named(pair.key);
                let selector = selector.ok_or_else(|| self.unknown_key(first, own, pair.key))?;
                selectors.push((selector, *pair));
            }
            if pairs[..at].iter().any(|other| other.key == pair.key) {
                return Err(self.error(pair.key, format!("`{}` is given twice", pair.key)));
            }
        }
        Ok(selectors)
    }

    fn unknown_key(&self, first: &str, own: &[ActionKey], key: &str) -> GrammarError {
        let is_own = |name: &&str| own.iter().any(|key| key.name() == *name);
        let selectors = Selector::ALL.map(Selector::name).into_iter();
        let selectors = selectors.filter(|name| !is_own(name));
        let valid: Vec<_> = own.iter().map(|key| key.name()).chain(selectors).collect();
        let what = format!(
            "unknown key `{}` of `{first}`{} (valid: {})",
            readable(key),
            nearest(key, valid.iter().copied()),
            valid.join(", ")
        );
        self.error(key, what)
    }
}

/// What to do, if `word` is several rules.
fn several_rules(word: &str) -> Option<String> {
    let rules: Vec<_> = word
        .split([',', ';'])
        .filter(|rule| !rule.is_empty())
        .collect();
    let are_rules = rules.len() > 1 && rules.iter().all(|rule| is_first(rule));
    are_rules.then(|| "; each rule is a line, or a word of the command line, of its own".to_owned())
}

/// `; did you mean op=...?`, if `word` is the value of a selector without its key.
fn selector_for(word: &str) -> Option<String> {
    let is_op = word.split(',').all(|word| Op::named(word).is_some());
    let key = match word.split_once('+') {
        _ if is_op => Selector::Op,
        Some((start, count)) if [start, count].iter().all(|n| n.parse::<u64>().is_ok()) => {
            Selector::At
        }
        _ => return None,
    };
    Some(format!(
        "; did you mean `{}={word}` behind an action?",
        key.name()
    ))
}
