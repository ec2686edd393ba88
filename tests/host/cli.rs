//! The command line: what it does, and what it says when it cannot.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::docs::{help_says, page_says};
use crate::harness::*;

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A folder with an image and an empty mount point.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        new_image(&folder.path().join("a.img"), MIB);
        std::fs::create_dir(folder.path().join("mnt")).unwrap();
        Self(folder)
    }

    fn at(&self, name: &str) -> String {
        text(&self.0.path().join(name))
    }

    /// `provium` from within the folder.
    fn provium(&self, args: &[&str]) -> std::process::Output {
        run(Command::new(PROVIUM).args(args).current_dir(self.0.path()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if is_mounted(&self.0.path().join("mnt")) {
            provium(&["umount", &self.at("mnt")]);
        }
    }
}

#[test]
fn mount_returns_when_the_mount_answers_and_umount_when_the_server_is_gone() {
    let place = Place::new();
    assert_ok(&place.provium(&["mount", "mnt", "--disk", "vda=a.img"]));
    assert_eq!(std::fs::metadata(place.at("mnt/vda")).unwrap().len(), MIB);
    let status = place.provium(&["status", "mnt", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status[0]["disks"][0]["id"], "vda");
    assert_eq!(status[0]["disks"][0]["size_bytes"], MIB);
    assert_ok(&place.provium(&["umount", "mnt"]));
    assert!(!Path::new(&place.at("mnt/vda")).exists());
    // The image is free at once: its lock ended with the server.
    assert_ok(&place.provium(&["mount", "mnt", "--disk", "vda=a.img"]));
}

#[test]
fn background_server_keeps_no_file_of_its_caller_open() {
    let place = Place::new();
    // The shell waits until no process has the pipe open for writing.
    let script = format!("echo \"[$({PROVIUM} mount mnt --disk vda=a.img 2>&1)]\"");
    let output = run(Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.0.path()));
    assert_eq!(stdout(&output), "[]\n");
}

#[test]
fn faults_are_shown_added_set_removed_and_cleared() {
    let place = Place::new();
    assert_ok(&place.provium(&["mount", "mnt", "--disk", "vda=a.img"]));
    let fault = |args: &[&str]| {
        let args: Vec<_> = ["fault", "mnt/vda"].iter().chain(args).copied().collect();
        let output = place.provium(&args);
        assert_ok(&output);
        stdout(&place.provium(&["fault", "mnt/vda"])).replace('\n', " ")
    };
    assert_eq!(fault(&["slow", "eio_read"]), "slow eio_read ");
    assert_eq!(fault(&["--add", "eio_write"]), "slow eio_read eio_write ");
    assert_eq!(fault(&["--remove", "slow"]), "eio_read eio_write ");
    assert_eq!(fault(&["--set", "slow"]), "slow ");
    assert_eq!(fault(&["--clear"]), "");
    let bad = place.provium(&["fault", "mnt/vda", "slow", "bogus"]);
    assert_fails(
        &bad,
        2,
        &["unknown mode `bogus`", "eio_read, eio_write, slow"],
    );
    assert_eq!(stdout(&place.provium(&["fault", "mnt/vda"])), "");
    let missing = place.provium(&["fault", "mnt/vdz", "slow"]);
    assert_fails(&missing, 1, &["no disk `vdz`", "attached: vda"]);
}

#[test]
fn attach_and_detach_take_relative_paths() {
    let place = Place::new();
    new_image(&place.0.path().join("b.img"), MIB);
    assert_ok(&place.provium(&["mount", "mnt"]));
    assert_ok(&place.provium(&["attach", "mnt", "vdb", "b.img", "--ro"]));
    let twice = place.provium(&["attach", "mnt", "vdb", "a.img"]);
    assert_fails(&twice, 1, &["disk `vdb` is attached already"]);
    let missing = place.provium(&["attach", "mnt", "vdc", "none.img"]);
    assert_fails(&missing, 1, &["none.img does not exist"]);
    assert_ok(&place.provium(&["detach", "mnt", "vdb"]));
    let gone = place.provium(&["detach", "mnt", "vdb"]);
    assert_fails(&gone, 1, &["no disk `vdb` (attached: none)"]);
}

#[test]
fn mount_names_the_image_that_cannot_be_served() {
    let place = Place::new();
    let mount = |disk: &str| place.provium(&["mount", "mnt", "--disk", disk]);
    assert_fails(&mount("vda=none.img"), 1, &["none.img does not exist"]);
    assert!(
        !Path::new(&place.at("none.img")).exists(),
        "nothing is created"
    );
    assert_fails(&mount("vda=mnt"), 1, &["/mnt is a directory"]);
    assert_fails(&mount("1vda=a.img"), 2, &["bad disk ID `1vda`"]);
    assert_fails(&mount("ctl=a.img"), 2, &["bad disk ID `ctl`"]);
    assert_fails(&mount("vda"), 2, &["ID=IMAGE"]);
    new_image(&place.0.path().join("b.img"), MIB);
    let twice = ["mount", "mnt", "--disk", "vda=a.img", "--disk", "vda=b.img"];
    assert_fails(
        &place.provium(&twice),
        1,
        &["disk `vda` is attached already"],
    );
    let same = ["mount", "mnt", "--disk", "vda=a.img", "--disk", "vdb=a.img"];
    assert_fails(&place.provium(&same), 1, &["a.img is already served"]);
    assert!(
        !is_mounted(&place.0.path().join("mnt")),
        "nothing is left mounted"
    );
}

#[test]
fn image_lock_lets_one_server_write_or_several_read() {
    let (first, second) = (Place::new(), Place::new());
    let image = first.at("a.img");
    assert_ok(&first.provium(&["mount", "mnt", "--disk", &format!("vda={image}")]));
    let refused = second.provium(&["mount", "mnt", "--disk", &format!("vda={image}")]);
    assert_fails(&refused, 1, &["a.img is already served"]);
    assert_ok(&first.provium(&["umount", "mnt"]));
    for place in [&first, &second] {
        assert_ok(&place.provium(&["mount", "mnt", "--disk", &format!("vda={image},ro")]));
    }
}

#[test]
fn mount_names_the_mount_point_that_cannot_be_used() {
    let place = Place::new();
    let mount = |point: &str| place.provium(&["mount", point, "--disk", "vda=a.img"]);
    assert_fails(
        &mount("none"),
        1,
        &["mount point none does not exist", "mkdir"],
    );
    assert_fails(&mount("a.img"), 1, &["a.img is not a folder"]);
    assert_fails(&mount("."), 1, &["is not empty"]);
    assert_ok(&mount("mnt"));
    assert_fails(&mount("mnt"), 1, &["is busy", "provium umount"]);
}

#[test]
fn unknown_option_is_named_with_the_known_ones() {
    let place = Place::new();
    let output = place.provium(&["mount", "mnt", "-o", "allow_others"]);
    assert_fails(
        &output,
        2,
        &["unknown mount option `allow_others`", "allow_other,"],
    );
}

#[test]
fn umount_says_that_a_folder_is_not_a_mount_or_busy() {
    let place = Place::new();
    assert_fails(
        &place.provium(&["umount", "mnt"]),
        1,
        &["is not a provium mount"],
    );
    assert_ok(&place.provium(&["mount", "mnt", "--disk", "vda=a.img"]));
    let open = std::fs::File::open(place.at("mnt/vda")).unwrap();
    assert_ok(&place.provium(&["fault", "mnt/vda", "slow"]));
    assert_fails(&place.provium(&["umount", "mnt"]), 1, &["is busy"]);
    assert_eq!(
        stdout(&place.provium(&["fault", "mnt/vda"])),
        "slow\n",
        "nothing is lost"
    );
    drop(open);
    assert_ok(&place.provium(&["umount", "mnt"]));
}

#[test]
fn commands_say_that_a_folder_is_not_a_mount() {
    let place = Place::new();
    for args in [
        &["status", "mnt"][..],
        &["fault", "mnt"],
        &["detach", "mnt", "vda"],
    ] {
        assert_fails(&place.provium(args), 1, &["mnt is not a provium mount"]);
    }
    for command in ["fault", "power"] {
        let says = "neither mnt/vda nor mnt is a provium mount";
        assert_fails(&place.provium(&[command, "mnt/vda"]), 1, &[says]);
    }
}

#[test]
fn foreground_mount_tells_systemd_that_it_is_ready() {
    let place = Place::new();
    let socket_path = place.0.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&socket_path).unwrap();
    let mut server = Command::new(PROVIUM)
        .args(["mount", "-f", &place.at("mnt")])
        .env("NOTIFY_SOCKET", &socket_path)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut message = [0; 100];
    let n = socket.recv(&mut message).unwrap();
    assert!(String::from_utf8_lossy(&message[..n]).contains("READY=1"));
    assert!(is_mounted(&place.0.path().join("mnt")));
    send(server.id(), libc::SIGINT);
    assert!(server.wait().unwrap().success());
    assert!(!is_mounted(&place.0.path().join("mnt")));
}

#[test]
fn mount_helper_mounts_what_fstab_says() {
    let place = Place::new();
    let helper = concat!(env!("CARGO_MANIFEST_DIR"), "/mnt-helpers/mount.provium");
    let options = format!("rw,nofail,disk=vda={}", place.at("a.img"));
    let folder = Path::new(PROVIUM).parent().unwrap().display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let mut command = Command::new(helper);
    command
        .args(["provium", &place.at("mnt"), "-o", &options])
        .env("PATH", path);
    assert_ok(&run(&mut command));
    assert!(Path::new(&place.at("mnt/vda")).exists());
}

/// The commands of `provium --help`.
fn listed_commands() -> Vec<String> {
    let help = stdout(&provium(&["--help"]));
    let (list, _) = help.split_once("\nOptions:").unwrap();
    let lines = list.lines().filter_map(|line| line.strip_prefix("  "));
    let names = lines
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(' ').next().unwrap());
    names.map(str::to_owned).collect()
}

#[test]
fn help_lists_the_commands_in_groups_and_explains_rules() {
    let help = stdout(&provium(&["help"]));
    assert_eq!(help, stdout(&provium(&["--help"])));
    let titles: Vec<_> = help
        .lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '))
        .collect();
    assert_eq!(
        titles[..6],
        [
            "Serve disks:",
            "Break them:",
            "Watch them:",
            "Find what a power cut leaves:",
            "Test with guests:",
            "Set up:",
        ]
    );
    assert!(
        help.contains("Usage: provium [OPTIONS] <COMMAND>"),
        "{help}"
    );
    assert_eq!(listed_commands().first().unwrap(), "mount");
    let rules = provium(&["help", "rules"]);
    assert_ok(&rules);
    for text in [
        "error op=read errno=EIO at=2048+8",
        "  stale     the read returns",
        "  times    200us, 50ms",
    ] {
        assert!(stdout(&rules).contains(text), "{text}: {}", stdout(&rules));
    }
    assert_fails(&provium(&["help", "falt"]), 2, &["did you mean `fault`?"]);
    assert_fails(
        &provium(&["falt"]),
        2,
        &["a similar subcommand exists: 'fault'"],
    );
}

#[test]
fn help_has_examples_and_completions_name_the_commands() {
    assert!(stdout(&provium(&["--help"])).contains("Examples:"));
    for command in listed_commands() {
        let help = stdout(&provium(&[&command, "--help"]));
        assert!(help.contains("Example"), "{help}");
        assert_eq!(stdout(&provium(&["help", &command])), help);
    }
    for shell in ["bash", "zsh", "fish"] {
        let completions = stdout(&provium(&["completions", shell]));
        assert!(completions.contains("umount"), "{shell}");
    }
    let help = stdout(&provium(&["--help"]));
    let commands = [
        "mount",
        "umount",
        "attach",
        "detach",
        "fault",
        "power",
        "record",
        "mark",
        "status",
        "test",
        "guest",
        "doctor",
        "completions",
    ];
    for command in commands {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command} is not in the help"
        );
    }
    assert!(!help.contains("test-file"));
    assert_fails(&provium(&["mnt"]), 2, &["unrecognized subcommand"]);
}

#[test]
fn exit_code_is_2_for_wrong_usage_and_1_for_a_failure() {
    page_says(
        "docs/running-tests.md",
        "| 2 | the command line, the configuration, a rule, an ID or a line for a control file is invalid",
    );
    help_says("", "2 wrong usage, configuration, rule or ID");
    let place = Place::new();
    assert_ok(&place.provium(&["mount", "mnt", "--disk", "vda=a.img"]));
    let code = |args: &[&str]| place.provium(args).status.code().unwrap();
    for wrong in [
        &["fault", "mnt/vda", "bogus"][..],
        &["fault", "mnt/vda", "--set", "error errno=EBOGUS"],
        &["fault", "mnt/vda", "--remove", "!"],
        &["fault", "mnt/vda", "--release", "all", "--errno", "EBOGUS"],
        &["fault", "mnt/vda", "--release", "two words"],
        &["fault", "mnt/vda", "--explain", "fly 1+1"],
        &["fault", "mnt/1b", "slow"],
        &["fault", "mnt/ctl", "slow"],
        &["attach", "mnt", "1b", "a.img"],
        &["attach", "mnt", "ctl", "a.img"],
        &["detach", "mnt", "1b"],
        &["mount", "mnt", "--disk", "1b=a.img"],
        &["mount", "mnt", "-o", "nosuch"],
        &["umount"],
    ] {
        assert_eq!(code(wrong), 2, "{wrong:?}");
    }
    for failing in [
        &["fault", "mnt/vdz", "slow"][..],
        &["attach", "mnt", "vda", "a.img"],
        &["attach", "mnt", "vdb", "none.img"],
        &["attach", "mnt", "vdb", "mnt/vda"],
        &["detach", "mnt", "vdz"],
        &["mount", "mnt"],
        &["umount", "none"],
        &["status", "none"],
    ] {
        assert_eq!(code(failing), 1, "{failing:?}");
    }
    assert_eq!(stdout(&place.provium(&["fault", "mnt/vda"])), "");
}

#[test]
fn image_that_is_not_raw_is_served_with_a_warning_that_names_its_format() {
    page_says(
        "docs/security.md",
        "read the first 512 bytes, to warn if the image is not raw",
    );
    let place = Place::new();
    let write = |name: &str, beginning: &[u8]| {
        let content = [beginning, &[0; 4096]].concat();
        std::fs::write(place.at(name), content).unwrap();
    };
    write("b.img", b"QFI\xfb");
    write("c.img", b"LUKS\xba\xbe");
    let warned = |output: &std::process::Output, format: &str| {
        assert_ok(output);
        let said = stderr(output);
        assert!(said.contains("warning: image "), "{said}");
        assert!(said.contains(&format!("is a {format} file")), "{said}");
    };
    warned(
        &place.provium(&["mount", "mnt", "--disk", "vda=b.img"]),
        "qcow2",
    );
    warned(&place.provium(&["attach", "mnt", "vdb", "c.img"]), "luks");
    let lua = r#"test("t", function()
        provium:vm("v", "default"):attach_disk({ path = "b.img" })
        error("to see what was said")
    end)"#;
    std::fs::write(place.at("b.test.lua"), lua).unwrap();
    assert_ok(&place.provium(&["detach", "mnt", "vda"]));
    let said = stdout(&place.provium(&["test", "b.test.lua"]));
    assert!(said.contains("b.img is a qcow2 file"), "{said}");
    let raw = place.provium(&["attach", "mnt", "vdc", "a.img"]);
    assert_ok(&raw);
    assert_eq!(stderr(&raw), "");
}

#[test]
fn path_with_escapes_does_not_steer_the_terminal() {
    let place = Place::new();
    let (image, point) = (place.at("i\x1b[2J\u{9b}.img"), place.at("m\x1b]0;x\x07"));
    new_image(image.as_ref(), MIB);
    std::fs::create_dir(&point).unwrap();
    let steers = |output: &std::process::Output| {
        let text = stdout(output) + &stderr(output);
        assert!(text.contains("\\u{1b}"), "{text:?}");
        text.chars().any(|c| c.is_control() && c != '\n')
    };
    let disk = format!("vda={image}");
    assert_ok(&place.provium(&["mount", &point, "--disk", &disk]));
    let data = std::fs::File::open(format!("{point}/vda")).unwrap();
    let missing = format!("vdb={image}2");
    for args in [
        &["status", &point][..],
        &["umount", &point],
        &["mount", &point],
        &["attach", &point, "vdb", &missing],
        &["mount", &place.at("mnt"), "--disk", &missing],
        &["fault", &format!("{point}/vdz")],
        &["detach", &point, "vda\x1b"],
    ] {
        assert!(!steers(&place.provium(args)), "{args:?}");
    }
    drop(data);
    assert_ok(&place.provium(&["umount", &point]));
}

#[test]
fn doctor_lists_what_is_there_and_the_command_for_what_is_missing() {
    let output = run(Command::new(PROVIUM).arg("doctor").env("PATH", "/nowhere"));
    let report = stdout(&output);
    assert!(report.contains("ok       /dev/fuse"), "{report}");
    assert!(report.contains("missing  qemu-system-x86_64"), "{report}");
    assert!(
        report.contains("mend it with: sudo apt-get install"),
        "{report}"
    );
    assert_eq!(output.status.code(), Some(1));
}
