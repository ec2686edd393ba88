//! The files under `ctl/`, as a shell uses them.

use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::docs::page_says;
use crate::harness::*;

#[test]
fn control_files_of_the_documents_are_all_there() {
    let mount = Mount::new();
    let list = |folder: &str| {
        let entries = std::fs::read_dir(mount.point().join(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(list(""), "ctl vda");
    assert_eq!(
        list("ctl"),
        "attach clear detach disks error events mark power vda version"
    );
    assert_eq!(
        list("ctl/vda"),
        "cache checkpoint damage decisions faults image inflight log mark mode pending power release rules seed size stats trace"
    );
    assert_eq!(mount.read("power"), "vda on\n");
    assert_eq!(mount.read("vda/cache"), "off\n");
    assert_eq!(mount.read("vda/pending"), "");
    assert_eq!(mount.read("vda/power"), "on\n");
    assert_eq!(mount.read("vda/log"), "off\n");
    assert_eq!(
        mount.read("version"),
        format!("provium {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(
        mount.read("disks"),
        format!("vda {} rw {}\n", 16 * MIB, mount.image().display())
    );
    assert_eq!(
        mount.read("vda/image"),
        format!("{}\n", mount.image().display())
    );
    assert_eq!(mount.read("vda/mode"), "rw\n");
    assert_eq!(mount.read("error"), "");
    assert_eq!(mount.read("vda/faults"), "");
}

/// Each shell redirects in its own way: descriptors are moved, closed and inherited differently.
fn in_each_shell(test: impl Fn(&str, &Mount)) {
    for name in ["dash", "bash", "busybox sh", "zsh"] {
        let program = name.split(' ').next().unwrap();
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output();
        if found.unwrap().status.success() {
            test(name, &Mount::new());
        }
    }
}

fn sh(name: &str, mount: &Mount, script: &str) -> std::process::Output {
    let mut words = name.split(' ');
    let mut command = Command::new(words.next().unwrap());
    run(command
        .args(words)
        .args(["-c", script])
        .env("m", mount.point()))
}

#[test]
fn shell_session_arms_adds_removes_and_clears() {
    in_each_shell(|name, mount| {
        let faults = || mount.read("vda/faults");
        assert_ok(&sh(name, mount, "echo eio_read > $m/ctl/vda/faults"));
        let dd = "dd if=$m/vda of=/dev/null bs=512 count=1";
        assert_fails(&sh(name, mount, dd), 1, &["Input/output error"]);
        assert_ok(&sh(name, mount, "echo eio_write >> $m/ctl/vda/faults"));
        assert_eq!(faults(), "eio_read\neio_write\n", "{name}");
        assert_ok(&sh(name, mount, "echo '!eio_read' >> $m/ctl/vda/faults"));
        assert_eq!(faults(), "eio_write\n", "{name}");
        assert_ok(&sh(name, mount, "echo slow > $m/ctl/vda/faults"));
        assert_eq!(faults(), "slow\n", "{name}");
        assert_ok(&sh(name, mount, &format!(": > $m/ctl/vda/faults && {dd}")));
        assert_eq!(faults(), "", "{name}");
        assert_ok(&sh(
            name,
            mount,
            "echo slow > $m/ctl/vda/faults; echo > $m/ctl/vda/faults",
        ));
        assert_eq!(faults(), "", "{name}");
    });
}

#[test]
fn rejected_write_is_an_error_and_leaves_the_set_unchanged() {
    in_each_shell(|name, mount| {
        mount.arm("slow");
        for redirect in [">", ">>"] {
            for text in ["bogus", "eio_read\\nbogus", "!", "!bogus", "\\377\\376"] {
                // Not bash's printf, which makes one write, and so one transaction, of each line.
                let script = format!("/usr/bin/printf '{text}\\n' {redirect} $m/ctl/vda/faults");
                let output = sh(name, mount, &script);
                assert!(!output.status.success(), "{name}: {script}");
                assert_eq!(mount.read("vda/faults"), "slow\n", "{name}: {script}");
            }
        }
        let echo = sh(name, mount, "/bin/echo bogus > $m/ctl/vda/faults");
        assert!(
            stderr(&echo).contains("Invalid argument"),
            "{}",
            stderr(&echo)
        );
        let error = mount.read("error");
        let expected = "11 vda/faults: line 1, column 1: unknown mode `bogus` (valid: eio_read, eio_write, slow, \
             error, delay, hang, corrupt, lose, tear, misdirect, stale, cut, limit)\n";
        assert_eq!(error, expected, "{name}");
    });
}

#[test]
fn echoes_in_a_group_replace_once_and_then_add() {
    in_each_shell(|name, mount| {
        mount.arm("eio_write");
        let script = "{ echo slow; echo eio_read; } > $m/ctl/vda/faults";
        assert_ok(&sh(name, mount, script));
        assert_eq!(mount.read("vda/faults"), "slow\neio_read\n", "{name}");
        // A child that ends does not end the redirection that it inherited.
        mount.arm("eio_write");
        let script = "( /bin/true; echo bogus ) > $m/ctl/vda/faults";
        let _ = sh(name, mount, script);
        assert_eq!(
            mount.read("vda/faults"),
            "slow\neio_read\neio_write\n",
            "{name}"
        );
    });
}

#[test]
fn truncation_of_faults_takes_effect_before_its_program_goes_on() {
    let mount = Mount::new();
    let disk = open_direct(&mount.vda());
    for _ in 0..100 {
        mount.arm("eio_read");
        drop(std::fs::File::create(mount.ctl("vda/faults")).unwrap());
        disk.read_exact_at(&mut AlignedSector([0; 512]).0, 0)
            .unwrap();
        mount.arm("slow");
        drop(std::fs::File::create(mount.ctl("clear")).unwrap());
        assert_eq!(mount.read("vda/faults"), "");
    }
}

/// Runs `script` with its output going to `faults`. This process closes its own descriptor before the script
/// writes, as fish does.
fn redirected_by_parent(mount: &Mount, script: &str) -> std::process::Output {
    let file = std::fs::File::create(mount.ctl("vda/faults")).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("read end; {script}")]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.stdout(file).spawn().unwrap();
    drop(command);
    drop(child.stdin.take());
    child.wait_with_output().unwrap()
}

#[test]
fn bad_line_through_an_inherited_file_leaves_the_set_unchanged() {
    let mount = Mount::new();
    mount.arm("slow");
    let echo = redirected_by_parent(&mount, "/bin/echo bogus");
    assert!(stderr(&echo).contains("Invalid argument"));
    assert_eq!(mount.read("vda/faults"), "slow\n");
    assert_ok(&redirected_by_parent(&mount, "/bin/echo eio_read"));
    assert_eq!(mount.read("vda/faults"), "eio_read\n");
    assert_ok(&redirected_by_parent(&mount, "true"));
    assert_eq!(mount.read("vda/faults"), "", "nobody wrote to it");
}

/// Calls `work` while another thread reads another disk. No read may take 50 ms, or a quarter of what the work takes:
/// other load on this machine slows both. Therefore, too, the best of several attempts counts.
fn assert_reads_go_on_during(mount: &Mount, mut work: impl FnMut()) {
    let image = new_image(&mount.folder().join("other.img"), MIB);
    let line = format!("other {}", image.display());
    mount.append("attach", &line).unwrap();
    let disk = open_direct(&mount.path("other"));
    let mut attempt = || {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut slowest = Duration::ZERO;
                while !is_over.load(Ordering::SeqCst) {
                    let began = Instant::now();
                    disk.read_exact_at(&mut AlignedSector([0; 512]).0, 0)
                        .unwrap();
                    slowest = slowest.max(began.elapsed());
                }
                slowest
            });
            let began = Instant::now();
            work();
            let limit = AT_ONCE.max(began.elapsed() / 4);
            is_over.store(true, Ordering::SeqCst);
            let slowest = reader.join().unwrap();
            let is_quick = slowest < limit;
            is_quick.then_some(()).ok_or((slowest, limit))
        })
    };
    let deadline = Instant::now() + PATIENCE;
    while let Err((slowest, limit)) = attempt() {
        assert!(Instant::now() < deadline, "{slowest:?} of {limit:?}");
    }
}

const AT_ONCE: Duration = Duration::from_millis(50);

#[test]
fn damage_list_that_is_long_takes_little_memory_and_delays_no_other_disk() {
    const WRITES: usize = 2000;
    let mount = Mount::new();
    let at: Vec<_> = (0..6000).map(|n| format!("{}+1", 2 * n)).collect();
    mount.arm(&format!("lose op=write at={}", at.join(",")));
    let disk = open_direct(&mount.vda());
    for n in 0..WRITES {
        disk.write_all_at(&AlignedSector([1; 512]).0, n as u64 * 1024)
            .unwrap();
    }
    let before = mount.server_status("VmHWM");
    let mut lines = 0;
    assert_reads_go_on_during(&mount, || {
        let text = mount.read("vda/damage");
        lines = text.lines().count();
        assert!(
            text.lines()
                .all(|line| line.len() < 250 && line.ends_with("..."))
        );
    });
    assert_eq!(lines, WRITES);
    let grown = mount.server_status("VmHWM") - before;
    assert!(grown < 4096, "by {grown} KiB; all rules would be 80 MiB");
}

#[test]
fn many_rules_armed_listed_and_cleared_delay_no_other_disk() {
    let mount = Mount::new();
    assert_reads_go_on_during(&mount, || {
        for part in 0..4 {
            let rule = |n| format!("error op=read errno=EIO at={}+1\n", part * 1500 + n);
            mount.arm(&(0..1500).map(rule).collect::<String>());
        }
        assert_eq!(mount.read("vda/faults").lines().count(), 6000);
        assert_eq!(mount.read("vda/rules").lines().count(), 6000);
        mount.clear();
    });
}

#[test]
fn many_files_closed_delay_no_other_disk() {
    let mount = Mount::new();
    assert_reads_go_on_during(&mount, || {
        let open = |_| std::fs::File::create(mount.ctl("vda/faults")).unwrap();
        let files: Vec<_> = (0..500).map(open).collect();
        drop(files);
    });
}

#[test]
fn truncation_clears_the_rules_as_a_write_to_clear_does() {
    let mount = Mount::new();
    mount.arm("eio_read");
    assert_ok(&shell("sh", &mount, "truncate -s 0 $m/ctl/vda/faults"));
    assert_eq!(mount.read("vda/faults"), "");
    mount.arm("eio_read");
    assert_ok(&shell("sh", &mount, ": > $m/ctl/clear"));
    assert_eq!(mount.read("vda/faults"), "");
}

#[test]
fn reader_that_begins_in_the_middle_finds_the_rest() {
    let mount = Mount::new();
    mount.arm("slow\neio_read");
    let dd = shell(
        "sh",
        &mount,
        "dd if=$m/ctl/vda/faults bs=1 skip=5 status=none",
    );
    assert_eq!(stdout(&dd), "eio_read\n");
}

#[test]
fn control_file_reads_as_its_text_by_every_system_call() {
    page_says(
        "docs/control-files.md",
        "The size of a control file is the length of its text",
    );
    if !has("python3") {
        return;
    }
    let mount = Mount::new();
    let rules: String = (0..300).map(|at| format!("eio_read at={at}+1\n")).collect();
    mount.arm(&rules);
    let size = std::fs::metadata(mount.ctl("vda/faults")).unwrap().len();
    assert_eq!(size, rules.len() as u64);
    let aio = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/aio.py");
    let first = &rules[..1000];
    let second = &rules[4096..];
    for how in ["direct", "buffered"] {
        for (offset, expected) in [("0", first), ("4096", &second[..1000])] {
            let mut python = Command::new("python3");
            python.args([aio, how]).arg(mount.ctl("vda/faults"));
            let text = stdout(&run(python.args([offset, "4096"])));
            let (_, text) = text.split_once('\n').unwrap();
            assert_eq!(text, expected, "{how} at {offset}");
        }
    }
    let copy = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])";
    let to = mount.folder().join("copy");
    let ctl = mount.ctl("vda/faults").display().to_string();
    let to_text = to.display().to_string();
    for words in [
        &["python3", "-c", copy, &ctl, &to_text][..],
        &["cp", &ctl, &to_text],
        &["cp", "--sparse=always", &ctl, &to_text],
        &[
            "dd",
            "iflag=direct",
            "bs=4096",
            &format!("if={ctl}"),
            &format!("of={to_text}"),
        ],
        &[
            "dd",
            "iflag=direct",
            "bs=512",
            &format!("if={ctl}"),
            &format!("of={to_text}"),
        ],
    ] {
        assert_ok(&run(Command::new(words[0]).args(&words[1..])));
        assert_eq!(std::fs::read_to_string(&to).unwrap(), rules, "{words:?}");
        std::fs::remove_file(&to).unwrap();
    }
    let tail = shell(
        "sh",
        &mount,
        "tail -n 2 $m/ctl/vda/faults; wc -c < $m/ctl/vda/faults",
    );
    let expected = format!("eio_read at=298+1\neio_read at=299+1\n{}\n", rules.len());
    assert_eq!(stdout(&tail), expected);
    for (file, len) in [("attach", 0), ("vda/trace", 0), ("vda/mode", 3)] {
        assert_eq!(
            std::fs::metadata(mount.ctl(file)).unwrap().len(),
            len,
            "{file}"
        );
    }
    mount.clear();
    assert_eq!(std::fs::metadata(mount.ctl("vda/faults")).unwrap().len(), 0);
}

#[test]
fn path_that_would_break_the_list_of_disks_is_refused() {
    let mount = Mount::new();
    let image = new_image(&mount.folder().join("two\nlines.img"), MIB);
    let attach = provium(&[
        "attach",
        &mount.point().display().to_string(),
        "vdb",
        &image.display().to_string(),
    ]);
    assert_fails(&attach, 1, &["newline"]);
    assert_eq!(mount.read("disks").lines().count(), 1);
}

#[test]
fn disks_are_attached_and_detached() {
    let mount = Mount::new();
    let image = new_image(&mount.folder().join("two words.img"), MIB);
    let attach = format!("echo \"vdb '{}' ro\" > $m/ctl/attach", image.display());
    assert_ok(&shell("sh", &mount, &attach));
    assert_eq!(mount.read("vdb/mode"), "ro\n");
    assert_eq!(std::fs::metadata(mount.path("vdb")).unwrap().len(), MIB);
    assert_ok(&shell("sh", &mount, "echo vdb > $m/ctl/detach"));
    assert!(!mount.path("vdb").exists() && !mount.ctl("vdb").exists());
}

#[test]
fn detached_image_is_free_at_once_also_while_its_files_are_read() {
    let mount = Mount::new();
    let attach = format!("vda {}", mount.image().display());
    let mut looker = Command::new("sh")
        .args([
            "-c",
            "while :; do stat $m/vda; cat $m/ctl/disks; done >/dev/null 2>&1",
        ])
        .env("m", mount.point())
        .spawn()
        .unwrap();
    for _ in 0..50 {
        mount.append("detach", "vda").unwrap();
        mount.append("attach", &attach).unwrap();
    }
    looker.kill().unwrap();
    looker.wait().unwrap();
}

#[test]
fn disk_that_a_client_has_open_is_busy_until_it_is_closed() {
    let mount = Mount::new();
    let file = open_direct(&mount.vda());
    assert_eq!(errno(mount.append("detach", "vda")), libc::EBUSY);
    assert!(
        mount
            .read("error")
            .contains("disk `vda` is in use: 1 open file")
    );
    drop(file);
    mount.append("detach", "vda").unwrap();
}

#[test]
fn detach_of_an_unknown_disk_names_the_known_ones() {
    let mount = Mount::new();
    assert_eq!(errno(mount.append("detach", "vdz")), libc::ENOENT);
    assert_eq!(
        mount.read("error"),
        "1 detach: no disk `vdz` (attached: vda)\n"
    );
}

#[test]
fn image_in_the_mount_itself_is_refused_by_every_path() {
    let mount = Mount::new();
    let link = mount.folder().join("link");
    std::os::unix::fs::symlink(mount.vda(), &link).unwrap();
    for path in [mount.vda(), link] {
        let attach = mount.append("attach", &format!("vdb {}", path.display()));
        assert_eq!(errno(attach), libc::EINVAL);
        assert!(
            mount.read("error").contains("lies in this mount itself"),
            "{}",
            mount.read("error")
        );
    }
}

#[test]
fn huge_write_is_refused() {
    let mount = Mount::new();
    mount.arm("slow");
    let huge = "slow\n".repeat(20_000);
    assert_eq!(errno(mount.append("vda/faults", &huge)), libc::EINVAL);
    assert!(mount.read("error").contains("at most 65536 bytes"));
    assert_eq!(mount.read("vda/faults"), "slow\n");
}

#[test]
fn control_files_for_one_direction_refuse_the_other() {
    let mount = Mount::new();
    assert_eq!(errno(mount.append("version", "x")), libc::EACCES);
    assert_eq!(errno(mount.append("vda/stats", "x")), libc::EACCES);
    assert_eq!(errno(std::fs::read(mount.ctl("attach"))), libc::EACCES);
}
