//! The layers of docs/architecture.md: which module may use which, and how long files and functions may be.

mod source;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::docs::page_says;
use source::{Place, Source, Sources, Use};
use table::Table;

/// The most lines of a file in src/, its unit tests included.
const FILE: usize = 450;
/// The most lines of a function: in the middle, of nine in ten, of the longest.
const FUNCTIONS: [usize; 3] = [8, 25, 60];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Parsed once for all tests.
fn sources() -> &'static Sources {
    static SOURCES: LazyLock<Sources> = LazyLock::new(|| Sources::read(&root()));
    &SOURCES
}

/// The folder of src/ in which a file is: its row of the table. None for main.rs and lib.rs.
fn module(source: &Source) -> Option<&str> {
    let (folder, _) = source.file.strip_prefix("src/")?.split_once('/')?;
    Some(folder)
}

/// Asserts that there are none; shows the table that was checked.
fn assert_none(table: &Table, what: &str, found: &BTreeSet<String>) {
    let list: Vec<_> = found.iter().map(String::as_str).collect();
    assert!(
        found.is_empty(),
        "{table}\n{what}:\n  {}",
        list.join("\n  ")
    );
}

fn at(source: &Source, line: usize) -> String {
    format!("{}:{line}", source.file)
}

/// Calls `check` with each use of a path in each file that has a row.
fn each_use(sources: &Sources, mut check: impl FnMut(&Source, &str, &Use, Place)) {
    for source in sources.all() {
        if let Some(module) = module(source) {
            for one in &source.uses {
                check(source, module, one, sources.place(source, &one.path));
            }
        }
    }
}

#[test]
fn table_of_modules_has_a_row_for_each_folder() {
    let table = Table::of_the_page();
    let folders = std::fs::read_dir(root().join("src")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir());
    let names = folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let rows = table.rows.iter().map(|row| row.module.clone());
    assert_eq!(
        rows.collect::<BTreeSet<_>>(),
        names.collect::<BTreeSet<_>>(),
        "{table}"
    );
}

#[test]
fn table_of_modules_has_no_arrow_upwards() {
    let table = Table::of_the_page();
    for (at, row) in table.rows.iter().enumerate() {
        for name in &row.may_use {
            let below = table.rows[..at].iter().any(|row| row.module == *name);
            assert!(
                below,
                "{table}\n{} uses {name}, which is not below it",
                row.module
            );
        }
    }
}

#[test]
fn modules_use_only_what_their_row_names() {
    let (table, sources) = (Table::of_the_page(), sources());
    let mut wrong = BTreeSet::new();
    each_use(sources, |source, module, one, place| {
        let Place::Ours(path) = place else { return };
        let row = table.row(module).unwrap();
        let used = path.first().filter(|used| table.row(used).is_some());
        if used.is_some_and(|used| used != module && !row.may_use.contains(used)) {
            let place = at(source, one.line);
            wrong.insert(format!("{place}: {module} uses {}", path.join("::")));
        }
    });
    assert_none(&table, "not in the row of the module", &wrong);
}

#[test]
fn table_of_modules_names_nothing_unused() {
    let (table, sources) = (Table::of_the_page(), sources());
    let mut used = BTreeSet::new();
    each_use(sources, |_, module, _, place| {
        if let Place::Ours(path) = place {
            used.insert(format!(
                "{module} uses {}",
                path.first().map_or("", String::as_str)
            ));
        }
    });
    let rows = table.rows.iter();
    let named = rows.flat_map(|row| {
        row.may_use
            .iter()
            .map(|name| format!("{} uses {name}", row.module))
    });
    let unused = named.filter(|name| !used.contains(name)).collect();
    assert_none(&table, "named in the table, and not so", &unused);
}

#[test]
fn modules_do_not_know_what_their_row_forbids() {
    let (table, sources) = (Table::of_the_page(), sources());
    let mut wrong = BTreeSet::new();
    each_use(sources, |source, module, one, place| {
        let (Place::Ours(path) | Place::Other(path)) = place;
        let path = path.join("::") + "::";
        for name in &table.row(module).unwrap().must_not_know {
            if path.starts_with(&format!("{name}::")) {
                wrong.insert(format!("{}: {module} knows {name}", at(source, one.line)));
            }
        }
    });
    assert_none(&table, "forbidden by the row of the module", &wrong);
}

#[test]
fn large_dependencies_have_one_home() {
    let (table, sources) = (Table::of_the_page(), sources());
    let names: Vec<_> = table.homes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["fuser", "qapi", "mlua", "clap"]);
    let (mut wrong, mut seen) = (BTreeSet::new(), BTreeSet::new());
    each_use(sources, |source, module, one, place| {
        let Place::Other(path) = place else { return };
        let home = table.homes.iter().find(|(name, _)| *name == path[0]);
        let Some((name, homes)) = home else { return };
        seen.insert(name);
        if !homes.iter().any(|home| home == module) {
            wrong.insert(format!("{}: {module} uses {name}", at(source, one.line)));
        }
    });
    assert_eq!(seen.len(), table.homes.len(), "{seen:?}");
    assert_none(&table, "outside of its home", &wrong);
}

/// Each file with the files whose items it uses, and one line where it does.
type Imports<'a> = BTreeMap<&'a str, BTreeMap<&'a str, usize>>;

fn imports(sources: &Sources) -> Imports<'_> {
    let mut imports = Imports::new();
    for source in sources.all() {
        for one in source.uses.iter().filter(|one| !one.is_facade) {
            let Place::Ours(path) = sources.place(source, &one.path) else {
                continue;
            };
            let Some(definition) = sources.definition(&path) else {
                continue;
            };
            if definition.file != source.file {
                let used = imports.entry(&source.file).or_default();
                used.entry(&definition.file).or_insert(one.line);
            }
        }
    }
    imports
}

/// The shortest way from `from` back to itself, with the line of each step.
fn circle(imports: &Imports, from: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next = std::collections::VecDeque::from([from]);
    while let Some(file) = next.pop_front() {
        for &used in imports.get(file).into_iter().flat_map(BTreeMap::keys) {
            if used == from {
                let mut way = vec![file];
                while *way.last().unwrap() != from {
                    way.push(came_from[way.last().unwrap()]);
                }
                way.reverse();
                let ends = way[1..].iter().copied().chain([from]);
                let steps = way.iter().zip(ends);
                return Some(
                    steps
                        .map(|(a, b)| format!("{a}:{} uses {b}", imports[a][b]))
                        .collect(),
                );
            }
            if !came_from.contains_key(used) {
                came_from.insert(used, file);
                next.push_back(used);
            }
        }
    }
    None
}

#[test]
fn circle_of_imports_is_found() {
    let imports = Imports::from([
        ("a", BTreeMap::from([("b", 1)])),
        ("b", BTreeMap::from([("c", 2), ("d", 3)])),
        ("d", BTreeMap::from([("b", 4)])),
    ]);
    assert_eq!(circle(&imports, "a"), None);
    let found = circle(&imports, "b").unwrap();
    assert_eq!(found, ["b:3 uses d", "d:4 uses b"]);
}

#[test]
fn imports_are_followed_to_the_file_that_defines_them() {
    let sources = sources();
    let uses = sources
        .all()
        .flat_map(|source| source.uses.iter().map(move |one| (source, one)));
    let imports =
        uses.filter(|(source, one)| matches!(sources.place(source, &one.path), Place::Ours(_)));
    let (mut followed, mut lost) = (0, BTreeSet::new());
    for (source, one) in imports {
        let Place::Ours(path) = sources.place(source, &one.path) else {
            continue;
        };
        match sources.is_module(&path) || sources.definition(&path).is_some() {
            true => followed += 1,
            false => drop(lost.insert(format!("{}: {}", at(source, one.line), path.join("::")))),
        }
    }
    assert!(followed > 3000, "{followed}");
    assert_none(&Table::of_the_page(), "not followed", &lost);
}

#[test]
fn files_import_in_no_circle() {
    let imports = imports(sources());
    assert!(imports.len() > 100, "{}", imports.len());
    let mut circles = BTreeMap::new();
    for file in imports.keys() {
        if let Some(circle) = circle(&imports, file) {
            let key: BTreeSet<_> = circle.iter().cloned().collect();
            circles.entry(key).or_insert(circle);
        }
    }
    let lines: Vec<_> = circles
        .values()
        .map(|circle| circle.join("\n    "))
        .collect();
    assert!(lines.is_empty(), "circles:\n  {}", lines.join("\n  "));
}

/// Each file of src/ with its text, those for tests included.
fn files() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    source::find(&root().join("src"), &mut paths);
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    let read = |path: &PathBuf| (name(path), std::fs::read_to_string(path).unwrap());
    paths.iter().map(read).collect()
}

#[test]
fn files_are_short() {
    let lengths = files()
        .into_iter()
        .map(|(file, text)| (file, text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > FILE);
    let list: BTreeMap<_, _> = long.collect();
    assert!(list.is_empty(), "over {FILE} lines: {list:#?}");
}

#[test]
fn functions_are_short() {
    let mut all: Vec<_> = sources()
        .all()
        .flat_map(|source| {
            source
                .functions
                .iter()
                .map(move |one| (one.lines, source, one))
        })
        .collect();
    all.sort_by_key(|(lines, ..)| *lines);
    let of = |part: f64| all[((all.len() - 1) as f64 * part) as usize].0;
    let measured = [of(0.5), of(0.9), of(1.0)];
    let long = all.iter().filter(|(lines, ..)| *lines > FUNCTIONS[2]);
    let list: Vec<_> = long
        .map(|(lines, source, one)| format!("{}: {} has {lines}", at(source, one.line), one.name))
        .collect();
    println!("{} functions: {measured:?} lines", all.len());
    assert!(
        measured.iter().zip(FUNCTIONS).all(|(is, most)| *is <= most),
        "lines in the middle, of nine in ten, of the longest: {measured:?}, at most {FUNCTIONS:?}\n  {}",
        list.join("\n  ")
    );
}

#[test]
fn unsafe_code_is_in_one_file_and_each_use_says_why() {
    page_says(
        "docs/security.md",
        "All `unsafe` code is in `src/os/sys.rs`",
    );
    for (file, text) in files() {
        let allowed = file == "src/os/sys.rs";
        let uses = text.matches("unsafe {").count();
        assert!(allowed || uses == 0, "{file}");
        assert!(text.matches("// SAFETY:").count() >= uses, "{file}");
    }
    for source in sources().all() {
        let lines = &source.unsafe_lines;
        assert!(
            lines.len() <= source.text.matches("// SAFETY:").count(),
            "{}: {lines:?}",
            source.file
        );
    }
}

/// What serves disks, and where it starts threads before there are clients.
const SERVING: [&str; 4] = ["control", "disk", "fuse", "storage"];
const STARTS_FIRST: [&str; 2] = ["src/disk/path/delays.rs", "src/fuse/loops/mod.rs"];

/// One of std ends the whole process if there is no memory once it runs.
#[test]
fn threads_that_start_while_disks_are_served_are_of_os_thread() {
    let (table, mut wrong) = (Table::of_the_page(), BTreeSet::new());
    let mut first = BTreeSet::new();
    each_use(sources(), |source, module, one, place| {
        let Place::Other(path) = place else { return };
        let starts = ["Builder", "spawn", "scope"].map(|name| format!("std::thread::{name}"));
        let is_start = starts
            .iter()
            .any(|start| path.join("::").starts_with(start));
        match is_start && SERVING.contains(&module) {
            true if STARTS_FIRST.contains(&source.file.as_str()) => {
                first.insert(source.file.clone());
            }
            true => {
                wrong.insert(at(source, one.line));
            }
            false => (),
        }
    });
    assert_none(&table, "a thread of std", &wrong);
    assert_eq!(first.len(), STARTS_FIRST.len(), "{first:?}");
}

/// Enums of which a new variant has to be answered for everywhere.
const ANSWERED: [&str; 9] = [
    "Action",
    "ActionKind",
    "Change",
    "ControlFile",
    "Decision",
    "DiskFile",
    "Effect",
    "Op",
    "Phase",
];

#[test]
fn matches_over_actions_operations_and_control_files_name_every_variant() {
    let mut found = BTreeSet::new();
    for source in sources().all() {
        for (line, enums) in &source.wildcards {
            if let Some(name) = enums.iter().find(|name| ANSWERED.contains(&name.as_str())) {
                found.insert(format!("{}: a match over {name}", at(source, *line)));
            }
        }
    }
    assert_none(
        &Table::of_the_page(),
        "an arm for all other variants",
        &found,
    );
}

#[test]
fn files_say_what_they_are_for() {
    for (file, text) in files() {
        assert!(text.starts_with("//!"), "{file}");
    }
}
