//! The README and docs/ are true: runs their examples.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::Lines;

use crate::harness::*;

/// The pages that people read.
pub(super) fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let mut pages: Vec<_> = docs.map(|entry| entry.unwrap().path()).collect();
    let top = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    pages.extend(top.map(|page| root.join(page)));
    pages
}

/// The fenced blocks of one language.
pub fn blocks(page: &Path, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let fence = format!("```{language}\n");
    let after = text.split(&fence).skip(1);
    after
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

pub(super) fn with_provium_in_path(command: &mut Command) -> &mut Command {
    let folder = Path::new(PROVIUM).parent().unwrap().display();
    command.env(
        "PATH",
        format!("{folder}:{}", std::env::var("PATH").unwrap()),
    )
}

/// The commands of a session. A line that begins with `> ` goes on with the one before it.
fn commands(session: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in session.lines() {
        match (
            line.strip_prefix("$ "),
            line.strip_prefix("> "),
            commands.last_mut(),
        ) {
            (Some(command), _, _) => commands.push(command.to_owned()),
            (None, Some(more), Some(command)) => *command += &format!("\n{more}"),
            (None, ..) => {}
        }
    }
    commands
}

/// Runs the commands of all console blocks of a page in one shell, and compares what each prints.
#[test]
fn console_sessions_print_what_the_page_shows() {
    for page in pages() {
        let session = blocks(&page, "console").concat();
        if session.is_empty() {
            continue;
        }
        let script: String = commands(&session)
            .iter()
            .map(|command| {
                let shown = command.replace('\'', "'\\''").replace('\n', "\n> ");
                format!("echo '$ {shown}'\n{command}\n")
            })
            .collect();
        let folder = TempDir::new().unwrap();
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("exec 2>&1\n{script}")])
            .current_dir(folder.path());
        let output = stdout(&run(with_provium_in_path(&mut bash)));
        let mount = folder.path().join("mnt");
        if is_mounted(&mount) {
            provium(&["umount", &mount.display().to_string()]);
        }
        assert_eq!(output, session, "{}", page.display());
    }
}

#[test]
fn lua_examples_pass() {
    if !has("qemu-system-x86_64") || !crate::run_folder::has_guest() {
        return;
    }
    for page in pages() {
        let folder = TempDir::new().unwrap();
        let examples = blocks(&page, "lua");
        for (at, example) in examples.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{at}.test.lua")), example).unwrap();
        }
        if !examples.is_empty() {
            let mut test = Command::new(PROVIUM);
            let output = run(test
                .args(["test", "--timeout", "300", "."])
                .current_dir(folder.path()));
            assert_ok(&output);
        }
    }
}

#[test]
fn example_configurations_are_valid() {
    for page in pages() {
        for example in blocks(&page, "toml") {
            let folder = TempDir::new().unwrap();
            std::fs::write(folder.path().join("provium.toml"), example).unwrap();
            std::fs::create_dir(folder.path().join("tests")).unwrap();
            let output = run(Command::new(PROVIUM).arg("test").current_dir(folder.path()));
            assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        }
    }
}

/// QEMU may forget a flush without `driver=raw` above the file, and hides errors from the guest without the
/// policies.
#[test]
fn qemu_lines_have_raw_above_the_file_and_report_errors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = std::fs::read_dir(root.join("examples")).unwrap();
    let files = examples.map(|entry| entry.unwrap().path()).chain(pages());
    let texts = files.map(|file| std::fs::read_to_string(file).unwrap_or_default());
    let help = stdout(&provium(&["mount", "--help"]));
    let mut seen = 0;
    for text in texts.chain([help]) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in text.split("-blockdev ").skip(1) {
            let mut words = line.split(' ');
            let node = words.next().unwrap();
            let (raw, file) = node.split_once("file.driver=file").expect(node);
            assert!(raw.contains("driver=raw"), "{node}");
            assert!(file.contains("file.filename="), "{node}");
            let device = words.find(|word| word.starts_with("virtio-blk-pci,"));
            let device = device.expect(line);
            assert!(device.contains("werror=report,rerror=report"), "{device}");
            seen += 1;
        }
        assert!(
            !text.contains("-drive file="),
            "a drive without its policies"
        );
    }
    assert!(seen >= 3, "{seen}");
}

/// The anchor of a heading, as links name it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    text.chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn links_lead_to_files_and_headings() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap())
        {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                _ => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{link} in {}", page.display());
            let text = std::fs::read_to_string(&target).unwrap_or_default();
            let mut headings = text.lines().filter(|line| line.starts_with('#'));
            let is_there = headings.any(|line| anchor(line) == heading);
            assert!(
                heading.is_empty() || is_there,
                "{link} in {}",
                page.display()
            );
        }
    }
}

/// The commands of a CI recipe, in order: the text of `run:`, the items of `script:`, the steps `sh '...'`.
fn scripts(recipe: &str) -> Vec<String> {
    let mut scripts = Vec::new();
    let mut lines = recipe.lines().peekable();
    while let Some(line) = lines.next() {
        let key = line.trim_start_matches([' ', '-']);
        let depth = line.len() - key.len();
        if key == "run: |" {
            scripts.push(deeper(&mut lines, depth).join("\n"));
        } else if key == "script:" || key == "before_script:" {
            let items = deeper(&mut lines, depth).into_iter();
            scripts.extend(items.map(|item| item.trim_start_matches("- ").to_owned()));
        } else if let Some(command) = key.strip_prefix("run: ") {
            scripts.push(command.to_owned());
        } else if let Some(step) = key.strip_prefix("sh '") {
            scripts.push(step.trim_end_matches('\'').to_owned());
        }
    }
    scripts
}

/// The next lines, as far as they are indented by more than `depth`; without their indentation.
fn deeper<'a>(lines: &mut Peekable<Lines<'a>>, depth: usize) -> Vec<&'a str> {
    let is_deeper = |line: &&str| line.len() - line.trim_start().len() > depth;
    let mut found = Vec::new();
    while let Some(line) = lines.next_if(is_deeper) {
        found.push(line.trim());
    }
    found
}

/// How many machines share the tests of a recipe.
fn parts(recipe: &str) -> usize {
    let value = |key: &str| {
        let mut lines = recipe.lines();
        lines.find_map(|line| line.trim().strip_prefix(key))
    };
    match value("part: ") {
        Some(list) => list.split(',').count(),
        None => value("parallel: ").map_or(1, |count| count.parse().unwrap()),
    }
}

/// Whether a line prepares a machine; this one is ready.
fn installs(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    first.ends_with("mnt-helpers/setup")
        || ["sudo", "apt", "apt-get", "git"].contains(&first)
        || line.trim_start().starts_with("cargo install")
}

const FILES: [&str; 4] = ["a", "b", "c", "d"];

/// A project with ten tests in each of its files, enough for each part of a recipe. None needs a guest.
fn project() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("provium.toml"), "").unwrap();
    let tests = folder.path().join("tests");
    std::fs::create_dir(&tests).unwrap();
    for file in FILES {
        let lua = format!("for n = 10, 19 do test('{file}-' .. n, function(t) end) end");
        std::fs::write(tests.join(format!("{file}.test.lua")), lua).unwrap();
    }
    folder
}

/// Runs a recipe as one of its machines, and gives the names of the tests in its JUnit report.
fn run_recipe(recipe: &str, part: usize) -> Vec<String> {
    let folder = project();
    for script in scripts(recipe) {
        let script = script.replace("${{ matrix.part }}", &part.to_string());
        let lines: Vec<_> = script.lines().filter(|line| !installs(line)).collect();
        let mut bash = Command::new("bash");
        bash.args(["-exc", &lines.join("\n")])
            .current_dir(folder.path())
            .env("GITHUB_PATH", folder.path().join("path"))
            .env("CI_NODE_INDEX", part.to_string())
            .env("CI_NODE_TOTAL", parts(recipe).to_string());
        assert_ok(&run(with_provium_in_path(&mut bash)));
    }
    let report = folder.path().join("report.xml");
    assert!(report.exists(), "no JUnit report:\n{recipe}");
    test_names(&std::fs::read_to_string(report).unwrap())
}

/// The names of the test cases in a JUnit report.
fn test_names(report: &str) -> Vec<String> {
    let cases = report.split("<testcase").skip(1);
    let name = |case: &str| {
        let from = case.split(" name=\"").nth(1).unwrap();
        from.split('"').next().unwrap().to_owned()
    };
    cases.map(name).collect()
}

/// Runs each recipe as each of its machines, which together run every test once.
#[test]
fn ci_recipes_run_each_test_once() {
    let of_page = |page: &PathBuf| [blocks(page, "yaml"), blocks(page, "groovy")].concat();
    let recipes: Vec<_> = pages().iter().flat_map(of_page).collect();
    assert!(recipes.iter().any(|recipe| parts(recipe) > 1));
    let of_file = |file: &str| (10..20).map(|n| format!("{file}-{n}")).collect::<Vec<_>>();
    let expected = FILES.map(of_file).concat();
    for recipe in &recipes {
        let reports = (1..=parts(recipe)).map(|part| run_recipe(recipe, part));
        let mut ran: Vec<_> = reports.flatten().collect();
        ran.sort();
        assert_eq!(ran, expected, "{recipe}");
    }
}
