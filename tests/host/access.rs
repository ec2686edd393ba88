//! Access to a mount: for its owner, for other users with `allow_other`, and for an ordinary user.

use std::process::{Command, Output};

use crate::docs::page_says;
use crate::harness::*;

const SECURITY: &str = "docs/security.md";

/// An ordinary user, and its group.
const USER: &str = "65534";

/// Runs a shell script as another, ordinary user; None, with a message, if this user may not become that one.
fn as_another(script: &str) -> Option<Output> {
    let mut setpriv = Command::new("setpriv");
    setpriv.args([
        "--reuid",
        USER,
        "--regid",
        USER,
        "--clear-groups",
        "sh",
        "-c",
    ]);
    if provium::os::sys::uid() != 0 {
        eprintln!("skipped: only root may become another user");
        return None;
    }
    Some(run(setpriv.arg(script)))
}

fn denied(script: &str) -> bool {
    as_another(script)
        .is_none_or(|output| !output.status.success() && stderr(&output).contains("denied"))
}

/// A mount in a folder that others may enter.
fn open_to_others(args: &[&str]) -> Mount {
    let folder = TempDir::new().unwrap();
    assert_ok(&run(Command::new("chmod").arg("755").arg(folder.path())));
    let disk = format!(
        "vda={}",
        new_image(&folder.path().join("vda.img"), MIB).display()
    );
    Mount::serve(folder, &[args, &["--disk", &disk]].concat())
}

#[test]
fn mount_is_invisible_to_other_users() {
    page_says(
        SECURITY,
        "nothing: the kernel rejects them before the server hears of it",
    );
    let mount = open_to_others(&[]);
    let point = mount.point().display().to_string();
    for script in [
        "ls {}",
        "cat {}/vda",
        "cat {}/ctl/version",
        "echo slow > {}/ctl/vda/faults",
    ] {
        assert!(denied(&script.replace("{}", &point)), "{script}");
    }
    assert_eq!(mount.read("vda/faults"), "");
}

#[test]
fn allow_other_opens_data_files_and_no_control_files() {
    page_says(
        SECURITY,
        "open the data files. Never the control files: not even their names",
    );
    if provium::os::sys::uid() != 0 {
        eprintln!("skipped: only root may become another user");
        return;
    }
    let mount = open_to_others(&["-o", "allow_other"]);
    let point = mount.point().display().to_string();
    let look = format!("ls {point}; head -c 3 {point}/vda | od -An -tx1");
    let output = as_another(&look).unwrap();
    assert_eq!(stdout(&output), "ctl\nvda\n 00 00 00\n");
    for script in [
        "ls {}/ctl",
        "cat {}/ctl/version",
        "cat {}/ctl/vda/faults",
        "echo slow > {}/ctl/vda/faults",
        "echo 1 > {}/ctl/clear",
    ] {
        assert!(denied(&script.replace("{}", &point)), "{script}");
    }
}

#[test]
fn command_line_says_whose_mount_it_is() {
    for options in [&[][..], &["-o", "allow_other"]] {
        let mount = open_to_others(options);
        let point = mount.point().display().to_string();
        for command in [
            "fault {}/vda",
            "fault {} --clear",
            "power {} cut",
            "top {} --count 1",
        ] {
            let command = command.replace("{}", &point);
            let Some(output) = as_another(&format!("{PROVIUM} {command}")) else {
                return;
            };
            let says = format!("{point} is a mount of user 0: the kernel lets nobody else");
            assert_fails(&output, 1, &[&says]);
        }
    }
}

#[test]
fn mount_point_that_another_user_could_have_prepared_is_refused() {
    page_says(
        SECURITY,
        "A run-time folder that is a link, belongs to another user or lets others in is rejected",
    );
    let folder = TempDir::new().unwrap();
    let runtime = folder.path().join("provium");
    let file = folder.path().join("a.test.lua");
    std::fs::write(
        &file,
        "test('x', function(t) provium:vm('v', 'default') end)",
    )
    .unwrap();
    let refused = |why: &str| {
        let mut test = Command::new(PROVIUM);
        test.arg("test").arg(&file);
        let output = run(test.env("XDG_RUNTIME_DIR", folder.path()));
        assert!(!output.status.success());
        let text = stdout(&output) + &stderr(&output);
        assert!(text.contains(&format!("{why}: remove it")), "{text}");
    };
    std::os::unix::fs::symlink("/tmp", &runtime).unwrap();
    refused("is not a folder");
    std::fs::remove_file(&runtime).unwrap();
    std::fs::create_dir(&runtime).unwrap();
    assert_ok(&run(Command::new("chmod").arg("755").arg(&runtime)));
    refused("can be entered by others");
}

#[test]
fn mount_without_a_run_time_folder_serves_and_is_recognised_as_dead() {
    page_says(SECURITY, "A mount then works without it");
    let folder = TempDir::new().unwrap();
    // Other users may enter the folder, so the server does not use it.
    std::fs::create_dir(folder.path().join("provium")).unwrap();
    assert_ok(&run(Command::new("chmod")
        .arg("755")
        .arg(folder.path().join("provium"))));
    let mut server = Command::new(PROVIUM);
    server.env("XDG_RUNTIME_DIR", folder.path());
    let mut mount = Mount::start(server, TempDir::new().unwrap(), &[]);
    let point = mount.point().display().to_string();
    let stale = |args: &[&str]| {
        let args = [&["umount", "--stale"], args].concat();
        run(Command::new(PROVIUM)
            .args(args)
            .env("XDG_RUNTIME_DIR", folder.path()))
    };
    assert_fails(&stale(&[&point]), 1, &["is not stale"]);
    mount.signal(libc::SIGSTOP);
    assert_fails(&stale(&[&point]), 1, &["is not stale"]);
    mount.signal(libc::SIGCONT);
    mount.kill_server();
    assert_ok(&stale(&[&point]));
    assert!(!is_mounted(&mount.point()));
}

#[test]
fn ordinary_user_mounts_arms_clears_and_unmounts() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().display();
    // Other users may not read the folder of the build.
    let provium = folder.path().join("the-program");
    copy_program(PROVIUM.as_ref(), &provium);
    let provium = provium.display();
    let script = format!(
        "set -e; cd {place}; export HOME={place} XDG_RUNTIME_DIR={place}
         truncate -s 1M a.img; mkdir mnt
         {provium} mount mnt --disk vda=a.img
         echo eio_read > mnt/ctl/vda/faults
         dd if=mnt/vda of=/dev/null count=1 2>&1 | grep -c 'Input/output error'
         {provium} fault mnt/vda --clear
         dd if=mnt/vda of=/dev/null count=1 status=none
         {provium} status mnt --json | grep -c '\"state\": \"ok\"'
         {provium} umount mnt
         ls mnt | wc -l"
    );
    let output = match provium::os::sys::uid() {
        0 => {
            let owner = format!("{USER}:{USER}");
            assert_ok(&run(Command::new("chown").arg(owner).arg(folder.path())));
            as_another(&script).unwrap()
        }
        _ => run(Command::new("sh").args(["-c", &script])),
    };
    assert_ok(&output);
    assert_eq!(stdout(&output), "1\n1\n0\n");
}

#[test]
fn umount_stale_goes_on_past_mounts_of_other_users() {
    page_says(
        SECURITY,
        "`provium umount --stale` removes the stale mounts of the user who calls it, or of all users for root",
    );
    if provium::os::sys::uid() != 0 || !can_isolate() {
        eprintln!("skipped: only root may become another user");
        return;
    }
    let mut of_root = Mount::new();
    of_root.kill_server();
    let folder = TempDir::new().unwrap();
    let place = folder.path().display();
    copy_program(PROVIUM.as_ref(), &folder.path().join("the-program"));
    let owner = format!("{USER}:{USER}");
    assert_ok(&run(Command::new("chown").arg(owner).arg(folder.path())));
    let script = format!(
        "set -e; cd {place}; export HOME={place} XDG_RUNTIME_DIR={place}
         mkdir mnt; ./the-program mount mnt
         kill -9 $(./the-program status mnt --json | sed -n 's/.*\"server\": \\([0-9]*\\).*/\\1/p')
         until ./the-program status mnt | grep -q stale; do sleep 0.01; done
         ./the-program umount --stale"
    );
    // In its own mount namespace, so that no other mount is removed.
    let mut unshare = Command::new("unshare");
    unshare.args([
        "-m",
        "setpriv",
        "--reuid",
        USER,
        "--regid",
        USER,
        "--clear-groups",
    ]);
    let output = run(unshare.args(["sh", "-c", &script]));
    assert_ok(&output);
    let expected = format!("{place}/mnt: stale, unmounted\n");
    assert!(stdout(&output).contains(&expected), "{}", stdout(&output));
    assert!(is_mounted(&of_root.point()), "that of root is left");
    assert_ok(&provium(&[
        "umount",
        "--stale",
        &of_root.point().display().to_string(),
    ]));
}

#[test]
fn root_server_drops_the_capabilities_that_serving_does_not_need() {
    page_says(
        SECURITY,
        "| `DAC_OVERRIDE` and `DAC_READ_SEARCH` | to open any image | | `SYS_ADMIN` | to mount and unmount | | `SYS_RESOURCE` |",
    );
    if provium::os::sys::uid() != 0 {
        eprintln!("skipped: an ordinary user's server has none");
        return;
    }
    let mount = Mount::new();
    // DAC_OVERRIDE, DAC_READ_SEARCH, SYS_ADMIN, SYS_RESOURCE; capabilities(7).
    let needed = [1, 2, 21, 24].iter().fold(0, |set, bit| set | 1u64 << bit);
    for task in std::fs::read_dir(format!("/proc/{}/task", mount.server())).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for key in ["CapPrm:", "CapEff:"] {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let set = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
            assert_eq!(set & !needed, 0, "{key} {set:x}");
        }
    }
}

#[test]
fn root_server_is_sandboxed() {
    page_says(SECURITY, "(seccomp, with `no_new_privs`)");
    if provium::os::sys::uid() != 0 {
        eprintln!("skipped: an ordinary user's server has no sandbox");
        return;
    }
    let mount = Mount::new();
    // SECCOMP_MODE_FILTER; proc(5).
    eventually("it is in its sandbox", || {
        mount.server_status("Seccomp") == 2
    });
    assert_eq!(mount.server_status("NoNewPrivs"), 1);
}
