//! Where colours are used.

use std::sync::atomic::{AtomicU8, Ordering};

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Colour {
    /// On a terminal, unless the environment says otherwise.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

static COLOUR: AtomicU8 = AtomicU8::new(Colour::Auto as u8);

/// Decides for this process when to use colours.
pub fn choose(colour: Colour) {
    COLOUR.store(colour as u8, Ordering::Relaxed);
}

/// Whether to use colours on a place that is a terminal, or is not.
pub fn is_wanted(is_terminal: bool) -> bool {
    let choice = COLOUR.load(Ordering::Relaxed);
    match choice == Colour::Auto as u8 {
        true => automatic(is_terminal, |name| std::env::var(name).unwrap_or_default()),
        false => choice == Colour::Always as u8,
    }
}

/// What the environment says: NO_COLOR (<https://no-color.org>), then CLICOLOR_FORCE and CLICOLOR
/// (<https://bixense.com/clicolors>).
fn automatic(is_terminal: bool, variable: impl Fn(&str) -> String) -> bool {
    let is_set = |name| !matches!(variable(name).as_str(), "" | "0");
    if !variable("NO_COLOR").is_empty() {
        return false;
    }
    is_set("CLICOLOR_FORCE") || (is_terminal && variable("CLICOLOR") != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_wins_over_clicolor_force_and_that_over_the_terminal() {
        let with = |is_terminal, set: &[(&str, &str)]| {
            automatic(is_terminal, |name| {
                let found = set.iter().find(|(key, _)| *key == name);
                found.map_or(String::new(), |(_, value)| (*value).to_owned())
            })
        };
        assert!(with(true, &[]) && !with(false, &[]));
        assert!(!with(true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(with(false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!with(false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!with(true, &[("CLICOLOR", "0")]));
        assert!(with(true, &[("NO_COLOR", "")]), "an empty one is not set");
    }
}
