//! The runs of a sweep: how many, with which fault, and their verdicts.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::*;

/// The verdicts by their numbers, and the summary.
fn json(output: &Output) -> (Vec<Value>, Value) {
    let text = stdout(output);
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = lines.pop().unwrap_or_else(|| panic!("{}", stderr(output)));
    (lines, summary["summary"].clone())
}

fn failed(summary: &Value) -> Vec<u64> {
    let failed = summary["failed"].as_array().unwrap().iter();
    failed.map(|k| k.as_u64().unwrap()).collect()
}

#[test]
fn planted_bug_is_found_at_exactly_its_write() {
    let scene = Scene::new();
    let args = ["--op", "write", "--fault", "error errno=EIO", "--run"];
    let output = scene.sweep(&[&args[..], &[RUN_SAVE, "--json"]].concat());
    let (points, summary) = json(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(failed(&summary), [2]);
    assert_eq!(points.len(), 3);
    let second = &points[1];
    let request = (&second["op"], &second["sector"], &second["count"]);
    assert_eq!(request, (&"write".into(), &16.into(), &8.into()));
    assert_eq!(summary["notes"], serde_json::json!([]));
    scene.assert_clean();
    // Without the bug there is none.
    scene.write(
        "save",
        &SAVE.replace("put 2 b || exit 1", "put 2 b || { rm lock; exit 1; }"),
    );
    let output = scene.sweep(&[&args[..], &[RUN_SAVE]].concat());
    assert_ok(&output);
    assert!(stdout(&output).contains("3 of 3 points passed"));
}

#[test]
fn verdicts_are_those_of_as_many_runs_by_hand() {
    let scene = Scene::new();
    let args = [
        "--op", "write", "--fault", "error", "--json", "--run", RUN_SAVE,
    ];
    let (points, _) = json(&scene.sweep(&args));
    for point in &points {
        let k = point["k"].as_u64().unwrap();
        scene
            .mount
            .arm(&format!("error op=write skip={} times=1", k - 1));
        let mut by_hand = Command::new("sh");
        by_hand.args(["-c", RUN_SAVE]).current_dir(scene.folder());
        let output = run(by_hand.env("PROVIUM_DISK", scene.vda()));
        assert_eq!(point["passed"], output.status.success(), "k={k}");
        scene.mount.clear();
    }
    assert_eq!(points.len(), 3);
}

#[test]
fn each_run_has_one_fault_in_the_trace_and_it_is_at_its_request() {
    let scene = Scene::new();
    let trace = std::fs::File::open(scene.mount.ctl("vda/trace")).unwrap();
    scene.sweep(&[
        "--op",
        "write",
        "--fault",
        "error errno=ENOSPC",
        "--run",
        "sh save; :",
    ]);
    scene.mount.append("vda/mark", "over").unwrap();
    let (mut runs, mut run) = (Vec::new(), Vec::new());
    for line in BufReader::new(trace).lines().map(Result::unwrap) {
        let words: Vec<_> = line.split(' ').collect();
        match (words[2], words[3]) {
            ("mark", "over") => break,
            ("mark", _) => runs.push(std::mem::take(&mut run)),
            ("write", _) => run.push(words[5].to_owned()),
            _ => {}
        }
    }
    // Between two runs are two marks.
    let runs: Vec<_> = runs.into_iter().filter(|run| !run.is_empty()).collect();
    let runs: Vec<_> = runs.iter().map(|run| run.join(" ")).collect();
    assert_eq!(runs, ["ok ok ok", "ENOSPC", "ok ENOSPC", "ok ok ENOSPC"]);
}

#[test]
fn disk_is_the_same_before_each_run_and_after_the_last() {
    let scene = Scene::new();
    let before = std::fs::read(scene.mount.image()).unwrap();
    let run = "cksum < $PROVIUM_DISK >> sums; sh save; :";
    assert_ok(&scene.sweep(&["--op", "write", "--fault", "error", "--run", run]));
    let sums = scene.read("sums");
    let sums: Vec<_> = sums.lines().collect();
    assert_eq!(sums.len(), 4);
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    assert!(before == std::fs::read(scene.vda()).unwrap());
    scene.assert_clean();
}

#[test]
fn reset_command_takes_the_place_of_the_checkpoint() {
    let scene = Scene::new();
    let reset = "echo $PROVIUM_K >> resets; dd if=/dev/zero of=$PROVIUM_DISK bs=4k count=8 conv=notrunc status=none";
    let args = ["--op", "write", "--fault", "error", "--run", "sh save; :"];
    assert_ok(&scene.sweep(&[&args[..], &["--reset", reset]].concat()));
    assert_eq!(scene.read("resets"), "0\n1\n2\n3\n0\n");
    scene.assert_clean();
    let output = scene.sweep(&[&args[..], &["--reset", "echo no room; exit 3"]].concat());
    assert_fails(
        &output,
        1,
        &["the command after --reset failed: exit code 3: no room"],
    );
}

#[test]
fn cut_finds_the_window_without_fsync_and_none_with_it() {
    let scene = Scene::new();
    scene.mount.append("vda/cache", "volatile").unwrap();
    let add = |fsync: &str| {
        let put = SAVE.lines().nth(1).unwrap();
        let put = put.replace("notrunc", &format!("notrunc{fsync}"));
        scene.write(
            "add",
            &format!("{put}\nfor n in 1 2 3; do put $n $n && echo $n > acked || exit 1; done"),
        );
        let check = "for n in $(seq $(cat acked)); do dd if=$PROVIUM_DISK bs=4k skip=$n count=1 status=none | \
                     grep -q $n$n || exit 1; done";
        let run = "echo 0 > acked; sh add";
        let args = [
            "--op",
            "write,flush",
            "--fault",
            "cut",
            "--run",
            run,
            "--check",
            check,
        ];
        json(&scene.sweep(&[&args[..], &["--json"]].concat()))
    };
    let (points, summary) = add("");
    assert_eq!((points.len(), failed(&summary)), (3, vec![2, 3]));
    let (points, summary) = add(",fsync");
    assert_eq!((points.len(), failed(&summary)), (6, vec![]));
    assert_eq!(scene.mount.read("vda/power"), "on\n");
    scene.assert_clean();
}

#[test]
fn runs_are_thinned_out_and_one_can_be_had_alone() {
    let scene = Scene::new();
    let ks = |args: &[&str]| {
        let run = "for n in 0 1 2 3 4 5 6 7 8 9; do dd if=/dev/zero of=$PROVIUM_DISK bs=4k count=1 seek=$n \
                   conv=notrunc status=none; done; :";
        let all = ["--op", "write", "--fault", "error", "--json", "--run", run];
        let (points, _) = json(&scene.sweep(&[&all[..], args].concat()));
        let ks = points.iter().map(|point| point["k"].as_u64().unwrap());
        ks.collect::<Vec<_>>()
    };
    assert_eq!(ks(&["--every", "4"]), [1, 5, 9]);
    assert_eq!(ks(&["--max", "2"]), [1, 2]);
    assert_eq!(ks(&["--only", "10"]), [10]);
    let sample = ks(&["--sample", "3", "--seed", "7"]);
    assert_eq!(sample.len(), 3);
    assert_eq!(sample, ks(&["--sample", "3", "--seed", "7"]));
}

#[test]
fn persistent_fault_stays_and_a_mark_says_where_turns_begin() {
    let scene = Scene::new();
    let run = format!(
        "put() {{ dd if=/dev/zero of=$PROVIUM_DISK bs=4k count=1 seek=$1 conv=notrunc status=none && echo $1; }}
         put 0; {PROVIUM} mark {} begin; put 1; put 2; put 3; echo $PROVIUM_K > k; :",
        scene.vda().display()
    );
    let run = format!("({run}) >> done 2>&1");
    let args = [
        "--op",
        "write",
        "--fault",
        "error",
        "--from",
        "begin",
        "--persistent",
    ];
    let output = scene.sweep(&[&args[..], &["--run", &run, "--json"]].concat());
    let (points, summary) = json(&output);
    let sectors: Vec<_> = points
        .iter()
        .map(|point| point["sector"].as_u64())
        .collect();
    assert_eq!(sectors, [Some(8), Some(16), Some(24)], "{summary}");
    let written = scene.read("done");
    let written = written.lines().filter(|line| line.len() == 1);
    assert_eq!(written.collect::<String>(), "0123001012");
    assert_eq!(summary["notes"], serde_json::json!([]));
}

#[test]
fn sweep_of_reads_sees_those_of_the_command_alone() {
    let scene = Scene::new();
    let run = "dd if=$PROVIUM_DISK of=/dev/null bs=4k count=3 iflag=direct status=none; :";
    let (points, _) = json(&scene.sweep(&["--fault", "eio_read", "--json", "--run", run]));
    assert_eq!(points.len(), 3);
}

#[test]
fn other_rules_count_from_the_same_place_in_each_run() {
    let scene = Scene::new();
    scene
        .mount
        .arm("error op=write skip=2 times=1 errno=ENOSPC");
    let run = "for n in 0 1 2; do dd if=/dev/zero of=$PROVIUM_DISK bs=4k count=1 seek=$n conv=notrunc 2>> log; done; :";
    let args = ["--op", "write", "--fault", "error", "--json", "--run", run];
    let (points, _) = json(&scene.sweep(&args));
    // The third write is decided before the sweep's rule sees it.
    assert_eq!(points.len(), 2);
    let told = scene.read("log").matches("No space left").count();
    assert_eq!(told, 3, "in each run");
    let rules = scene.mount.read("vda/rules");
    assert!(rules.contains("fired=0"), "{rules}");
}

#[test]
fn sweep_goes_on_while_its_reader_is_gone() {
    let scene = Scene::new();
    let args = ["--op", "write", "--fault", "error", "--run", "sh save; :"];
    let mut child = scene.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    scene.assert_clean();
}
