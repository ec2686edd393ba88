//! Texts that parse, and how rules print.

use proptest::prelude::*;

use super::strategies::rule;
use super::*;
use crate::protocol::PowerCommand;

#[test]
fn rule_prints_as_it_was_written_and_equals_its_other_spelling() {
    for text in ["eio_read at=8+1", "error op=read errno=EIO at=8+1"] {
        assert_eq!(parse_rule(text, 1).unwrap().to_string(), text);
    }
    let both = set(&["eio_read at=8+1", "error op=read errno=EIO at=8+1"]);
    assert_eq!(both.rules().count(), 1);
    let plain = parse_rule("error op=read errno=EIO", 1).unwrap();
    assert_eq!(plain.to_string(), "eio_read");
}

#[test]
fn sizes_in_at_are_sectors_and_the_end_stays_the_end() {
    for (text, printed) in [
        ("1M+64K", "2048+128"),
        ("512b+1.5k,8+1K", "1+3,8+2"),
        ("end-8+8", "end-8+8"),
        ("end-4K+4KiB", "end-8+8"),
        ("end+8,end-0+1", "end+8,end+1"),
    ] {
        let rule = parse_rule(&format!("eio_read at={text}"), 1).unwrap();
        assert_eq!(rule.to_string(), format!("eio_read at={printed}"));
        assert_eq!(parse_rule(&rule.to_string(), 1), Ok(rule));
    }
    let parsed = |text| parse_rule(text, 1).unwrap();
    assert_ne!(parsed("eio_read at=end-8+8"), parsed("eio_read at=2040+8"));
}

#[test]
fn cut_prints_its_defaults_and_what_is_said() {
    for (text, printed) in [
        ("cut", "cut op=all point=before scope=mount keep=none"),
        (
            "cut keep=random",
            "cut op=all point=before scope=mount keep=random p=0.5",
        ),
        (
            "cut times=1 skip=2 p=1 seed=7 garbage=0.25 tear=8 keep=random scope=disk point=after op=flush",
            "cut op=flush point=after scope=disk keep=random p=1 seed=7 tear=8 garbage=0.25 skip=2 times=1",
        ),
        (
            "cut op=write keep=only=7,3 tag=a",
            "cut op=write point=before scope=mount keep=only=7,3 tag=a",
        ),
        (
            "cut keep=first=3 every=10",
            "cut op=all point=before scope=mount keep=first=3 every=10",
        ),
    ] {
        let rule = parse_rule(text, 1).unwrap();
        assert_eq!(rule.to_string(), printed);
        assert_eq!(parse_rule(printed, 1), Ok(rule));
    }
}

#[test]
fn cut_has_the_words_of_power() {
    for words in ["keep=all tear=1", "keep=random p=0.25 seed=7 garbage=0.5"] {
        let command: PowerCommand = format!("cut {words}").parse().unwrap();
        let Action::Cut(rule) = parse_rule(&format!("cut {words}"), 1).unwrap().action else {
            panic!("{words}");
        };
        assert_eq!(PowerCommand::Cut(rule.cut), command);
    }
}

#[test]
fn error_without_errno_is_eio() {
    assert_eq!(parse_rule("error op=read", 1), parse_rule("eio_read", 1));
}

#[test]
fn errno_is_accepted_if_the_kernel_carries_it_for_each_operation_and_as_an_end() {
    let is_armed = |errno: &str, rule: &str| parse_rule(&format!("{rule}{errno}"), 1).is_ok();
    let mut errnos: Vec<_> = (0..=600).map(|n| (n.to_string(), n)).collect();
    errnos.extend(Errno::names().map(|name| (name.to_owned(), 1)));
    for (errno, number) in errnos {
        let expected = (1..=511).contains(&number) && errno != "38" && errno != "ENOSYS";
        for op in Op::ALL {
            assert_eq!(is_armed(&errno, &format!("error op={op} errno=")), expected);
            assert_eq!(is_armed(&errno, &format!("hang op={op} then=")), expected);
        }
        assert_eq!(is_armed(&errno, "tear keep=1 then="), expected, "{errno}");
    }
}

#[test]
fn comment_and_blank_lines_say_nothing_and_count_as_lines() {
    let edits = |text: &str| parse_edits(text.as_bytes()).map_err(|error| error.to_string());
    let slow = vec![Edit::Add(parse_rule("slow", 1).unwrap())];
    assert_eq!(edits("# a bad disk\n\n  #slow\n#!x\nslow\n# end"), Ok(slow));
    assert_eq!(edits("#"), Ok(Vec::new()));
    let error = edits("# one\n\nbogus").unwrap_err();
    assert!(error.starts_with("line 3, column 1: "), "{error}");
    let error = edits("slow # two").unwrap_err();
    assert!(error.starts_with("line 1, column 6: "), "{error}");
}

proptest! {
    #[test]
    fn printed_rule_parses_to_an_equal_one(rule in rule()) {
        let text = rule.to_string();
        prop_assert_eq!(parse_rule(&text, 1), Ok(rule), "{}", text);
    }

    #[test]
    fn bytes_parse_or_are_rejected_in_one_line(bytes: Vec<u8>) {
        if let Err(error) = parse_edits(&bytes) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn words_parse_or_are_rejected_in_one_line(text in "(error|slow|hang|delay|!)( [a-z]{1,6}=[ -~]{0,8}){0,4}") {
        if let Err(error) = parse_edits(text.as_bytes()) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }
}
