//! The Python package in mnt-helpers/python: its own tests, its types and its style. The pages' examples in Python are
//! run by `docs::python_pages`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::*;

/// A folder of the project.
pub fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program of the environment that `mnt-helpers/setup --tests` makes; none, with a message, without it. As with
/// [`has`], that is an error with CI set.
pub fn tool(name: &str) -> Option<Command> {
    let program = folder("target/python/bin").join(name);
    if !has(&program.display().to_string()) {
        return None;
    }
    let mut command = Command::new(program);
    command
        .current_dir(folder("mnt-helpers/python"))
        .env("PROVIUM", PROVIUM)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

/// pytest on `path`, with the package as it lies in the project.
pub fn pytest(path: &Path) -> Option<Command> {
    let mut pytest = tool("pytest")?;
    pytest
        .env("PYTHONPATH", folder("mnt-helpers/python/src"))
        .env("PYTEST_PLUGINS", "provium.pytest_plugin")
        .args(["-q", "-p", "no:cacheprovider", "--strict-markers"])
        .arg(path);
    Some(pytest)
}

/// Copies what git has of the package, since a build may write into its folder.
fn install(into: &Path) -> Option<()> {
    let mut pip = tool("pip")?;
    let copy = into.join("package");
    assert_ok(&run(Command::new("cp")
        .arg("-r")
        .arg(folder("mnt-helpers/python"))
        .arg(&copy)));
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--target",
    ]);
    assert_ok(&run(pip.arg(into.join("site")).arg(&copy)));
    Some(())
}

#[test]
fn python_package_passes_its_tests_as_it_is_installed() {
    let place = TempDir::new().unwrap();
    if install(place.path()).is_none() {
        return;
    }
    let site = place.path().join("site");
    assert!(site.join("provium/py.typed").exists());
    let mut pytest = pytest(Path::new("tests")).unwrap();
    pytest.env("PYTHONPATH", &site).env_remove("PYTEST_PLUGINS");
    let output = run(&mut pytest);
    assert_ok(&output);
    assert!(!stdout(&output).contains("skipped"), "{}", stdout(&output));
}

#[test]
fn python_package_has_complete_types() {
    let Some(mut mypy) = tool("mypy") else { return };
    let cache = TempDir::new().unwrap();
    assert_ok(&run(mypy.arg("--cache-dir").arg(cache.path())));
}

#[test]
fn python_package_is_written_in_its_style() {
    for words in [["check"].as_slice(), &["format", "--check"]] {
        let Some(mut ruff) = tool("ruff") else { return };
        assert_ok(&run(ruff.args(words).arg("--no-cache")));
    }
}

/// Older versions of Python than this machine's are known by the syntax alone.
#[test]
fn python_package_says_which_python_it_needs() {
    let project = std::fs::read_to_string(folder("mnt-helpers/python/pyproject.toml")).unwrap();
    assert!(project.contains("requires-python = \">=3.9\""));
    assert!(project.contains("target-version = \"py39\""));
    assert!(project.contains(&format!("version = \"{}\"", env!("CARGO_PKG_VERSION"))));
    assert!(project.contains("dependencies = []"));
}
