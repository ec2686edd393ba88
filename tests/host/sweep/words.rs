//! What `provium sweep` says: of results, of nothing to sweep, and of bad input.

use super::*;
use crate::docs::page_says;

fn says(scene: &Scene, code: i32, args: &[&str], texts: &[&str]) {
    assert_fails(&scene.sweep(args), code, texts);
    scene.assert_clean();
}

#[test]
fn table_names_each_request_and_the_line_that_runs_a_bad_one_again() {
    let scene = Scene::new();
    let output = scene.sweep(&[
        "--op",
        "write",
        "--fault",
        "error errno=EIO",
        "--run",
        RUN_SAVE,
    ]);
    let text = stdout(&output);
    for line in [
        "     1  write 0+8               pass\n",
        "     2  write 16+8              FAIL  exit code 1: dd: ",
        "1 of 3 points failed: k=2 (`error op=write errno=EIO`, 3 requests)\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let again = text.lines().find_map(|line| line.strip_prefix("again: "));
    let again = again.unwrap().replacen("provium", PROVIUM, 1);
    let mut shell = Command::new("sh");
    let output = run(shell.args(["-c", &again]).current_dir(scene.folder()));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("1 of 1 points failed: k=2"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn nothing_to_sweep_says_what_the_command_did() {
    let scene = Scene::new();
    let read = "dd if=$PROVIUM_DISK of=/dev/null bs=4k count=2 iflag=direct status=none";
    says(
        &scene,
        1,
        &["--op", "write,flush", "--fault", "error", "--run", read],
        &[
            "no request matches `error op=write,flush`: the command made 2 reads and no write or flush",
        ],
    );
    says(
        &scene,
        1,
        &["--op", "write", "--fault", "error", "--run", "true"],
        &["the command made no request"],
    );
    says(
        &scene,
        1,
        &[
            "--op",
            "write",
            "--fault",
            "error",
            "--run",
            "echo broken; exit 3",
        ],
        &["the command fails without any fault, so there is nothing to sweep: exit code 3: broken"],
    );
    says(
        &scene,
        1,
        &[
            "--op", "read", "--fault", "error", "--from", "open", "--run", read,
        ],
        &["the command has set no mark `open`"],
    );
}

#[test]
fn bad_input_is_explained_and_runs_nothing() {
    let scene = Scene::new();
    let run = ["--run", "touch ran"];
    let bad = |args: &[&str], text: &str| says(&scene, 2, &[args, &run].concat(), &[text]);
    bad(&["--fault", "eror"], "did you mean `error`?");
    bad(&["--fault", "error\nslow"], "the fault is 2 rules");
    bad(
        &["--fault", "error", "--op", "wirte"],
        "did you mean `write`?",
    );
    bad(&["--fault", "error skip=1"], "the fault has `skip=`");
    bad(&["--fault", "cut"], "--check has to say");
    bad(&["--fault", "error", "--every", "0"], "--every is 0");
    bad(
        &["--fault", "error", "--only", "1", "--max", "1"],
        "--max cannot thin it out",
    );
    bad(
        &["--fault", "error", "--timeout", "soon"],
        "--timeout soon is not a time",
    );
    assert_eq!(scene.read("ran"), "");
    assert!(!scene.folder().join("ran").exists());
    let save = ["--op", "write", "--fault", "error", "--run", "sh save; :"];
    let far = [&save[..], &["--only", "4"]].concat();
    says(
        &scene,
        2,
        &far,
        &["request 4 does not exist: the run without a fault made 3"],
    );
    let nowhere = scene.folder().join("mnt/vdx");
    let output = provium(&[
        "sweep",
        nowhere.to_str().unwrap(),
        "--fault",
        "error",
        "--run",
        "true",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no disk `vdx`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn run_that_clears_faults_is_told() {
    let scene = Scene::new();
    let run = format!("sh save; {PROVIUM} fault {} --clear", scene.vda().display());
    says(
        &scene,
        1,
        &["--op", "write", "--fault", "error", "--run", &run],
        &[
            "has lost the rule of the sweep (tag=provium-sweep): what is swept must not clear faults",
        ],
    );
}

#[test]
fn commands_that_differ_from_run_to_run_are_noticed() {
    let scene = Scene::new();
    let run = "test $PROVIUM_K = 2 && set -- 7 8; for n in ${@:-0 1 2}; do dd if=/dev/zero of=$PROVIUM_DISK bs=4k \
               count=1 seek=$n conv=notrunc status=none; done; :";
    let output = scene.sweep(&["--op", "write", "--fault", "error", "--run", run]);
    let text = stdout(&output);
    assert!(
        text.contains("note: the runs do not make the same requests: at k=2"),
        "{text}"
    );
    let run = "test $PROVIUM_K = 3 && exit; for n in 0 1 2; do dd if=/dev/zero of=$PROVIUM_DISK bs=4k count=1 seek=$n \
               conv=notrunc status=none; done; :";
    let output = scene.sweep(&["--op", "write", "--fault", "error", "--run", run]);
    let text = stdout(&output);
    assert!(
        text.contains("note: the sweep ended at k=3: this run made 0 requests of 3"),
        "{text}"
    );
    page_says(
        "docs/sweeping.md",
        "A run with fewer requests than K** ends the sweep",
    );
}
