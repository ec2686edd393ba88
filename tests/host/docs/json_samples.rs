//! The samples of docs/command-line.md: each has the shape of what its command prints.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::examples::blocks;
use crate::harness::*;

const PAGE: &str = "docs/command-line.md";

/// The page's samples, each with the command that stands above it.
fn samples() -> Vec<(String, Vec<Value>)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let text = std::fs::read_to_string(&page).unwrap();
    let before = text.split("```json\n").map(|part| {
        let line = part.trim_end().lines().next_back().unwrap_or_default();
        line.trim_matches('`').to_owned()
    });
    let values = blocks(&page, "json").into_iter().map(|block| {
        let values = serde_json::Deserializer::from_str(&block).into_iter();
        values.map(Result::unwrap).collect()
    });
    before.zip(values).collect()
}

/// Why `found` has not the shape of `sample`: other keys, or values of other types. Where the sample has null,
/// anything is right; an empty array says nothing about elements.
fn difference(sample: &Value, found: &Value, place: &str) -> Option<String> {
    match (sample, found) {
        (Value::Object(sample), Value::Object(found)) => {
            let keys =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            if keys(sample) != keys(found) {
                return Some(format!("{place}: {:?} and {:?}", keys(sample), keys(found)));
            }
            let mut pairs = sample.iter();
            pairs.find_map(|(key, value)| difference(value, &found[key], &format!("{place}.{key}")))
        }
        (Value::Array(sample), Value::Array(found)) => {
            let element = sample.first()?;
            let mut found = found.iter();
            found.find_map(|found| difference(element, found, &format!("{place}[]")))
        }
        (Value::Null, _) | (_, Value::Null) => None,
        _ if std::mem::discriminant(sample) == std::mem::discriminant(found) => None,
        _ => Some(format!("{place}: {sample} and {found}")),
    }
}

/// The mount of the samples.
fn mount() -> Mount {
    let mount = Mount::new();
    mount.arm("slow at=8+1 times=3");
    let log = mount.folder().join("disk.log");
    mount
        .append("vda/log", &format!("start {}", log.display()))
        .unwrap();
    mount
}

/// What `command` prints, with `mnt` for the mount.
fn printed(mount: &Mount, command: &str) -> Vec<Value> {
    let words = shlex::split(command).unwrap();
    let mut provium = Command::new(PROVIUM);
    for word in &words[1..] {
        match word.strip_prefix("mnt") {
            Some(rest) => provium.arg(format!("{}{rest}", mount.point().display())),
            None => provium.arg(word),
        };
    }
    let output = if words[1] == "trace" {
        traced(mount, &mut provium)
    } else {
        stdout(&run(&mut provium))
    };
    let values = serde_json::Deserializer::from_str(&output).into_iter();
    values.map(Result::unwrap).collect()
}

/// What a trace prints while the disk is read, marked, and loses its power.
fn traced(mount: &Mount, trace: &mut Command) -> String {
    let mut trace = trace.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(trace.stdout.take().unwrap()).lines();
    let mut text = lines.next().unwrap().unwrap();
    read_sector(mount, 8).unwrap();
    mount.append("vda/mark", "after the read").unwrap();
    mount.append("vda/power", "cut").unwrap();
    mount.append("vda/power", "on").unwrap();
    for line in lines.by_ref().take(4) {
        text += &line.unwrap();
    }
    send(trace.id(), libc::SIGINT);
    assert!(trace.wait().unwrap().success());
    text
}

#[test]
fn sample_of_each_command_that_prints_json_has_its_shape() {
    let samples = samples();
    let commands: Vec<_> = samples
        .iter()
        .map(|(command, _)| command.as_str())
        .collect();
    for command in [
        "status",
        "fault",
        "power",
        "record",
        "top",
        "trace",
        "guest list",
        "doctor",
    ] {
        let has = commands
            .iter()
            .any(|known| known.starts_with(&format!("provium {command} ")));
        assert!(has, "no sample of {command} in {commands:?}");
    }
    for (command, sample) in samples {
        assert!(
            command.starts_with("provium ") && command.contains("--json"),
            "{command}"
        );
        let found = printed(&mount(), &command);
        assert_eq!(sample.len(), found.len(), "{command}: {found:?}");
        for (sample, found) in sample.iter().zip(&found) {
            let difference = difference(sample, found, "");
            assert!(
                difference.is_none(),
                "{command}: {}\n{found:#}",
                difference.unwrap()
            );
        }
    }
}

#[test]
fn other_keys_and_types_are_differences() {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let differ = |a: &str, b: &str| difference(&json(a), &json(b), "").is_some();
    assert!(!differ(
        r#"[{"a": 1, "b": null}]"#,
        r#"[{"a": 2, "b": "x"}, {"b": 1, "a": 3}]"#
    ));
    assert!(differ(r#"[{"a": 1}]"#, r#"[{"a": 1}, {"a": "x"}]"#));
    assert!(differ(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#));
    assert!(differ(r#"{"a": {"b": 1}}"#, r#"{"a": {"c": 1}}"#));
}
