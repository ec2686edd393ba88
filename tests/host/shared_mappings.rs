//! Shared mappings of a data file, with `-o mmap`: what a program changes reaches the disk as writes, which meet
//! rules, and a mapping and direct requests see the same. Without the option there are none.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::docs::page_says;
use crate::harness::*;

const PAGE: &str = "docs/control-files.md";
/// The byte of the disk that the tests look at: the first of sector 8.
const PLACE: u64 = 4096;

/// A program that maps the disk, and does what it is told.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// `how` is `SHARED` or `PRIVATE`.
    fn start(mount: &Mount, how: &str) -> Self {
        let program = format!(
            "import mmap, os, sys\n\
             def answer(work):\n\
            \x20   try: print(work(), flush=True)\n\
            \x20   except OSError as error: print(os.strerror(error.errno), flush=True)\n\
             def map():\n\
            \x20   global memory\n\
            \x20   memory = mmap.mmap(file, 1 << 20, mmap.MAP_{how}, mmap.PROT_READ | mmap.PROT_WRITE)\n\
            \x20   return 'mapped'\n\
             file = os.open(sys.argv[1], os.O_RDWR)\n\
             answer(map)\n\
             for line in sys.stdin:\n\
            \x20   word, *number = line.split()\n\
            \x20   if word == 'set': answer(lambda: memory.__setitem__({PLACE}, int(number[0])))\n\
            \x20   if word == 'get': answer(lambda: memory[{PLACE}])\n\
            \x20   if word == 'sync': answer(lambda: memory.flush())\n"
        );
        let mut python = Command::new("python3");
        python.args(["-c", &program]).arg(mount.vda());
        python.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn shared(mount: &Mount) -> Self {
        let mut program = Self::start(mount, "SHARED");
        assert_eq!(program.answer(), "mapped");
        program
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }

    fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.answer()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the kernel has such mappings; says that a test is skipped if not.
fn has_mappings() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(['.', '-'])
        .map(|word| word.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap(), numbers.next().unwrap());
    let found = version >= (6, 6);
    if !found {
        eprintln!(
            "skipped: Linux {} has no shared mappings of FUSE files",
            release.trim()
        );
    }
    found
}

/// A disk of 1 MiB whose bytes are all 7, and a client of it. None where the kernel has no shared mappings.
fn sevens() -> Option<(Mount, File)> {
    if !has_mappings() {
        return None;
    }
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("vda.img"), MIB);
    std::fs::write(&image, vec![7; MIB as usize]).unwrap();
    let disk = format!("vda={}", image.display());
    let mount = Mount::serve(folder, &["-o", "mmap", "--disk", &disk]);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(mount.vda()).unwrap();
    Some((mount, file))
}

fn byte(file: &File) -> u8 {
    let mut byte = [0];
    file.read_exact_at(&mut byte, PLACE).unwrap();
    byte[0]
}

fn byte_of_image(mount: &Mount) -> u8 {
    byte(&File::open(mount.image()).unwrap())
}

#[test]
fn mount_without_the_option_has_private_mappings_alone() {
    page_says(
        PAGE,
        "Shared mappings fail with ENODEV, unless the mount has the option `mmap`",
    );
    let mount = Mount::of_size(MIB);
    assert_eq!(Program::start(&mount, "SHARED").answer(), "No such device");
    let mut private = Program::start(&mount, "PRIVATE");
    assert_eq!(private.answer(), "mapped");
    assert_eq!(private.ask("set 9"), "None");
    assert_eq!(private.ask("get"), "9");
    assert_eq!(byte_of_image(&mount), 0);
}

#[test]
fn shared_mapping_and_direct_requests_see_the_same() {
    let Some((mount, file)) = sevens() else {
        return;
    };
    let mut program = Program::shared(&mount);
    assert_eq!(program.ask("get"), "7");
    program.ask("set 9");
    assert_eq!(byte(&file), 9, "a direct read writes the page first");
    program.ask("set 10");
    assert_eq!(program.ask("sync"), "None");
    assert_eq!(byte_of_image(&mount), 10);
    assert!(mount.stat("flush_requests") > 0);
    file.write_all_at(&[11; 512], PLACE).unwrap();
    assert_eq!(program.ask("get"), "11");
}

#[test]
fn page_that_cannot_be_written_is_eio_for_msync_and_is_not_kept() {
    page_says(PAGE, "`msync` returns the error of a write");
    let Some((mount, file)) = sevens() else {
        return;
    };
    let mut program = Program::shared(&mount);
    mount.arm("eio_write");
    program.ask("set 9");
    assert_eq!(program.ask("sync"), "Input/output error");
    assert_eq!(byte_of_image(&mount), 7);
    assert!(mount.stat("write_errors_injected") > 0);
    eventually("the page is read anew", || program.ask("get") == "7");
    assert_eq!(byte(&file), 7);
    mount.clear();
    program.ask("set 9");
    assert_eq!(program.ask("sync"), "None");
    assert_eq!(byte_of_image(&mount), 9);
}

#[test]
fn shared_mapping_meets_rules_for_reads_and_for_lost_writes() {
    let Some((mount, file)) = sevens() else {
        return;
    };
    let mut program = Program::shared(&mount);
    assert_eq!(program.ask("get"), "7");
    mount.arm("corrupt op=read how=fill byte=1 at=8+8");
    assert_eq!(program.ask("get"), "1");
    mount.clear();
    assert_eq!(program.ask("get"), "7");
    mount.arm("lose op=write");
    program.ask("set 9");
    assert_eq!(program.ask("sync"), "None");
    assert_eq!(byte(&file), 7);
    eventually("the page is read anew", || program.ask("get") == "7");
    assert!(
        mount.read("vda/damage").starts_with("8 8 lost"),
        "{}",
        mount.read("vda/damage")
    );
}

#[test]
fn held_write_of_a_page_keeps_no_control_file_waiting_and_no_server_alive() {
    for is_killed in [false, true] {
        let Some((mut mount, _file)) = sevens() else {
            return;
        };
        let mut program = Program::shared(&mount);
        mount.arm("hang op=write max=10m");
        program.ask("set 9");
        program.tell("sync");
        eventually("it is held", || !mount.read("vda/inflight").is_empty());
        mount.arm("eio_read at=0+1");
        if is_killed {
            mount.kill_server();
            assert_ne!(program.answer(), "None");
        } else {
            mount.append("vda/release", "all").unwrap();
            assert_eq!(program.answer(), "None");
            assert_eq!(byte_of_image(&mount), 9);
        }
    }
}
