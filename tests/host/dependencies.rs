//! The crates that provium uses: from one registry, under licences that deny.toml allows, for the Rust version of
//! Cargo.toml or an older one. Replaces cargo-deny on machines without it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::docs::page_says;
use crate::harness::*;

/// The crates of this build, as cargo lists them.
fn packages() -> Vec<Value> {
    let host = stdout(&run(Command::new("rustc").arg("-vV")));
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", host.unwrap()])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = run(&mut cargo);
    assert_ok(&output);
    let mut all: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(all["packages"].take()).unwrap()
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// A file of the repository.
fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The parts of a licence expression between each `word` outside of parentheses.
fn parts<'a>(expression: &'a str, word: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0, 0);
    for (at, sign) in expression.char_indices() {
        match sign {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= from && expression[at..].starts_with(word) => {
                parts.push(&expression[from..at]);
                from = at + word.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[from..]);
    parts
}

/// Whether a licence expression can be met with licences from a list.
fn is_allowed(expression: &str, list: &[String]) -> bool {
    let atom = |text: &str| match text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
    {
        Some(inner) => is_allowed(inner, list),
        None => list.iter().any(|licence| licence == text),
    };
    // Old crates write a slash.
    parts(&expression.replace('/', " OR "), " OR ")
        .iter()
        .any(|choice| parts(choice, " AND ").into_iter().all(atom))
}

#[test]
fn licence_expressions_are_evaluated() {
    let list = ["MIT".to_owned(), "Unicode-3.0".to_owned()];
    for good in ["MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND Unicode-3.0"] {
        assert!(is_allowed(good, &list), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "MIT WITH x",
        "(MIT OR Unicode-3.0) AND GPL-3.0",
    ] {
        assert!(!is_allowed(bad, &list), "{bad}");
    }
}

#[test]
fn crates_have_allowed_licences() {
    let rules: toml::Table = toml::from_str(&file("deny.toml")).unwrap();
    let list: Vec<String> = rules["licenses"]["allow"].clone().try_into().unwrap();
    for package in packages() {
        let licence = text(&package, "license");
        let name = text(&package, "name");
        assert!(is_allowed(licence, &list), "{name}: {licence}");
    }
}

#[test]
fn crates_come_from_one_registry_and_have_checksums() {
    page_says(
        "docs/security.md",
        "Crates come from crates.io alone, in the versions and with the checksums of `Cargo.lock`",
    );
    for lock in ["Cargo.lock", "tests/fuzz/Cargo.lock"] {
        let lock: toml::Table = toml::from_str(&file(lock)).unwrap();
        for package in lock["package"].as_array().unwrap() {
            let name = package["name"].as_str().unwrap();
            if name.starts_with("provium") {
                continue;
            }
            let source = package["source"].as_str().unwrap();
            let crates_io = "registry+https://github.com/rust-lang/crates.io-index";
            assert_eq!(source, crates_io, "{name}");
            assert!(package.get("checksum").is_some(), "{name}");
        }
    }
}

/// Crates that do not declare which Rust they need, in the versions that were built with the oldest one. Before
/// adding one, try it: `cargo +VERSION check --locked --all-targets`.
const UNDECLARED: &str = "\
    adler2@2.0.1 arc-swap@1.9.5 cfg_aliases@0.2.2 core_detect@1.0.0 lazy_static@1.5.1 lua-src@551.0.2 \
    luajit-src@210.7.4+c6ffc14 memoffset@0.9.1 miniz_oxide@0.9.1 ordered-float@2.10.1 page_size@0.6.0 \
    qapi-codegen@0.11.3 qapi-parser@0.11.0 \
    qapi-qga@0.13.0 qapi-qmp@0.15.0 qapi-spec@0.3.2 qapi@0.15.0 rustyline-derive@0.12.0 \
    rustyline@18.0.1 scopeguard@1.2.0 seccompiler@0.5.0 serde-value@0.7.0 smallvec@1.16.6 \
    strip-ansi-escapes@0.2.1 unarray@0.1.4 utf8parse@0.2.2 xxhash-rust@0.8.21 zerocopy-derive@0.8.63";

#[test]
fn crates_need_no_newer_rust_than_the_documented_one() {
    let number = |version: &str| {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap());
        (parts.next().unwrap(), parts.next().unwrap_or(0))
    };
    let promised = env!("CARGO_PKG_RUST_VERSION");
    let tried: Vec<_> = UNDECLARED.split_whitespace().collect();
    for package in packages() {
        let (name, wanted) = (text(&package, "name"), text(&package, "rust_version"));
        let exact = format!("{name}@{}", text(&package, "version"));
        match wanted {
            "" => assert!(
                tried.contains(&exact.as_str()),
                "try {exact} with Rust {promised}"
            ),
            _ => assert!(
                number(wanted) <= number(promised),
                "{name} wants Rust {wanted}"
            ),
        }
    }
    assert!(file("README.md").contains(&format!("Rust {promised} or later")));
}
