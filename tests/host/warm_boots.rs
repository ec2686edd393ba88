//! Saved states of real guests, through the command line. Each test has its own cache.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::docs::page_says;
use crate::harness::*;
use crate::lua_suite::assert_report;
use crate::run_folder::{RunFolder, has_guest};

/// Logs whether the QEMU of this run waited for a saved state.
const HOW: &str = r#"
    function how(t, profile, options)
      local vm = provium:vm('v', profile or 'default'):boot(options)
      vm:run('true'):assert_ok()
      local look = io.popen([[for p in /proc/[0-9]*; do
        grep -qz "^XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR\$" $p/environ && tr '\0' ' ' < $p/cmdline && echo
      done 2> /dev/null | grep -c "qemu-system.* [-]incoming"]])
      t:log(look:read('n') > 0 and 'it was resumed' or 'it has booted')
      look:close()
    end
    "#;

struct Cache {
    folder: RunFolder,
}

impl Cache {
    /// A cache with nothing but the guest; None if this machine cannot run guests.
    fn new() -> Option<Self> {
        if !has("qemu-system-x86_64") || !has_guest() {
            return None;
        }
        let folder = RunFolder::new();
        let listed = stdout(&provium(&["guest", "list"]));
        let guest = listed
            .lines()
            .nth(1)
            .unwrap()
            .split("  ")
            .last()
            .unwrap()
            .trim();
        let guests = PathBuf::from(guest).parent().unwrap().to_owned();
        std::fs::create_dir_all(folder.path("cache/provium")).unwrap();
        std::os::unix::fs::symlink(guests, folder.path("cache/provium/guest")).unwrap();
        folder.write("one.test.lua", &format!("{HOW} test('one', how)"));
        Some(Self { folder })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.folder.command(args);
        command.env("XDG_CACHE_HOME", self.folder.path("cache"));
        command.env_remove("PROVIUM_COLD");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let Ok(files) = self.folder.path("cache/provium/warm").read_dir() else {
            return Vec::new();
        };
        let paths = files.map(|file| file.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|end| end == kind))
            .collect()
    }

    fn state(&self) -> PathBuf {
        let [state] = &self.files("state")[..] else {
            panic!("there is not one state: {:?}", self.files("state"));
        };
        state.clone()
    }
}

#[test]
fn second_boot_resumes_the_saved_state_of_the_first() {
    page_says(
        "docs/testing.md",
        "| of all guests | `provium test --cold`, or `PROVIUM_COLD=1` |",
    );
    page_says(
        "docs/testing.md",
        "`provium guest list` shows the states, and `provium guest clean` removes them",
    );
    let Some(cache) = Cache::new() else { return };
    let test = ["test", "one.test.lua"];
    assert_report(&cache.run(&test), 0, &["it has booted"]);
    let state = std::fs::read(cache.state()).unwrap();
    assert_report(&cache.run(&test), 0, &["it was resumed"]);
    // A guest's writes to its memory do not reach the state.
    assert!(std::fs::read(cache.state()).unwrap() == state);
    assert_report(
        &cache.run(&[&test[..], &["--cold"]].concat()),
        0,
        &["it has booted"],
    );
    let by_variable = run(cache.command(&test).env("PROVIUM_COLD", "1"));
    assert_report(&by_variable, 0, &["it has booted"]);
    // A build server restores its cache at another path, with other inodes and times.
    let copy = cache.folder.path("copy");
    let cp = ["-rL", "cache"].map(|word| word.to_owned());
    let cp = run(Command::new("cp")
        .args(cp)
        .arg(&copy)
        .current_dir(cache.folder.path("")));
    assert!(cp.status.success());
    let elsewhere = run(cache.command(&test).env("XDG_CACHE_HOME", &copy));
    assert_report(&elsewhere, 0, &["it was resumed"]);
    let state = cache.state().display().to_string();
    assert_report(
        &cache.run(&["guest", "list"]),
        0,
        &["SAVED", "256M", &state],
    );
    assert_report(&cache.run(&["guest", "clean"]), 0, &["MiB of saved states"]);
    assert!(cache.files("state").is_empty());
    assert_report(
        &cache.run(&["guest", "list"]),
        0,
        &["no booted guest is saved"],
    );
}

#[test]
fn damaged_state_is_dropped_and_made_again() {
    page_says(
        "docs/testing.md",
        "A damaged state, or one that QEMU does not accept, is dropped and saved again; the log says so",
    );
    let Some(cache) = Cache::new() else { return };
    let test = ["test", "one.test.lua"];
    assert_report(&cache.run(&test), 0, &["it has booted"]);
    let file = OpenOptions::new().write(true).open(cache.state()).unwrap();
    file.write_all_at(b"damage", file.metadata().unwrap().len() / 2)
        .unwrap();
    let report = cache.run(&test);
    assert_report(
        &report,
        0,
        &["it has booted", "its saved state is dropped and made again"],
    );
    assert_report(&cache.run(&test), 0, &["it was resumed"]);
    let file = OpenOptions::new().write(true).open(cache.state()).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    assert_report(
        &cache.run(&test),
        0,
        &["dropped and made again: it is cut off"],
    );
}

#[test]
fn concurrent_runners_share_the_states() {
    let Some(cache) = Cache::new() else { return };
    let runner = || {
        let mut command = cache.command(&["test", "one.test.lua"]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    for expected in ["1 passed", "it was resumed"] {
        let both = [runner(), runner()];
        for runner in both {
            assert_report(&runner.wait_with_output().unwrap(), 0, &[expected]);
        }
        cache.state();
        assert!(cache.files("new").is_empty());
    }
}

#[test]
fn runner_killed_while_it_saves_a_state_leaves_nothing() {
    let Some(cache) = Cache::new() else { return };
    let kill_while_it_saves = || {
        let mut runner = cache.command(&["test", "one.test.lua"]);
        let silent = runner.stdout(Stdio::null()).stderr(Stdio::null());
        let mut runner = silent.spawn().unwrap();
        // A guest boots first.
        eventually_within(3 * PATIENCE, "it saves a state", || {
            let has_begun = |file: &PathBuf| file.metadata().is_ok_and(|file| file.len() > 0);
            cache.files("new").iter().any(has_begun) || !cache.files("state").is_empty()
        });
        runner.kill().unwrap();
        runner.wait().unwrap();
        cache.folder.assert_nothing_left();
        cache.files("state").is_empty()
    };
    // On a machine that is busy it may be done before this test has a processor.
    let killed_in_time = (0..20).any(|_| {
        let mut done = cache.files("state").into_iter();
        done.try_for_each(std::fs::remove_file).unwrap();
        kill_while_it_saves()
    });
    assert!(killed_in_time);
    assert_report(&cache.run(&["test", "one.test.lua"]), 0, &["it has booted"]);
    assert!(cache.files("new").is_empty());
    assert_report(
        &cache.run(&["test", "one.test.lua"]),
        0,
        &["it was resumed"],
    );
}

#[test]
fn state_that_cannot_be_resumed_is_replaced_by_a_boot_that_the_log_explains() {
    page_says(
        "docs/testing.md",
        "They boot cold, and the log says why: - the kernel command line has `root=`",
    );
    let Some(cache) = Cache::new() else { return };
    let lua = format!(
        "{HOW} test('root', function(t) how(t, 'default', {{kernel_cmdline = 'root=/dev/vda'}}) end)"
    );
    cache.folder.write("root.test.lua", &lua);
    let said = "vm `v`: it boots cold: its kernel is told `root=/dev/vda`";
    assert_report(
        &cache.run(&["test", "root.test.lua"]),
        0,
        &["it has booted", said],
    );
    assert!(cache.files("state").is_empty());
}
