//! Raw templates of images in other formats: made once by qemu-img, kept in the cache, and nothing half of them.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use crate::docs::page_says;
use crate::harness::*;
use crate::lua_suite::assert_report;
use crate::survival::host::Tmpfs;

/// A folder with a project and a cache of its own. Its test attaches what `DISK` says, and reads it.
struct Place(TempDir);

/// What is on the disk, at its beginning.
const CONTENT: &str = "the disk in the image";

impl Place {
    /// None if this machine lacks qemu-img.
    fn new() -> Option<Self> {
        if !has("qemu-img") {
            return None;
        }
        let place = Self(TempDir::new().unwrap());
        let mut content = CONTENT.as_bytes().to_vec();
        content.resize(3 * MIB as usize, 0);
        place.write("raw.img", &content);
        std::fs::create_dir(place.path("bin")).unwrap();
        Some(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn qemu_img(&self, args: &[&str]) {
        let mut command = Command::new("qemu-img");
        assert_ok(&run(command.args(args).current_dir(self.0.path())));
    }

    /// Makes a folder with these programs of the host alone.
    fn link_programs(&self, folder: &str, names: &[&str]) {
        std::fs::create_dir(self.path(folder)).unwrap();
        for name in names {
            let found = run(Command::new("sh").args(["-c", &format!("command -v {name}")]));
            let link = self.path(folder).join(name);
            std::os::unix::fs::symlink(stdout(&found).trim(), link).unwrap();
        }
    }

    /// Makes the image `name` of raw.img.
    fn convert(&self, format: &str, name: &str) {
        self.qemu_img(&["convert", "-O", format, "raw.img", name]);
    }

    /// Has `qemu-img convert` run these lines of shell before, and counts its calls.
    fn before_conversions(&self, lines: &str) {
        let real = run(Command::new("sh").args(["-c", "command -v qemu-img"]));
        let script = format!(
            "#!/bin/bash\nif [ \"$1\" = convert ]; then\necho >> {}\n{lines}\nfi\nexec {} \"$@\"\n",
            self.path("conversions").display(),
            stdout(&real).trim()
        );
        std::fs::create_dir_all(self.path("bin")).unwrap();
        write_program(&self.path("bin/qemu-img"), &script);
    }

    fn conversions(&self) -> usize {
        let calls = std::fs::read(self.path("conversions")).unwrap_or_default();
        calls.len()
    }

    /// A run of a test that attaches `disk`, a table of Lua, and reads it.
    fn command(&self, disk: &str) -> Command {
        let lua = format!(
            "test('reads', function(t)
              local vm = provium:vm('v', 'default')
              local disk = vm:attach_disk({disk})
              t:assert_eq(disk:read_sectors(0, 1):sub(1, {}), {CONTENT:?})
              disk:write_sectors(0, 'changed')
              t:log('size ' .. disk:size())
              error('to see the log')
            end)",
            CONTENT.len()
        );
        self.write("a.test.lua", lua.as_bytes());
        let path = format!(
            "{}:{}",
            self.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new(PROVIUM);
        command
            .args(["test", "a.test.lua"])
            .current_dir(self.0.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("PATH", path);
        command
    }

    fn test(&self, disk: &str) -> Output {
        run(&mut self.command(disk))
    }

    /// Asserts that the test has read the disk, and returns its report.
    fn reads(&self, disk: &str) -> String {
        let output = self.test(disk);
        assert_report(&output, 1, &["to see the log"]);
        stdout(&output)
    }

    /// Asserts that the test fails, and that the report says `why`.
    fn fails(&self, disk: &str, why: &str) {
        assert_report(&self.test(disk), 1, &["vm:attach_disk: ", why]);
        assert_eq!(self.kept(), [""; 0]);
    }

    /// The files that templates have left in the cache.
    fn kept(&self) -> Vec<String> {
        let folder = self.path("cache/provium/templates");
        let entries = folder.read_dir().ok().into_iter();
        let names = entries.flatten().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }
}

#[test]
fn image_in_each_format_is_known_by_its_content_and_stays_as_it_is() {
    let Some(place) = Place::new() else { return };
    page_says(
        "docs/lua-reference.md",
        "It knows a qcow2, vmdk, vdi, vhdx, vhd, qed, parallels or bochs image by its content, not by its name",
    );
    for format in ["qcow2", "vmdk", "vdi", "vhdx", "vpc", "qed", "parallels"] {
        place.convert(format, "disk.img");
        let before = std::fs::read(place.path("disk.img")).unwrap();
        for key in ["image", "template"] {
            let report = place.reads(&format!("{{ {key} = 'disk.img' }}"));
            assert!(report.contains("size 3"), "{format}: {report}");
        }
        let after = std::fs::read(place.path("disk.img")).unwrap();
        assert!(before == after, "{format} was written to");
    }
    let kept = place.kept();
    assert_eq!(kept.len(), 2, "one template of one path: {kept:?}");
}

#[test]
fn raw_template_stays_as_it_is_and_a_raw_image_is_written_to() {
    let Some(place) = Place::new() else { return };
    let content = || std::fs::read(place.path("raw.img")).unwrap();
    let before = content();
    place.reads("{ template = 'raw.img' }");
    assert!(content() == before, "the template was written to");
    assert_eq!(place.kept(), [""; 0], "a raw image needs no template");
    place.reads("{ image = 'raw.img' }");
    assert!(content().starts_with(b"changed"));
}

#[test]
fn template_is_made_once_and_again_when_the_image_or_its_backing_file_has_changed() {
    let Some(place) = Place::new() else { return };
    place.before_conversions("");
    place.convert("qcow2", "base.qcow2");
    let over = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        "base.qcow2",
        "-F",
        "qcow2",
        "over.qcow2",
    ];
    place.qemu_img(&over);
    std::os::unix::fs::symlink("over.qcow2", place.path("link")).unwrap();
    for name in ["over.qcow2", "./over.qcow2", "link"] {
        place.reads(&format!("{{ image = '{name}' }}"));
    }
    assert_eq!(place.conversions(), 1);
    place.convert("qcow2", "base.qcow2");
    place.reads("{ image = 'over.qcow2' }");
    assert_eq!(place.conversions(), 2);
    std::fs::remove_file(place.path("base.qcow2")).unwrap();
    let gone = place.test("{ image = 'over.qcow2' }");
    assert_report(
        &gone,
        1,
        &["base.qcow2, which does not exist: its backing file was moved or removed"],
    );
}

#[test]
fn template_that_is_there_needs_no_qemu_img_and_one_that_is_not_says_how_to_get_it() {
    let Some(place) = Place::new() else { return };
    place.convert("qcow2", "disk.qcow2");
    place.link_programs("few", &["qemu-system-x86_64", "fusermount3"]);
    let without = |disk: &str| run(place.command(disk).env("PATH", place.path("few")));
    let report = without("{ image = 'disk.qcow2' }");
    let why = "disk.qcow2 is a qcow2 file: `qemu-img` makes a raw template of it, and is not installed (run `provium doctor`)";
    assert_report(&report, 1, &[why]);
    assert_eq!(place.kept(), [""; 0]);
    place.reads("{ image = 'disk.qcow2' }");
    assert_report(&without("{ image = 'disk.qcow2' }"), 1, &["to see the log"]);
}

#[test]
fn image_of_which_there_is_no_template_is_an_error_that_says_why() {
    let Some(place) = Place::new() else { return };
    place.write(
        "bad.qcow2",
        &[b"QFI\xfb".as_slice(), &[0xff; 4096]].concat(),
    );
    place.fails(
        "{ image = 'bad.qcow2' }",
        "bad.qcow2 is a qcow2 file that qemu-img cannot read: ",
    );
    place.write("packed.img", b"\xfd7zXZ\0 and more");
    place.fails(
        "{ template = 'packed.img' }",
        "packed.img is a xz file: unpack it first",
    );
    place.fails("{ template = 'none.img' }", "image none.img does not exist");
    let network = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-u",
        "-b",
        "nbd://localhost/x",
        "-F",
        "raw",
        "net.qcow2",
        "1M",
    ];
    place.qemu_img(&network);
    place.fails(
        "{ image = 'net.qcow2' }",
        "it needs `nbd://localhost/x`, which is not a file of this host",
    );
    place.convert("qcow2", "cut.qcow2");
    let cut = std::fs::File::options()
        .write(true)
        .open(place.path("cut.qcow2"))
        .unwrap();
    cut.set_len(300_000).unwrap();
    place.fails(
        "{ image = 'cut.qcow2' }",
        "cut.qcow2 is a qcow2 file that qemu-img cannot read: it is damaged: ",
    );
    place.before_conversions("touch raw.img; truncate -s +1 disk.qcow2");
    place.convert("qcow2", "disk.qcow2");
    place.fails(
        "{ image = 'disk.qcow2' }",
        "disk.qcow2 was changed while a template was made of it",
    );
    place.before_conversions("kill -9 $$");
    place.fails(
        "{ image = 'disk.qcow2' }",
        "qemu-img was killed (signal: 9 (SIGKILL)) while it made a template",
    );
}

#[test]
fn size_makes_a_disk_larger_than_its_template_and_never_smaller() {
    let Some(place) = Place::new() else { return };
    place.convert("qcow2", "disk.qcow2");
    for image in ["raw.img", "disk.qcow2"] {
        let report = place.reads(&format!("{{ template = '{image}', size = '8M' }}"));
        assert!(report.contains("size 8388608"), "{report}");
        let smaller = place.test(&format!("{{ template = '{image}', size = '1M' }}"));
        let why = "`size` is 1048576 bytes, and image ";
        assert_report(
            &smaller,
            1,
            &[why, "has 3145728: the disk can be larger, not smaller"],
        );
    }
    let report = place.reads("{ image = 'raw.img', size = '8M' }");
    assert!(
        report.contains("has the 3145728 bytes of image"),
        "{report}"
    );
}

#[test]
fn full_file_system_is_named_and_keeps_nothing() {
    let Some(place) = Place::new() else { return };
    std::fs::create_dir(place.path("cache")).unwrap();
    let Some(_tmpfs) = Tmpfs::at(&place.path("cache"), "size=1m") else {
        return;
    };
    place.write("raw.img", &[7; 3 * MIB as usize]);
    place.convert("qcow2", "disk.qcow2");
    let room =
        "has no room for a raw template of it (up to 3.0 MiB): free some, or set XDG_CACHE_HOME";
    place.fails("{ image = 'disk.qcow2' }", room);
    // A raw image is served itself: it is read, and found to be another one.
    let served = place.test("{ template = 'raw.img' }");
    assert_report(&served, 1, &["~= the disk in the image"]);
}

/// Waits until qemu-img converts.
fn converting(place: &Place, run: &mut Command) -> Child {
    let child = run.stdout(Stdio::piped()).spawn().unwrap();
    eventually("qemu-img converts", || place.conversions() > 0);
    child
}

#[test]
fn process_that_is_killed_while_it_converts_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    place.convert("qcow2", "disk.qcow2");
    place.before_conversions("sleep 60 & echo $! > sleeper; wait");
    let mut child = converting(&place, &mut place.command("{ image = 'disk.qcow2' }"));
    let sleeper = || std::fs::read_to_string(place.path("sleeper")).unwrap_or_default();
    eventually("it has begun", || sleeper().ends_with('\n'));
    send(child.id(), libc::SIGKILL);
    child.wait().unwrap();
    eventually("the conversion is over", || {
        let of_place = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains(&place.path("bin").display().to_string())
        };
        !provium::os::proc::processes().any(|pid| of_place(&pid))
    });
    let kept = place.kept();
    let without_lock: Vec<_> = kept
        .iter()
        .filter(|name| !name.ends_with(".lock"))
        .collect();
    assert!(without_lock.is_empty(), "{kept:?}");
    send(sleeper().trim().parse().unwrap(), libc::SIGKILL);
    place.before_conversions("");
    place.reads("{ image = 'disk.qcow2' }");
    assert_eq!(place.kept().len(), 2);
}

#[test]
fn two_runs_at_once_convert_once_and_neither_is_charged_with_it() {
    let Some(place) = Place::new() else { return };
    page_says(
        "docs/lua-reference.md",
        "A second run that needs the same template waits for the first",
    );
    place.convert("qcow2", "disk.qcow2");
    place.before_conversions("sleep 10");
    let command = || {
        let mut command = place.command("{ image = 'disk.qcow2' }");
        command.args(["--timeout", "8"]);
        command
    };
    let first = converting(&place, &mut command());
    let second = run(&mut command());
    let first = first.wait_with_output().unwrap();
    for output in [first, second] {
        let told = "making a raw template of image ";
        assert_report(&output, 1, &["to see the log", told, "disk.qcow2 (qcow2)"]);
    }
    assert_eq!(place.conversions(), 1);
}

#[test]
fn templates_are_listed_and_cleaned() {
    let Some(place) = Place::new() else { return };
    place.convert("qcow2", "disk.qcow2");
    place.reads("{ image = 'disk.qcow2' }");
    let guest = |word: &str| {
        let mut command = Command::new(PROVIUM);
        let command = command.args(["guest", word]);
        let output = run(command.env("XDG_CACHE_HOME", place.path("cache")));
        assert_ok(&output);
        stdout(&output)
    };
    let list = guest("list");
    let image = place.path("disk.qcow2").display().to_string();
    assert!(
        list.contains("TEMPLATE OF") && list.contains(&image),
        "{list}"
    );
    assert!(
        list.contains("3.0 MiB") && list.contains("just now"),
        "{list}"
    );
    std::fs::remove_file(image).unwrap();
    assert!(guest("list").contains("was changed or removed"));
    let cleaned = guest("clean");
    assert!(cleaned.contains("of templates"), "{cleaned}");
    assert_eq!(place.kept(), [""; 0]);
    assert!(!guest("list").contains("TEMPLATE OF"));
}

#[test]
fn test_that_takes_too_long_without_a_conversion_still_fails() {
    let Some(place) = Place::new() else { return };
    let mut command = place.command("(function() while true do end end)()");
    let output = run(command.args(["--timeout", "1"]));
    assert_report(&output, 1, &["the test's time is up"]);
}
