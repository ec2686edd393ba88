//! Clients that the kernel serves from its page cache: sendfile, splice, copy_file_range, private mappings. They meet
//! rules that are armed later, and data that a rule changed does not stay in the cache.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::fs::sendfile;

use crate::docs::page_says;
use crate::harness::*;

const PAGE: &str = "docs/control-files.md";

/// A disk of 1 MiB whose bytes are all 7, and a client of it.
fn sevens() -> (Mount, File) {
    let mount = Mount::of_size(MIB);
    std::fs::write(mount.image(), vec![7; MIB as usize]).unwrap();
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(mount.vda()).unwrap();
    (mount, file)
}

/// The content of a sector, as sendfile reads it.
fn sent(file: &File, sector: u64) -> std::io::Result<Vec<u8>> {
    let to = tempfile::tempfile()?;
    let mut offset = sector * 512;
    let n = sendfile(&to, file, Some(&mut offset), 512)?;
    let mut sector = vec![0; n];
    to.read_exact_at(&mut sector, 0)?;
    Ok(sector)
}

#[test]
fn sendfile_meets_a_rule_armed_later_and_keeps_nothing_of_it() {
    page_says(PAGE, "are served from the kernel's page cache");
    let (mount, file) = sevens();
    let good = vec![7; 512];
    for rule in [
        "eio_read at=8+1",
        "delay op=read by=1us at=8+1",
        "stale at=8+1",
    ] {
        assert_eq!(sent(&file, 8).unwrap(), good);
        mount.arm(rule);
        let considered = |mount: &Mount| !mount.read("vda/rules").contains(" considered=0 ");
        assert!(!considered(&mount), "{rule}");
        assert_eq!(sent(&file, 8).is_err(), rule.starts_with("eio"), "{rule}");
        assert!(considered(&mount), "{rule}");
        mount.append("vda/faults", &format!("!{rule}")).unwrap();
    }
    assert_eq!(sent(&file, 8).unwrap(), good);
    mount.arm("corrupt op=read how=zero at=8+1");
    assert_eq!(sent(&file, 8).unwrap(), vec![0; 512]);
    mount.clear();
    assert_eq!(sent(&file, 8).unwrap(), good);
}

#[test]
fn copy_file_range_meets_a_rule_armed_later() {
    let (mount, file) = sevens();
    let image = new_image(&mount.folder().join("vdb.img"), MIB);
    let attach = format!("vdb {}", image.display());
    mount.append("attach", &attach).unwrap();
    let to = File::options().write(true).open(mount.path("vdb")).unwrap();
    let copy = || rustix::fs::copy_file_range(&file, Some(&mut 4096), &to, Some(&mut 0), 4096);
    assert_eq!(copy(), Ok(4096));
    mount.arm("eio_read at=8+1");
    assert_eq!(copy(), Err(rustix::io::Errno::IO));
    mount.clear();
    mount.arm("corrupt op=read how=fill byte=9 at=8+1");
    assert_eq!(copy(), Ok(4096));
    let copied = std::fs::read(image).unwrap();
    assert_eq!((&copied[..512], copied[512]), (&[9; 512][..], 7));
}

#[test]
fn page_that_a_rule_changed_once_is_read_anew() {
    let (mount, file) = sevens();
    assert_eq!(sent(&file, 100).unwrap(), vec![7; 512]);
    // A reader that gets no processor for long may find its page dropped, and read it anew.
    eventually("a reader has the page that a rule changed", || {
        mount.clear();
        mount.arm("corrupt op=read how=zero times=1 at=8+1");
        sent(&file, 8).unwrap() == [0; 512]
    });
    eventually("the page is good again", || {
        sent(&file, 8).unwrap() == [7; 512]
    });
    mount.arm("misdirect op=write by=+8 times=1");
    assert_eq!(sent(&file, 16).unwrap(), vec![7; 512]);
    file.write_all_at(&[9; 512], 8 * 512).unwrap();
    eventually("the sector that was hit is read anew", || {
        sent(&file, 16).unwrap() == [9; 512]
    });
    mount.clear();
    assert_eq!(sent(&file, 1000).unwrap(), vec![7; 512]);
    file.set_len(4096).unwrap();
    eventually("what was cut off is zeros", || {
        sent(&file, 1000).unwrap() == [0; 512]
    });
}

#[test]
fn pages_that_no_rule_concerns_are_read_once() {
    let (mount, file) = sevens();
    mount.arm("eio_read at=2047+1");
    sent(&file, 8).unwrap();
    let requests = mount.stat("read_requests");
    for _ in 0..100 {
        assert_eq!(sent(&file, 8).unwrap(), vec![7; 512]);
    }
    assert_eq!(mount.stat("read_requests"), requests);
}

/// A program that maps the disk privately. For each line of its input it prints the first byte of sector 8.
fn mapping(mount: &Mount) -> Child {
    let program = "import mmap, os, sys\n\
         file = os.open(sys.argv[1], os.O_RDONLY)\n\
         memory = mmap.mmap(file, 1 << 20, mmap.MAP_PRIVATE, mmap.PROT_READ)\n\
         for line in sys.stdin: print(memory[4096], flush=True)";
    let mut python = Command::new("python3");
    python.args(["-c", program]).arg(mount.vda());
    python.stdin(Stdio::piped()).stdout(Stdio::piped());
    python.spawn().unwrap()
}

/// Has the program read once more; None if the read killed it.
fn look(program: &mut Child) -> Option<String> {
    use std::io::{Read, Write};
    program.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut line = String::new();
    let mut byte = [0];
    while program.stdout.as_mut().unwrap().read(&mut byte).unwrap() == 1 {
        match byte[0] {
            b'\n' => return Some(line),
            byte => line.push(byte.into()),
        }
    }
    None
}

#[test]
fn private_mapping_meets_the_armed_rules_and_dies_of_an_error() {
    page_says(PAGE, "a mapping gets SIGBUS");
    let (mount, _file) = sevens();
    let mut program = mapping(&mount);
    assert_eq!(look(&mut program).as_deref(), Some("7"));
    mount.arm("corrupt op=read how=fill byte=1 at=8+1");
    assert_eq!(look(&mut program).as_deref(), Some("1"));
    mount.clear();
    assert_eq!(look(&mut program).as_deref(), Some("7"));
    mount.arm("eio_read");
    assert_eq!(look(&mut program), None);
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(program.wait().unwrap().signal(), Some(libc::SIGBUS));
}

#[test]
fn page_read_that_hangs_keeps_no_control_file_waiting_and_no_server_alive() {
    let (mut mount, file) = sevens();
    assert_eq!(sent(&file, 1000).unwrap(), vec![7; 512]);
    mount.arm("hang op=read at=1000+1 max=10m");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| sent(&file, 1000));
        eventually("it is held", || !mount.read("vda/inflight").is_empty());
        for rule in ["eio_read at=0+1", "eio_read at=1000+1", "slow"] {
            let began = Instant::now();
            mount.arm(rule);
            assert!(began.elapsed() < PATIENCE, "{rule}");
        }
        mount.kill_server();
        assert!(reader.join().unwrap().is_err());
    });
}
