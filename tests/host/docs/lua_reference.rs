//! docs/lua-reference.md and the stubs agree on calls, their parameters, options and defaults. The file
//! tests/host/getting_started.rs checks that the stubs agree with the code.

use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../../../docs/lua-reference.md");
const STUBS: &str = include_str!("../../../lua/meta/provium.lua");

/// Names with their defaults; an empty one where there is none.
type Names = BTreeMap<String, String>;

/// The rest of the sentence after `Default: `.
fn default_in(text: &str) -> String {
    let after = text.split("Default: ").nth(1).unwrap_or_default();
    plain(after.trim_end_matches('.'))
}

/// A default without the marks and the unit that one of the two sides may leave out.
fn plain(default: &str) -> String {
    let bare = default.trim().trim_matches('`').trim_matches('"');
    bare.trim_end_matches(" seconds").to_owned()
}

/// The calls of the stubs, in small letters as `vm:run`, with their parameters.
fn stub_calls() -> BTreeMap<String, Names> {
    let mut calls = BTreeMap::new();
    let mut documented = Names::new();
    for line in STUBS.lines() {
        if let Some(param) = line.strip_prefix("---@param ") {
            let name = param.split([' ', '?']).next().unwrap();
            documented.insert(name.to_owned(), default_in(param));
        } else if let Some(overload) = line.strip_prefix("---@overload fun(") {
            let names = overload.split(')').next().unwrap().split(", ");
            let names = names.map(|name| name.split(':').next().unwrap());
            documented.extend(names.map(|name| (name.to_owned(), String::new())));
        } else if let Some(function) = line.strip_prefix("function ") {
            documented.remove("self");
            let name = function.split('(').next().unwrap().to_lowercase();
            calls.insert(name, std::mem::take(&mut documented));
        }
    }
    calls
}

/// The fields of a class of the stubs.
fn fields(class: &str) -> Names {
    let start = format!("---@class provium.{class}\n");
    let after = STUBS.split(&start).nth(1).expect(class);
    let lines = after
        .lines()
        .map_while(|line| line.strip_prefix("---@field "));
    let named = lines.filter(|line| !line.starts_with('['));
    let field = |line: &str| {
        let name = line.split([' ', '?']).next().unwrap();
        (name.to_owned(), default_in(line))
    };
    named.map(field).collect()
}

/// The lines of the page outside of its examples.
fn prose() -> Vec<&'static str> {
    let outside = PAGE.split("```").step_by(2);
    outside.flat_map(str::lines).collect()
}

/// The parts of a text between backticks. Double backticks enclose a part that contains single ones.
fn spans(text: &str) -> Vec<&str> {
    let without_doubled = text.split("``").step_by(2);
    without_doubled
        .flat_map(|part| part.split('`').skip(1).step_by(2))
        .collect()
}

/// The parts of a text between the commas that are in no braces.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// `name`, `name?`, `name=default` or a table of options as a name with its default.
fn named(part: &str) -> (String, String) {
    if part.starts_with('{') {
        return ("options".to_owned(), String::new());
    }
    let (name, default) = part.split_once('=').unwrap_or((part, ""));
    (name.trim_end_matches('?').to_owned(), plain(default))
}

/// The calls in the tables of the page, and those that return a handle, in the form of the stubs. `vm:run(...)` stands
/// for a call without its parameters.
fn page_calls() -> BTreeMap<String, Names> {
    let mut calls: BTreeMap<String, Names> = BTreeMap::new();
    let lines = prose().into_iter();
    let lines = lines.filter(|line| line.starts_with("| `") || line.starts_with("`vm:"));
    let cells = lines.map(|line| line.split(" | ").next().unwrap());
    for span in cells.flat_map(spans) {
        let Some((name, rest)) = span.split_once('(').filter(|(name, _)| !name.contains(' '))
        else {
            continue;
        };
        let name = match name.strip_prefix(':') {
            Some(method) => format!("runresult:{method}"),
            None => name.to_owned(),
        };
        let parameters = parts(rest.strip_suffix(')').unwrap()).into_iter();
        calls.entry(name).or_default().extend(parameters.map(named));
    }
    calls
}

#[test]
fn reference_and_stubs_have_equal_calls_parameters_and_defaults() {
    let (stubs, page) = (stub_calls(), page_calls());
    let names = |calls: &BTreeMap<String, Names>| calls.keys().cloned().collect::<BTreeSet<_>>();
    let differ: Vec<_> = names(&page)
        .symmetric_difference(&names(&stubs))
        .cloned()
        .collect();
    assert_eq!(differ, [""; 0]);
    for (call, parameters) in &page {
        if !parameters.contains_key("...") {
            assert_eq!(parameters, &stubs[call], "{call}");
        }
    }
    assert!(page.len() > 80, "{}", page.len());
    assert_eq!(page["disk:wait_fired"]["timeout"], "10");
}

/// The rows of the table with this head, as their cells.
fn table(head: &str) -> Vec<Vec<&'static str>> {
    let cells = |line: &'static str| -> Vec<_> {
        line.trim_matches('|').split(" | ").map(str::trim).collect()
    };
    let mut lines = prose().into_iter();
    lines.find(|line| line.starts_with(head)).expect(head);
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(cells).collect()
}

/// The names of a table's rows with the defaults in its second column, where it has one; several names in a row have
/// theirs with commas between them.
fn rows(head: &str) -> Names {
    let mut names = Names::new();
    for row in table(head) {
        let fields = spans(row[0])
            .into_iter()
            .filter(|name| !name.starts_with(':'));
        let fields: Vec<_> = fields
            .map(|name| name.trim_start_matches("provium."))
            .collect();
        let shared = row[1].split(", ").count() == fields.len();
        for (at, field) in fields.into_iter().enumerate() {
            let default = if shared {
                row[1].split(", ").nth(at).unwrap()
            } else {
                row[1]
            };
            names.insert(field.to_owned(), plain(default));
        }
    }
    names
}

#[test]
fn reference_and_stubs_have_equal_options_and_defaults() {
    for (head, class) in [
        ("| option of `vm:boot` | default |", "BootOptions"),
        ("| option of a disk | default |", "DiskOptions"),
        ("| option of `vm:run` | default |", "RunOptions"),
        ("| option of `disk:states` | default |", "StatesOptions"),
        ("| option of `t:sweep` | default |", "SweepOptions"),
        ("| option of a power cut | default |", "PowerCut"),
    ] {
        assert_eq!(rows(head), fields(class), "{class}");
    }
    let mut of_run = fields("RunOptions");
    of_run.retain(|name, _| !name.starts_with("timeout"));
    assert_eq!(fields("RunAsyncOptions"), of_run);
}

#[test]
fn reference_and_stubs_have_equal_fields() {
    for (head, class) in [
        ("| key of `meta` |", "Meta"),
        ("| a file may set |", "Provium"),
        ("| field |", "RunResult"),
        ("| field of a state |", "State"),
        ("| field of a sweep |", "Sweep"),
        ("| field of a point |", "SweepPoint"),
    ] {
        let names: Vec<_> = rows(head).into_keys().collect();
        let fields: Vec<_> = fields(class).into_keys().collect();
        assert_eq!(names, fields, "{class}");
    }
}

/// The row of the page that begins with this.
fn row(start: &str) -> &'static str {
    let mut lines = prose().into_iter();
    lines.find(|line| line.starts_with(start)).expect(start)
}

#[test]
fn reference_table_in_braces_has_the_fields_of_its_class() {
    for (start, class) in [
        ("| `wait_until(", "WaitOptions"),
        ("| `vm:mkdir(", "MkdirOptions"),
        ("| `files` |", "BootFile"),
        ("| `disk:rules()` |", "RuleState"),
        ("| `vm:try_states(", "Tried"),
        ("| `disk:pending()` |", "Pending"),
        ("| `disk:power_cut(", "CutReport"),
        ("| `vm:listdir(", "Entry"),
    ] {
        let braces = row(start).split_once('{').unwrap().1;
        let names: Names = parts(braces.split('}').next().unwrap())
            .into_iter()
            .map(named)
            .collect();
        assert_eq!(names, fields(class), "{class}");
    }
    for (start, class) in [
        ("| `vm:stat(", "FileStat"),
        ("| `disk:fault_policy()` |", "Policy"),
    ] {
        let said = spans(row(start));
        for field in fields(class).keys() {
            assert!(said.contains(&field.as_str()), "{class}.{field}");
        }
    }
}

#[test]
fn reference_has_every_word_that_the_stubs_know() {
    let said: BTreeSet<_> = prose().into_iter().flat_map(spans).collect();
    let aliases = STUBS
        .lines()
        .filter_map(|line| line.strip_prefix("---@alias "));
    let words = aliases.flat_map(|alias| alias.split('"').skip(1).step_by(2));
    let missing: Vec<_> = words.filter(|word| !said.contains(word)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn faults_page_has_every_key_of_a_rule() {
    let faults = include_str!("../../../docs/faults.md");
    let selectors = fields("Selectors").into_keys();
    for key in selectors.filter(|key| key != "from") {
        assert!(faults.contains(&format!("`{key}=")), "{key}");
    }
    let of_rule = STUBS
        .split("---@class provium.Rule : provium.Selectors\n")
        .nth(1)
        .unwrap();
    let lines = of_rule
        .lines()
        .map_while(|line| line.strip_prefix("---@field "));
    for key in lines
        .map(|line| line.split([' ', '?']).next().unwrap())
        .skip(1)
    {
        assert!(faults.contains(&format!("{key}=")), "{key}");
    }
}
