//! `provium states`: logs of QEMU, known counterexamples, the same verdicts in every way, bad input.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use provium::storage::write_log::{Entry, Flags, Superblock};
use serde_json::Value;

use crate::harness::*;
use crate::run_folder::RunFolder;

/// A log of 512-byte writes, each a sector and a byte; `None` is a flush, a text is a mark.
enum Step {
    Write(u64, u8),
    Flush,
    Mark(&'static str),
}

use Step::{Flush, Mark, Write as W};

fn log(folder: &TempDir, steps: &[Step]) -> PathBuf {
    let path = folder.path().join("disk.log");
    let mut file = std::fs::File::create(&path).unwrap();
    let superblock = Superblock {
        entries: steps.len() as u64,
        sector_size: 512,
    };
    file.write_all(&superblock.encode()).unwrap();
    let request = |sector, sectors, flags| Entry::Request {
        sector,
        sectors,
        flags,
        order: None,
    };
    for step in steps {
        let (entry, data) = match step {
            W(sector, byte) => (request(*sector, 1, Flags::NONE), vec![*byte; 512]),
            Flush => (request(0, 0, Flags::FLUSH), Vec::new()),
            Mark(text) => (Entry::Mark(text.as_bytes().to_vec()), Vec::new()),
        };
        file.write_all(&entry.encode()).unwrap();
        file.write_all(&data).unwrap();
    }
    path
}

fn states(log: &Path, args: &[&str]) -> Output {
    run(Command::new(PROVIUM).arg("states").arg(log).args(args))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The verdict of each state, by ID, and the summary.
fn judged(log: &Path, args: &[&str]) -> (BTreeMap<String, String>, Value) {
    let output = states(log, &[args, &["--json"]].concat());
    let lines = stdout(&output);
    let mut lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = lines.pop().unwrap_or_else(|| panic!("{}", stderr(&output)))["summary"].take();
    let verdict = |line: &Value| {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        (text("id"), text("verdict"))
    };
    (lines.iter().map(verdict).collect(), summary)
}

/// Fails where the sector at 16 is set and the first one is not: a commit without its data.
const COMMIT_HAS_DATA: &str = "! grep -q CCC {} || grep -q DDD {}";

#[test]
fn two_blocks_without_a_flush_between_have_one_bad_loss_and_it_is_named() {
    let folder = TempDir::new().unwrap();
    let (data, commit) = (W(0, b'D'), W(16, b'C'));
    let log = log(&folder, &[Mark("begin"), data, commit]);
    let output = states(&log, &["--check", COMMIT_HAS_DATA, "--pick", "every=8"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let id = "3.2";
    let expected = format!(
        "BAD: 1 state: exit code 1
  smallest loss: 0+1
  after the mark: begin
  again: provium states {} --only {id} --out bad.img
8 states, 4 distinct (seed 1)
3 good, 1 bad; 4 checks, 0 states spared
",
        log.display()
    );
    assert_eq!(stdout(&output), expected);
}

#[test]
fn two_blocks_with_a_flush_between_have_no_bad_state() {
    let folder = TempDir::new().unwrap();
    let log = log(&folder, &[W(0, b'D'), Flush, W(16, b'C')]);
    let (_, summary) = judged(&log, &["--check", COMMIT_HAS_DATA]);
    assert_eq!(
        (&summary["distinct"], &summary["bad"]),
        (&3.into(), &0.into())
    );
}

/// Two writes, each with a mark after it; the flush before the second mark is left out at will.
fn acknowledged(folder: &TempDir, flushes: bool) -> PathBuf {
    let mut steps = vec![W(0, b'1'), Flush, Mark("1"), W(8, b'2'), Flush, Mark("2")];
    if !flushes {
        steps.remove(4);
    }
    log(folder, &steps)
}

#[test]
fn check_that_names_the_mark_finds_what_was_acknowledged_and_lost() {
    let has_all = "test $(tr -dc 12 < {} | tr -s 12 | wc -c) -ge ${PROVIUM_MARK:-0}";
    let folder = TempDir::new().unwrap();
    for prune in [&[][..], &["--no-prune"]] {
        let args = [&["--check", has_all], prune].concat();
        let (_, summary) = judged(&acknowledged(&folder, true), &args);
        // The states after one write are met before and after the mark `1`.
        let counts = (&summary["distinct"], &summary["bad"]);
        assert_eq!(counts, (&5.into(), &0.into()), "{summary}");
        let (verdicts, _) = judged(&acknowledged(&folder, false), &args);
        let bad = verdicts.iter().filter(|(_, verdict)| *verdict == "bad");
        // Its content was good after the mark `1`.
        assert_eq!(bad.map(|(id, _)| id).collect::<Vec<_>>(), ["5.0"]);
    }
}

#[test]
fn verdicts_are_the_same_with_any_number_of_jobs_with_and_without_pruning() {
    let folder = TempDir::new().unwrap();
    let steps: Vec<_> = (0..24)
        .map(|n| {
            if n % 7 == 6 {
                Flush
            } else {
                W(n % 5 * 8, n as u8)
            }
        })
        .collect();
    let log = log(&folder, &steps);
    let check = ["--check", "test $(od -An -tu1 -N1 {}) -ne 15"];
    let one = judged(&log, &[&check[..], &["-j", "1"]].concat());
    let two = judged(&log, &[&check[..], &["-j", "2"]].concat());
    let all = judged(&log, &[&check[..], &["--no-prune"]].concat());
    assert_eq!(one.0, two.0);
    assert_eq!(one.0, all.0);
    assert_eq!(all.1["checks"], all.1["distinct"]);
    assert!(
        one.1["checks"].as_u64() < all.1["checks"].as_u64(),
        "{}",
        one.1
    );
    assert!(one.1["bad"].as_u64() > Some(0) && one.1["good"].as_u64() > Some(0));
}

#[test]
fn state_that_is_made_by_its_id_is_the_one_that_was_checked() {
    let folder = TempDir::new().unwrap();
    let log = log(&folder, &[W(0, 1), W(1, 2), W(0, 3), Flush, W(2, 4)]);
    let kept = folder.path().join("bad");
    let (verdicts, _) = judged(&log, &["--check", "false", "--keep-bad", text(&kept)]);
    assert!(verdicts.len() > 5, "{verdicts:?}");
    for id in verdicts.keys() {
        let made = folder.path().join(id);
        assert_ok(&states(&log, &["--only", id, "--out", text(&made)]));
        let was = std::fs::read(kept.join(format!("{id}.img"))).unwrap();
        assert_eq!(std::fs::read(made).unwrap(), was, "{id}");
    }
}

#[test]
fn served_states_are_files_that_can_be_written_and_the_log_stays() {
    let folder = TempDir::new().unwrap();
    let log = log(&folder, &[W(0, 1), W(1, 2)]);
    let before = std::fs::read(&log).unwrap();
    let point = folder.path().join("mnt");
    std::fs::create_dir(&point).unwrap();
    let mut serving = Command::new(PROVIUM);
    let serving = serving
        .arg("states")
        .args([&log, Path::new("--serve"), &point]);
    let mut serving = serving.stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually("the last state is served", || point.join("2.2").exists());
    let state = |id: &str| std::fs::read(point.join(id)).unwrap();
    assert_eq!((state("2.3")[0], state("2.3")[512]), (1, 2));
    assert_eq!((state("2.2")[0], state("2.2")[512]), (0, 2));
    std::fs::write(point.join("2.2"), b"written").unwrap();
    assert_eq!((&state("2.2")[..7], state("2.3")[0]), (&b"written"[..], 1));
    assert_ok(&provium(&["umount", text(&point)]));
    assert!(serving.wait().unwrap().success());
    assert_eq!(std::fs::read(&log).unwrap(), before);
}

#[test]
fn log_of_qemu_is_read_and_its_last_state_is_the_image() {
    if !has("qemu-io") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (image, log) = (
        folder.path().join("disk.img"),
        folder.path().join("disk.log"),
    );
    new_image(&image, 4 * MIB);
    new_image(&log, 0);
    let options = format!(
        "driver=blklogwrites,file.driver=raw,file.file.driver=file,file.file.filename={},log.driver=raw,log.file.driver=file,log.file.filename={}",
        image.display(),
        log.display()
    );
    let mut qemu = Command::new("qemu-io");
    qemu.args(["-n", "--image-opts", &options]);
    for command in [
        "write -P 1 0 4k",
        "write -P 2 64k 128k",
        "flush",
        "write -P 3 2k 1k",
        "discard 64k 64k",
    ] {
        qemu.args(["-c", command]);
    }
    assert_ok(&run(&mut qemu));
    let (found, summary) = judged(&log, &["--base", "none"]);
    assert_eq!(summary["distinct"], found.len());
    let last = states(&log, &["--base", "none", "--list", "--pick", "all"]);
    let last = stdout(&last).lines().last().unwrap().to_owned();
    let made = folder.path().join("made.img");
    assert_ok(&states(
        &log,
        &["--base", "none", "--only", &last, "--out", text(&made)],
    ));
    let (made, image) = (std::fs::read(made).unwrap(), std::fs::read(image).unwrap());
    assert!(
        image.starts_with(&made),
        "the end of the log is the end of the run"
    );
}

#[test]
fn bad_input_ends_with_code_2_and_says_what_is_wrong() {
    let folder = TempDir::new().unwrap();
    let log = log(&folder, &[W(0, 1), Mark("here"), W(9, 2)]);
    let whole = std::fs::read(&log).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let cut_off = file("cut-off", &whole[..whole.len() - 1]);
    let mut bytes = whole.clone();
    bytes[512 + 16] = 0x40;
    let damaged = file("damaged", &bytes);
    let small = file("small", &[0; 512]);
    assert_fails(
        &states(&cut_off, &[]),
        2,
        &["is cut off: it ends within entry 3 of 3"],
    );
    assert_fails(
        &states(&damaged, &[]),
        2,
        &["entry 1 of 3: its flags are 0x40"],
    );
    assert_fails(&states(&small, &[]), 2, &["small is not a write log"]);
    assert_fails(
        &states(Path::new("/no/such"), &[]),
        2,
        &["cannot read /no/such"],
    );
    let base = ["--base", text(&small)];
    assert_fails(
        &states(&log, &base),
        2,
        &["the base has 1 sectors, and the log changes sector 9"],
    );
    let mark = ["--from", "there"];
    assert_fails(
        &states(&log, &mark),
        2,
        &["no mark `there`", "its marks: here"],
    );
    assert_fails(
        &states(&log, &["--pick", "some"]),
        2,
        &["`some` does not say which states"],
    );
    for id in ["7.1", "1.2", "1", "1.x"] {
        let out = folder.path().join("out");
        let only = ["--only", id, "--out", text(&out)];
        assert_fails(
            &states(&log, &only),
            2,
            &[&format!("there is no state `{id}`")],
        );
        assert!(!out.exists());
    }
}

#[test]
fn check_that_is_not_there_or_hangs_is_bad_and_says_so() {
    let folder = TempDir::new().unwrap();
    let log = log(&folder, &[W(0, 1)]);
    let missing = states(&log, &["--check", "no-such-checker {}"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        stdout(&missing).contains("exit code 127"),
        "{}",
        stdout(&missing)
    );
    let hanging = states(&log, &["--check", "sleep 77.7", "--timeout", "200ms"]);
    assert!(
        stdout(&hanging).contains("no answer within 200ms"),
        "{}",
        stdout(&hanging)
    );
}

/// Starts `provium states` with a check that tells the path of its state and stays. Returns once it runs.
fn check_that_stays(folder: &RunFolder, log: &Path) -> std::process::Child {
    let check = "echo {} > seen.new; mv seen.new seen; exec sleep 60";
    let mut states = folder.command(&["states", text(log), "--check", check, "-j", "1"]);
    let states = states.stdout(std::process::Stdio::null()).spawn().unwrap();
    eventually("the check runs", || folder.path("seen").exists());
    states
}

#[test]
fn killed_walk_leaves_neither_mount_nor_folder_nor_process() {
    let (folder, run_folder) = (TempDir::new().unwrap(), RunFolder::new());
    let log = log(&folder, &[W(0, 1)]);
    let mut states = check_that_stays(&run_folder, &log);
    let seen = std::fs::read_to_string(run_folder.path("seen")).unwrap();
    assert!(is_mounted(Path::new(&seen).parent().unwrap()), "{seen}");
    send(states.id(), libc::SIGKILL);
    states.wait().unwrap();
    run_folder.assert_nothing_left();
}

#[test]
fn next_walk_removes_what_a_killed_server_of_states_has_left() {
    let (folder, run_folder) = (TempDir::new().unwrap(), RunFolder::new());
    let log = log(&folder, &[W(0, 1)]);
    let mut states = check_that_stays(&run_folder, &log);
    let servers = run_folder.called(" state-server ");
    assert_eq!(servers.len(), 1);
    // So that it does not see that its server ends.
    send(states.id(), libc::SIGSTOP);
    let threads = format!("/proc/{}/task", states.id());
    let is_stopped = |thread: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
        stat.is_ok_and(|stat| stat.contains(") T "))
    };
    eventually("the walk stops", || {
        std::fs::read_dir(&threads).unwrap().all(is_stopped)
    });
    send(servers[0], libc::SIGKILL);
    send(states.id(), libc::SIGKILL);
    states.wait().unwrap();
    let left = || {
        let entries = std::fs::read_dir(run_folder.path("run/provium"));
        entries.unwrap().count()
    };
    assert!(left() > 0);
    let args = ["states", text(&log), "--check", "true"];
    eventually("nothing is left", || {
        assert_ok(&run(&mut run_folder.command(&args)));
        left() == 0
    });
    run_folder.assert_nothing_left();
}

#[test]
fn check_that_floods_is_bad_and_its_output_is_bounded() {
    let folder = TempDir::new().unwrap();
    let log = log(&folder, &[W(0, 1)]);
    let flood = ["--check", "yes | head -c 100M; exit 3", "--json"];
    let flooded = stdout(&states(&log, &flood));
    assert!(flooded.contains("exit code 3"));
    assert!(flooded.len() < 100_000, "{}", flooded.len());
}

#[test]
fn state_of_many_pieces_is_checked_and_made_by_its_id() {
    let folder = TempDir::new().unwrap();
    let steps: Vec<_> = (0..5000).map(|n| W(n, n as u8 | 1)).collect();
    let log = log(&folder, &steps);
    let walk = ["--at", "flush", "--pick", "random=2"];
    let check = ["--check", "cat {} > /dev/null; false"];
    let (verdicts, summary) = judged(&log, &[&check[..], &walk].concat());
    assert_eq!((verdicts.len(), &summary["checks"]), (2, &2.into()));
    for id in verdicts.keys() {
        let made = folder.path().join("made");
        assert_ok(&states(&log, &["--only", id, "--out", text(&made)]));
        std::fs::remove_file(made).unwrap();
    }
}

#[test]
fn line_that_makes_a_state_again_works_with_a_base_and_with_pieces() {
    let folder = TempDir::new().unwrap();
    let log = log(&folder, &[W(0, b'D'), W(16, b'C')]);
    let base = new_image(&folder.path().join("the base.img"), MIB);
    let check = ["--check", COMMIT_HAS_DATA, "--base", text(&base)];
    let said = stdout(&states(&log, &[&check[..], &["--tear", "1"]].concat()));
    let again = said.split("again: ").nth(1).unwrap();
    let again = again
        .lines()
        .next()
        .unwrap()
        .replacen("provium", PROVIUM, 1);
    let mut shell = Command::new("sh");
    assert_ok(&run(shell.args(["-c", &again]).current_dir(folder.path())));
    let made = folder.path().join("bad.img");
    assert_eq!(made.metadata().unwrap().len(), MIB);
    let check = COMMIT_HAS_DATA.replace("{}", text(&made));
    let bad = run(Command::new("sh").args(["-c", &check]));
    assert_eq!(bad.status.code(), Some(1));
}

#[test]
fn stale_mount_and_folder_of_a_killed_server_of_states_go_with_umount_stale() {
    let (folder, run_folder) = (TempDir::new().unwrap(), RunFolder::new());
    let log = log(&folder, &[W(0, 1)]);
    let mut states = check_that_stays(&run_folder, &log);
    let servers = run_folder.called(" state-server ");
    for process in [servers[0], states.id()] {
        send(process, libc::SIGKILL);
    }
    states.wait().unwrap();
    eventually("nothing is left", || {
        // It may meet a stale mount that another test removes at the moment.
        run(&mut run_folder.command(&["umount", "--stale"]));
        let left = std::fs::read_dir(run_folder.path("run/provium"));
        left.unwrap().count() == 0
    });
}

#[test]
fn killed_test_file_leaves_nothing_of_its_states() {
    let (folder, run_folder) = (TempDir::new().unwrap(), RunFolder::new());
    let log = log(&folder, &[W(0, 1)]);
    let lua = format!(
        "test('x', function(t) for state in provium:states('{}') do
            state:check(function(path)
                assert(io.open(path)):read(1)
                assert(io.open('seen', 'w')):close()
                while true do end
            end)
        end end)",
        log.display()
    );
    run_folder.write("a.test.lua", &lua);
    let mut test = run_folder.command(&["test", "a.test.lua"]);
    let mut test = test.stdout(std::process::Stdio::null()).spawn().unwrap();
    eventually("the check runs", || run_folder.path("seen").exists());
    let file = run_folder.called(" test-file ");
    send(file[0], libc::SIGKILL);
    test.wait().unwrap();
    run_folder.assert_nothing_left();
}

#[test]
fn torn_random_states_of_a_seed_are_the_same_with_any_number_of_jobs() {
    let folder = TempDir::new().unwrap();
    let steps: Vec<_> = (0..40).map(|n| W(n * 3 % 32, n as u8 + 1)).collect();
    let log = log(&folder, &steps);
    let judged_with = |jobs: &str, seed: &str| {
        let walk = ["--pick", "random=40", "--tear", "1", "--at", "flush"];
        let check = ["--check", "test $(od -An -tu1 -N1 {}) -lt 20"];
        judged(
            &log,
            &[&walk[..], &check, &["-j", jobs, "--seed", seed]].concat(),
        )
    };
    let (one, summary) = judged_with("1", "5");
    assert_eq!(one, judged_with("2", "5").0);
    assert_eq!(one, judged_with("7", "5").0);
    assert_ne!(one, judged_with("1", "6").0);
    assert!(summary["bad"].as_u64() > Some(0) && summary["good"].as_u64() > Some(0));
    for id in one.keys().take(5) {
        let made = folder.path().join(id);
        let args = ["--tear", "1", "--only", id, "--out", text(&made)];
        assert_ok(&states(&log, &args));
        let first = std::fs::read(made).unwrap()[0];
        let verdict = if first < 20 { "good" } else { "bad" };
        assert_eq!(one[id], verdict, "{id}");
    }
}

#[test]
fn progress_is_shown_from_the_start() {
    if !has("tmux") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let steps: Vec<_> = (0..9).map(|n| W(n, n as u8 + 1)).collect();
    let log = log(&folder, &steps);
    let line = format!(
        "{PROVIUM} states {} --check 'sleep 2; cat {{}} > /dev/null' -j 1",
        log.display()
    );
    let terminal = crate::terminal::Terminal::start(folder.path(), 100, 10, &line);
    terminal.until("/s, 0 bad, entry");
    terminal.until(" left");
}
