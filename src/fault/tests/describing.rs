//! The vocabulary of rules in words.

use super::*;
use crate::fault::{ActionKey, ActionKind, Selector};

#[test]
fn example_of_each_action_and_selector_is_a_rule_with_it() {
    for kind in ActionKind::ALL {
        let rule = parse_rule(kind.example(), 1).unwrap();
        assert_eq!(rule.action.kind(), kind, "{}", kind.example());
    }
    for selector in Selector::ALL {
        let rule = parse_rule(selector.example(), 1).unwrap();
        let word = selector.example_word();
        assert!(word.starts_with(&format!("{}=", selector.name())), "{word}");
        assert!(
            rule.to_string().contains(&format!(" {word}")) || selector == Selector::Size,
            "{rule}"
        );
    }
    let mut keys = ActionKey::ALL.into_iter();
    assert!(keys.all(|key| {
        ActionKind::ALL
            .iter()
            .any(|kind| kind.keys().contains(&key))
    }));
}

#[test]
fn meaning_of_a_rule_has_a_line_for_its_action_and_each_word() {
    let rule = parse_rule("slow at=8+1", 1).unwrap();
    assert_eq!(rule.in_full(), "delay op=read,write,zero by=50ms at=8+1");
    assert_eq!(
        parse_rule("eio_read", 1).unwrap().in_full(),
        "error op=read errno=EIO"
    );
    let words: Vec<_> = rule.meanings().into_iter().map(|(word, _)| word).collect();
    assert_eq!(words, ["delay", "op=read,write,zero", "by=50ms", "at=8+1"]);
    let cut = parse_rule("cut p=0.5 keep=random seed=1", 1).unwrap();
    let meaning = cut.meanings();
    let p = meaning.iter().find(|(word, _)| word == "p=0.5").unwrap();
    let key = cut.action.kind().meaning_of(ActionKey::P);
    assert_eq!(p.1, key, "it is no selector here");
}
