//! Ten tests that are broken on purpose, in `broken/`: the report of each says why, on one screen, and so do the folder
//! that it leaves and the other reports.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

use crate::harness::*;
use crate::lua_suite::{Suite, assert_report};
use crate::run_folder::{RunFolder, has_guest};

/// The lines that a terminal has beside those of a shell.
const SCREEN: usize = 40;

/// A run of all of them, and its report; None if this machine cannot run guests.
fn broken() -> Option<&'static (RunFolder, String)> {
    static RUN: LazyLock<Option<(RunFolder, String)>> = LazyLock::new(|| {
        if !has("qemu-system-x86_64") || !has_guest() {
            return None;
        }
        let folder = RunFolder::new();
        let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/broken");
        for file in broken.read_dir().unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            folder.write(name, &std::fs::read_to_string(&file).unwrap());
        }
        let args = ["test", "-j", "2", "--artifacts", "kept", "--junit", "r.xml"];
        let output = run(&mut folder.command(&args));
        assert_report(&output, 1, &["0 passed, 10 failed"]);
        Some((folder, stdout(&output)))
    });
    RUN.as_ref()
}

/// Asserts that the report of the test has all `texts`, and none of its boot; and fits on a screen.
fn assert_explained(test: &str, texts: &[&str]) {
    let Some((_, report)) = broken() else { return };
    let name = format!(".test.lua: {test} (");
    let is_it = |line: &&str| line.starts_with("FAIL") && line.contains(&name);
    let lines = report.lines().skip_while(|line| !is_it(line)).skip(1);
    let lines: Vec<_> = lines
        .take_while(|line| line.starts_with("      "))
        .collect();
    let text = lines.join("\n");
    for expected in texts {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    assert!(!text.contains("Run /init as init process"), "{text}");
    assert!(lines.len() <= SCREEN, "{} lines:\n{text}", lines.len());
}

#[test]
fn failed_assertion_says_what_the_test_and_its_disk_did() {
    let texts = [
        ":5: the first sector: hello ~= HELLO",
        "disk a.vda: ",
        " I/Os, all done; no rule is armed",
    ];
    assert_explained("assertion", &texts);
}

#[test]
fn time_out_of_a_held_read_begins_with_the_request_and_its_rule() {
    let Some((_, report)) = broken() else { return };
    let held = "read of sector 2048 of disk vda has been held for ";
    let is_it = |line: &&str| line.starts_with("FAIL") && line.contains("held read (");
    let mut lines = report.lines().skip_while(|line| !is_it(line));
    let first = lines.nth(1).unwrap();
    assert!(first.trim_start().starts_with(held), "{first}");
    let texts = [
        "by rule `hang op=read max=1m then=EIO at=2048+8`: release it, or give the rule a shorter max=",
        ": vm:run: the test's time is up",
        "in vm a:run(\"dd if=/dev/disk/by-id/virtio-vda of=/dev/null bs=4k count=512 iflag=direct\"), after ",
        "rule `hang op=read max=1m then=EIO at=2048+8` fired 1x (1 matched)",
        ": read 2048+8, by `hang",
        "  read 2040+8: ok after ",
    ];
    assert_explained("held read", &texts);
}

#[test]
fn panic_of_the_guest_shows_the_lines_around_it() {
    let texts = [
        "the guest's kernel panicked: [",
        "| about to crash",
        "Kernel panic - not syncing: sysrq triggered crash",
        "in vm a:run(\"echo about to crash",
    ];
    assert_explained("panic", &texts);
}

#[test]
fn reboot_of_the_guest_is_named_and_its_cause_shown() {
    let texts = [
        "the guest of vm `a` has rebooted: its kernel ",
        "| about to reboot",
        "sysrq: Resetting",
    ];
    assert_explained("reboot", &texts);
}

#[test]
fn missing_disk_is_named_with_the_command() {
    let texts = [
        "`dd if=/dev/vdb of=/dev/null bs=4k count=1`: command failed: status=exited code=1",
        "No such file or directory",
        "disk a.vda: ",
    ];
    assert_explained("missing disk", &texts);
}

#[test]
fn lost_write_shows_its_rule_its_damage_and_its_place() {
    let texts = [
        "bytes that are not what was written: 4096 ~= 0",
        "rule `lose op=write at=8+8 times=1` fired 1x (1 matched)",
        "damaged: 8+8 lost, by `lose op=write at=8+8 times=1`",
        "  write 8+8: lost after ",
    ];
    assert_explained("lost write", &texts);
}

#[test]
fn torn_write_shows_where_the_data_differ_and_the_rule() {
    let texts = [
        "(4096 and 4096 bytes; byte 1537 is the first that differs: offset 0 of sector 3)",
        "rule `tear op=write keep=3 then=ok at=0+8` fired 1x (1 matched)",
        "damaged: 3+5 torn, by `tear",
        "  write 0+8: torn after ",
    ];
    assert_explained("torn write", &texts);
}

#[test]
fn time_out_names_the_call_that_was_under_way() {
    let texts = [
        "the test's time is up",
        "vm a:run(\"test -e /run/ready\"), ",
        " such call in a row",
    ];
    assert_explained("time-out", &texts);
}

#[test]
fn silent_agent_is_named_with_the_command() {
    let texts = [
        "the test's time is up: the guest agent has not answered for ",
        "in vm a:run(\"kill -STOP $(pidof qemu-ga)\"), after ",
    ];
    assert_explained("agent silent", &texts);
}

#[test]
fn lua_error_names_what_would_have_been_right() {
    let texts = [
        ":4: disk:fault_inject: unknown mode `eio_raed` (valid: eio_read, eio_write, slow)",
        "in disk a.vda:fault_inject(\"eio_raed\"), after ",
    ];
    assert_explained("Lua error", &texts);
}

#[test]
fn run_ends_with_a_list_of_its_failures_and_the_line_that_runs_them_again() {
    let Some((_, report)) = broken() else { return };
    let (_, list) = report.split_once("\n10 failures:\n").unwrap();
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines[10], "run again: provium test --rerun-failed");
    let line = lines
        .iter()
        .find(|line| line.contains(" torn write: "))
        .unwrap();
    assert!(
        line.starts_with("  07-torn-write.test.lua:6 torn write: what was written: AAA"),
        "{line}"
    );
    let line = lines
        .iter()
        .find(|line| line.contains(" held read: "))
        .unwrap();
    assert!(
        line.starts_with("  02-held-read.test.lua:5 held read: read of sector 2048 "),
        "{line}"
    );
}

#[test]
fn folder_of_a_failed_test_has_what_its_report_cuts_short() {
    let Some((folder, _)) = broken() else { return };
    let kept = folder.path("kept");
    let folders: Vec<_> = kept
        .read_dir()
        .unwrap()
        .flatten()
        .map(|it| it.path())
        .collect();
    assert_eq!(folders.len(), 10, "{folders:?}");
    let is_held = |path: &&std::path::PathBuf| path.to_str().unwrap().contains("held-read");
    let held = folders.iter().find(is_held).unwrap();
    let read = |name: &str| std::fs::read_to_string(held.join(name)).unwrap();
    assert!(read("error.txt").starts_with("read of sector 2048 of disk vda"));
    let trace = read("disks/a.vda/trace");
    assert!(trace.lines().count() > 250, "{trace}");
    let read_2040 = trace.lines().find(|line| line.contains(" read 2040 8 ok "));
    let time: f64 = read_2040
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert!(read("disks/a.vda/rules").starts_with("hang op=read max=1m then=EIO at=2048+8 "));
    assert!(read("disks/a.vda/inflight").starts_with("read 2048 8 "));
    assert!(
        read("disks/a.vda/stats").contains("read_answered "),
        "{}",
        read("disks/a.vda/stats")
    );
    for name in ["damage", "pending", "disk.json"] {
        assert!(held.join("disks/a.vda").join(name).exists(), "{name}");
    }
    let test: serde_json::Value = serde_json::from_str(&read("test.json")).unwrap();
    assert_eq!(test["name"], "held read");
    assert_eq!(test["line"], 3);
    assert_eq!(test["outcome"], "failed");
    let command = "provium test 02-held-read.test.lua --filter 'held read'";
    assert_eq!(test["command"], command);
    for version in ["provium", "qemu", "kernel"] {
        assert!(test["versions"][version].is_string(), "{test}");
    }
    assert!(test["seeds"]["rules"]["a.vda"].is_u64(), "{test}");
    let (began, ended) = (
        test["began"].as_f64().unwrap(),
        test["ended"].as_f64().unwrap(),
    );
    assert!(
        began < time && time < ended,
        "one clock: {began} {time} {ended}"
    );
    let calls = read("calls");
    assert!(
        calls.contains(" disk a.vda:fault_inject(\"hang op=read at=2048+8\")"),
        "{calls}"
    );
}

#[test]
fn junit_report_of_a_failed_test_has_its_place_versions_seeds_and_folder() {
    let Some((folder, _)) = broken() else { return };
    let xml = std::fs::read_to_string(folder.path("r.xml")).unwrap();
    for text in [
        "file=\"02-held-read.test.lua\" line=\"3\"",
        "<property name=\"artifacts\" value=\"kept/02-held-read",
        "<property name=\"version kernel\" value=\"",
        "<property name=\"seed a.vda\" value=\"",
        "<property name=\"run again\" value=\"provium test 02-held-read",
        "<system-err>calls:\n",
    ] {
        assert!(xml.contains(text), "{text:?} is not in: {xml}");
    }
}

#[test]
fn read_of_the_test_itself_that_is_held_is_named_when_its_process_is_stopped() {
    if !has("qemu-system-x86_64") || !has_guest() {
        return;
    }
    let folder = RunFolder::new();
    folder.write("provium.toml", "[provium]\nroots = ['.']\n");
    let lua = "
        local vm = provium:vm('a', 'default')
        os.execute('truncate -s 1M x.img')
        local disk = vm:attach_disk({id = 'vda', image = 'x.img'})
        test('stuck', function(t)
          disk:read_sectors(0, 1)
          disk:fault_inject('hang op=read at=8+8')
          t:log('before')
          disk:read_sectors(8, 1)
        end)";
    folder.write("a.test.lua", lua);
    let held = "read of sector 8 of disk vda has been held for ";
    let output = in_ample_time(|seconds| {
        let _ = std::fs::remove_dir_all(folder.path("kept"));
        let times = [seconds, 2.0 * seconds].map(|seconds| seconds.to_string());
        let args = ["test", "--slow-after", &times[0], "--timeout", &times[1]];
        let began = Instant::now();
        let output = run(folder.command(&args).args(["--artifacts", "kept"]));
        let took = began.elapsed();
        assert!(took < 3 * PATIENCE, "the request is let go: {took:?}");
        let report = stdout(&output);
        let lines: Vec<_> = report.lines().collect();
        let mut pairs = lines.windows(2);
        let is_told = pairs.any(|pair| pair[0].starts_with("SLOW") && pair[1].contains(held));
        // Else it was called slow before it came there.
        is_told.then_some(output)
    });
    let texts = [
        held,
        "the test's process was stopped: its time was up",
        "in disk a.vda:read_sectors(8, 1), for ",
        "  read 0+1: ok after ",
        "fired 1x (1 matched)",
    ];
    assert_report(&output, 1, &texts);
    let kept = folder.path("kept").read_dir().unwrap().next().unwrap();
    let calls = std::fs::read_to_string(kept.unwrap().path().join("calls")).unwrap();
    assert!(calls.contains(" t:log(before)"), "{calls}");
    assert!(
        calls.ends_with(" disk a.vda:read_sectors(8, 1) ...\n"),
        "{calls}"
    );
}

/// The numbers of a disk that rules count and decide by, with somebody who reads the trace or without.
fn counted(reads_trace: bool) -> String {
    let mount = Mount::new();
    let trace = mount.ctl("vda/trace");
    let trace = reads_trace.then(|| std::fs::File::open(trace).unwrap());
    mount.arm(
        "error op=read p=0.5 seed=7 tag=a\ndelay op=read by=1ms every=3\nlose op=write times=2",
    );
    let answers: Vec<_> = (0..64)
        .map(|sector| read_sector(&mount, sector).is_ok())
        .collect();
    let rules = mount.read("vda/rules");
    let counters = rules
        .lines()
        .map(|line| line.split(" age=").next().unwrap());
    let counters: Vec<_> = counters.collect();
    drop(trace);
    format!("{answers:?} {counters:?}")
}

#[test]
fn reader_of_a_trace_changes_nothing_that_rules_do_or_count() {
    assert_eq!(counted(true), counted(false));
}

#[test]
fn retries_and_rounds_leave_folders_of_their_own_and_passed_tests_none() {
    let lua = "test('bad', function(t) error('no') end) test('good', function(t) end)";
    let suite = Suite::new(&[("a", lua), ("b", "this does not parse")]);
    let args = ["--artifacts", "kept", "--retries", "1", "--repeat", "2"];
    assert_report(&suite.test(&args), 1, &["kept in kept/a.test.lua-bad-"]);
    let folders = suite.path().join("kept").read_dir().unwrap().flatten();
    let mut names: Vec<_> = folders
        .map(|it| it.file_name().into_string().unwrap())
        .collect();
    names.sort();
    let bad = names
        .iter()
        .filter_map(|name| name.strip_prefix("a.test.lua-bad-"));
    // After the hash of eight digits.
    let mut bad: Vec<_> = bad.map(|rest| &rest[8..]).collect();
    bad.sort_unstable();
    assert_eq!(bad, ["", "-round2", "-round2-try2", "-try2"]);
    assert!(
        names
            .iter()
            .any(|name| name.starts_with("b.test.lua-the-file-")),
        "{names:?}"
    );
    assert!(!names.iter().any(|name| name.contains("good")), "{names:?}");
}

#[test]
fn artifacts_that_cannot_be_kept_are_refused_before_anything_runs() {
    let suite = Suite::new(&[(
        "a",
        "test('x', function(t) io.open('ran', 'w'):close() end)",
    )]);
    suite.write("file", "");
    assert_report(
        &suite.test(&["--artifacts", "file/x"]),
        2,
        &["--artifacts file/x: "],
    );
    assert!(!suite.path().join("ran").exists());
}

#[test]
fn github_gets_an_annotation_of_each_failure_and_only_there() {
    let lua = "
        test('bad: 50%, x', function(t)
          error('no\\nnever')
        end)
        test('good', function(t) end)";
    let suite = Suite::new(&[("a", lua)]);
    let on_github = |value: &str| {
        let mut command = suite.command(&[]);
        command.env("GITHUB_ACTIONS", value);
        stdout(&run(command.env("GITHUB_WORKSPACE", suite.path())))
    };
    let output = on_github("true");
    let annotations: Vec<_> = output
        .lines()
        .filter(|line| line.starts_with("::"))
        .collect();
    assert_eq!(
        annotations,
        [
            "::error file=a.test.lua,line=3,title=a.test.lua%3A bad%3A 50%25%2C x::a.test.lua:3: no%0Anever"
        ]
    );
    assert!(!on_github("").contains("::error"));
}

#[test]
fn list_as_json_has_file_line_name_and_tags() {
    let lua = "\ntest('x\\27', {tags = {'quick'}}, function(t) end)\nfor n = 1, 2 do\n test('n' .. n, print)\nend";
    let suite = Suite::new(&[("a", lua)]);
    let output = suite.test(&["--list", "--json"]);
    assert_report(&output, 0, &[]);
    assert_eq!(
        stdout(&output),
        "{\"file\":\"a.test.lua\",\"line\":2,\"name\":\"x\\u001b\",\"tags\":[\"quick\"]}\n\
         {\"file\":\"a.test.lua\",\"line\":4,\"name\":\"n1\",\"tags\":[]}\n\
         {\"file\":\"a.test.lua\",\"line\":4,\"name\":\"n2\",\"tags\":[]}\n"
    );
    assert_report(
        &suite.test(&["--list", "--json=l.json", "--tag", "quick"]),
        0,
        &[],
    );
    assert_eq!(suite.read("l.json").lines().count(), 1);
}

#[test]
fn page_of_a_run_is_written_and_one_that_cannot_be_is_refused() {
    let lua = "test('good', function(t) end) test('bad', function(t) error('no') end)
               test('out', {skip = true}, print)";
    let suite = Suite::new(&[("a", lua)]);
    assert_report(
        &suite.test(&["--html", "r.html"]),
        1,
        &["1 passed, 1 failed, 1 skipped"],
    );
    let page = suite.read("r.html").to_lowercase();
    assert!(page.starts_with("<!doctype html>"), "{}", &page[..100]);
    assert_report(
        &suite.test(&["--html", "no/such/r.html"]),
        2,
        &["cannot write the report no/such/r.html"],
    );
}
