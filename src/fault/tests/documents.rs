//! docs/faults.md has what the grammar has.

use super::*;

const PAGE: &str = include_str!("../../../docs/faults.md");

#[test]
fn page_has_a_section_for_each_action_with_its_keys() {
    for kind in ActionKind::ALL {
        let heading = format!("\n### {}\n", kind.name());
        let (_, section) = PAGE
            .split_once(&heading)
            .unwrap_or_else(|| panic!("{heading}"));
        let section = section.split("\n#").next().unwrap();
        for key in kind.keys() {
            let key = format!("`{}=", key.name());
            assert!(section.contains(&key), "{key} of {kind:?}");
        }
    }
}

#[test]
fn page_has_each_selector_and_mode() {
    let (_, selectors) = PAGE.split_once("\n## Selectors\n").unwrap();
    for selector in Selector::ALL {
        let key = format!("`{}=", selector.name());
        assert!(selectors.contains(&key), "{key}");
    }
    for mode in Mode::ALL {
        let rule = Rule {
            spelling: Spelling::default(),
            tag: Some("t".into()),
            ..mode.rule()
        };
        let rule = rule.to_string();
        for text in [mode.name(), rule.trim_end_matches(" tag=t")] {
            assert!(PAGE.contains(&format!("`{text}`")), "{text}");
        }
    }
}
