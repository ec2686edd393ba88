//! The keys of a rule's `key=value` words.

use crate::units::listed;

listed! {
    /// A key that says which requests a rule acts on; each action takes it. In the order of printing.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[allow(missing_docs)] // docs/faults.md describes each.
    pub enum Selector {
        Op,
        At,
        Sectors,
        Cluster,
        Size,
        Client,
        Skip,
        Every,
        P,
        Per,
        Seed,
        Times,
        After,
        For,
        Up,
        Down,
        When,
        Tag,
    }
}

listed! {
    /// A key that says what an action does; each action has its own.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[allow(missing_docs)] // docs/faults.md describes each.
    pub enum ActionKey {
        Errno,
        Heal,
        Tries,
        Spares,
        By,
        Max,
        Then,
        How,
        Bits,
        Byte,
        Keep,
        Point,
        Scope,
        P,
        Seed,
        Tear,
        Garbage,
        Rate,
        Iops,
        Burst,
        Lanes,
    }
}

impl Selector {
    /// The key as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Op => "op",
            Self::At => "at",
            Self::Sectors => "sectors",
            Self::Cluster => "cluster",
            Self::Size => "size",
            Self::Client => "client",
            Self::Skip => "skip",
            Self::Every => "every",
            Self::P => "p",
            Self::Per => "per",
            Self::Seed => "seed",
            Self::Times => "times",
            Self::After => "after",
            Self::For => "for",
            Self::Up => "up",
            Self::Down => "down",
            Self::When => "when",
            Self::Tag => "tag",
        }
    }

    /// The selector with this key.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// Whether its value is a time.
    fn is_time(self) -> bool {
        match self {
            Self::After | Self::For | Self::Up | Self::Down => true,
            Self::Op | Self::At | Self::Size | Self::Client | Self::When | Self::Tag => false,
            Self::Sectors | Self::Cluster => false,
            Self::Skip | Self::Every | Self::P | Self::Per | Self::Seed | Self::Times => false,
        }
    }
}

impl ActionKey {
    /// The key as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Errno => "errno",
            Self::Heal => "heal",
            Self::Tries => "tries",
            Self::Spares => "spares",
            Self::By => "by",
            Self::Max => "max",
            Self::Then => "then",
            Self::How => "how",
            Self::Bits => "bits",
            Self::Byte => "byte",
            Self::Keep => "keep",
            Self::Point => "point",
            Self::Scope => "scope",
            Self::P => "p",
            Self::Seed => "seed",
            Self::Tear => "tear",
            Self::Garbage => "garbage",
            Self::Rate => "rate",
            Self::Iops => "iops",
            Self::Burst => "burst",
            Self::Lanes => "lanes",
        }
    }

    /// Whether its value is a time, whatever the action.
    fn is_time(self) -> bool {
        match self {
            Self::Max => true,
            // `by=` is a time of `delay` and sectors of `misdirect`.
            Self::By => false,
            Self::Heal | Self::Tries | Self::Spares => false,
            Self::Errno | Self::Then | Self::How | Self::Bits | Self::Byte | Self::Keep => false,
            Self::Point | Self::Scope | Self::P | Self::Seed | Self::Tear | Self::Garbage => false,
            Self::Rate | Self::Iops | Self::Burst | Self::Lanes => false,
        }
    }
}

/// Whether the value of the key `name` is a time, whatever the action: where times may have no unit,
/// it is in seconds.
pub fn is_time(name: &str) -> bool {
    let selector = Selector::named(name).is_some_and(Selector::is_time);
    let mut keys = ActionKey::ALL.into_iter();
    selector || keys.any(|key| key.name() == name && key.is_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_keys_are_those_of_times_alone() {
        let selectors = Selector::ALL.map(Selector::name);
        let keys = ActionKey::ALL.map(ActionKey::name);
        let all = selectors.into_iter().chain(keys);
        let times: Vec<_> = all.filter(|name| is_time(name)).collect();
        assert_eq!(times, ["after", "for", "up", "down", "max"]);
        assert!(!is_time("action"));
    }
}
