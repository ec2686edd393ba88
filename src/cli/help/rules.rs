//! The topic `provium help rules`: how rules are written, by examples. It is made of the tables of the grammar, so
//! that it has all of them.

use crate::fault::{ActionKind, Mode, Ops, Selector};

/// A part of the topic. The text is lines, indented by two.
#[derive(Debug)]
pub(in crate::cli) struct Section {
    /// In capitals.
    pub title: &'static str,
    /// What it says; ends with a line break.
    pub text: String,
}

/// The topic.
pub(in crate::cli) fn sections() -> Vec<Section> {
    vec![
        Section {
            title: "RULES",
            text: RULES.into(),
        },
        Section {
            title: "MODES",
            text: modes(),
        },
        Section {
            title: "ACTIONS",
            text: ActionKind::ALL.map(action).join("\n"),
        },
        Section {
            title: "SELECTORS",
            text: selectors(),
        },
        Section {
            title: "UNITS",
            text: UNITS.into(),
        },
        Section {
            title: "SEVERAL RULES",
            text: SEVERAL.into(),
        },
        Section {
            title: "WHERE TO WRITE THEM",
            text: WHERE.into(),
        },
    ]
}

const RULES: &str =
    "  A rule says which requests of a disk fail, and how: an action, and words KEY=VALUE.

    error op=read errno=EIO at=2048+8 times=3
    |     |       |         |         the first three of them
    |     |       |         those that touch one of the 8 sectors from 2048 on
    |     |       with this error
    |     reads
    fail

  Words that are left out do not restrict: `error` alone fails every request with EIO.
  `provium fault MNT/ID --explain RULE` says what a rule means.
";

const UNITS: &str = "  times    200us, 50ms, 1.5s, 2m, 1h; a number without a unit is an error
  delays   50ms, 20ms..80ms, normal:10ms,2ms, lognormal:10ms,2ms, pareto:1ms,1.5, p50:1ms,p99:20ms,p99.9:500ms
  sectors  of 512 bytes, everywhere; 2048+8 are 8 sectors from 2048 on
  sizes    bytes, or 4K, 1M, 1G
  lists    with commas: op=read,write  at=0+8,64+1
";

const SEVERAL: &str = "  Rules are tried in the order armed. Limits come first; delays come next, and add up; then a hang. The first rule that
  decides the outcome (error, lose, tear, cut) decides it. Rules that change data (corrupt, misdirect, stale) act
  in order. Two equal rules are one; a tag= makes two of them.
";

const WHERE: &str =
    "  provium fault /tmp/m/vda error op=read times=3           add, as several words or as one
  provium fault /tmp/m/vda --set slow                      replace
  provium fault /tmp/m/vda --file disk.rules               from a file, one a line; # begins a comment
  provium fault /tmp/m/vda --remove slow                   by its text, or by its tag
  echo 'error op=read times=3' >> /tmp/m/ctl/vda/faults    the same in a shell; > replaces
  disk:fault_inject(\"error op=read times=3\")               in Lua
";

fn modes() -> String {
    let lines = Mode::ALL.map(|mode| {
        let rule = mode.rule().in_full();
        format!("  {:<10} {:<34} {}\n", mode.name(), rule, mode.meaning())
    });
    format!(
        "  Short names of common rules. They take selectors too: `slow at=8+1`.\n\n{}",
        lines.concat()
    )
}

fn action(kind: ActionKind) -> String {
    let ops = match kind.ops() {
        Ops::ALL => "any request".to_owned(),
        ops => format!("op={ops}"),
    };
    let keys = kind.keys().iter();
    let keys: String = keys
        .map(|key| {
            format!(
                "    {:<9} {}\n",
                format!("{}=", key.name()),
                kind.meaning_of(*key)
            )
        })
        .collect();
    format!(
        "  {:<10}{} ({ops})\n{keys}    $ {}\n      {}\n",
        kind.name(),
        kind.meaning(),
        kind.example(),
        kind.example_effect()
    )
}

fn selectors() -> String {
    let line =
        |selector: Selector| format!("  {:<22} {}\n", selector.example_word(), selector.meaning());
    let lines = Selector::ALL.map(line);
    format!(
        "  Each restricts the rule further: all of them must hold.\n\n{}",
        lines.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::parse_rule;

    #[test]
    fn topic_has_every_mode_action_key_and_selector_and_its_rules_parse() {
        let text: String = sections().into_iter().map(|section| section.text).collect();
        let has = |word: &str| assert!(text.contains(word), "{word} is not in: {text}");
        for mode in Mode::ALL {
            has(&format!("\n  {} ", mode.name()));
        }
        for kind in ActionKind::ALL {
            has(&format!("  {} ", kind.name()));
            kind.keys()
                .iter()
                .for_each(|key| has(&format!("    {}= ", key.name())));
        }
        for selector in Selector::ALL {
            has(&format!("\n  {}=", selector.name()));
        }
        let rules = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("$ "));
        let mut shown = 0;
        for rule in rules {
            parse_rule(rule, 1).unwrap();
            shown += 1;
        }
        assert_eq!(shown, ActionKind::ALL.len());
    }

    #[test]
    fn topic_fits_a_line_of_120_characters() {
        let text: String = sections().into_iter().map(|section| section.text).collect();
        let longest = text.lines().max_by_key(|line| line.len()).unwrap();
        assert!(longest.len() <= 120, "{longest}");
    }
}
