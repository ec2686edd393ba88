//! `provium trace`: what it shows of which requests, and what ends it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::harness::*;
use crate::terminal::Terminal;

/// A `provium trace` that has begun: its first line is read.
struct Tracer {
    child: Child,
    lines: BufReader<ChildStdout>,
    head: String,
}

impl Tracer {
    fn start(mount: &Mount, file: &str, words: &[&str]) -> Self {
        let path = match file {
            "" => mount.point(),
            file => mount.path(file),
        };
        let mut command = Command::new(PROVIUM);
        command.arg("trace").arg(path).args(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut head = String::new();
        lines.read_line(&mut head).unwrap();
        Self { child, lines, head }
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The words of the next line, without its time and its latency.
    fn words(&mut self) -> Vec<String> {
        let line = self.next();
        let is_measured =
            |word: &&str| word.ends_with("ms") && !word.contains('=') || word.contains('.');
        let words = line.split_whitespace().filter(|word| !is_measured(word));
        words.map(str::to_owned).collect()
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.next()).unwrap()
    }

    /// The exit code, the rest of the output, and what it says.
    fn end(mut self) -> (i32, String, String) {
        let (mut rest, mut said) = (String::new(), String::new());
        self.lines.read_to_string(&mut rest).unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (self.child.wait().unwrap().code().unwrap(), rest, said)
    }
}

fn read_of(mount: &Mount, disk: &str, sector: u64) {
    let file = std::fs::File::open(mount.path(disk)).unwrap();
    let _ = file.read_exact_at(&mut [0; 512], sector * 512);
}

/// A mount with two disks.
fn two_disks() -> Mount {
    let mount = Mount::new();
    let second = new_image(&mount.folder().join("vdb.img"), MIB);
    mount
        .append("attach", &format!("vdb {}", second.display()))
        .unwrap();
    mount
}

#[test]
fn trace_has_columns_for_people_and_ends_with_0_at_ctrl_c() {
    let mount = Mount::new();
    mount.arm("delay op=read by=1ms at=7+1\nerror op=read errno=EIO at=7+1");
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let mut tracer = Tracer::start(&mount, "vda", &[]);
        let columns: Vec<_> = tracer.head.split_whitespace().collect();
        assert_eq!(
            columns,
            [
                "TIME", "OP", "SECTOR", "COUNT", "LATENCY", "VERDICT", "RULES"
            ]
        );
        read_of(&mount, "vda", 6);
        read_of(&mount, "vda", 7);
        assert_eq!(tracer.words()[..5], ["read", "6", "1", "ok", "-"]);
        assert_eq!(tracer.words()[..4], ["read", "7", "1", "delayed+EIO"]);
        mount.append("vda/mark", "before the end").unwrap();
        assert_eq!(tracer.words(), ["mark", "before", "the", "end"]);
        send(tracer.child.id(), signal);
        assert_eq!(tracer.end(), (0, String::new(), String::new()));
    }
}

#[test]
fn trace_columns_stand_below_each_other() {
    let mount = Mount::new();
    let mut tracer = Tracer::start(&mount, "vda", &["--count", "2"]);
    read_of(&mount, "vda", 6);
    read_of(&mount, "vda", 12345);
    for column in ["SECTOR", "LATENCY"] {
        let end = tracer.head.find(column).unwrap() + column.len();
        let line = tracer.next();
        let (before, after) = line.split_at(end);
        assert!(!before.ends_with(' ') && after.starts_with(' '), "{line}");
    }
    assert_eq!(tracer.end().0, 0);
}

#[test]
fn trace_filters_and_ends_after_a_count_or_a_time() {
    let mount = Mount::new();
    mount.arm("delay op=read by=20ms at=8+1 tag=slow8\nlose op=write");
    let traced = |words: &[&str]| {
        let mut tracer = Tracer::start(&mount, "vda", &[words, &["--count", "1"]].concat());
        read_of(&mount, "vda", 7);
        let file = std::fs::File::options()
            .write(true)
            .open(mount.vda())
            .unwrap();
        file.write_all_at(&[1; 512], 512 * 9).unwrap();
        file.sync_all().unwrap();
        read_of(&mount, "vda", 8);
        let shown = tracer.words();
        assert_eq!(tracer.end(), (0, String::new(), String::new()), "{words:?}");
        shown[..2].join(" ")
    };
    for (words, expected) in [
        (&[][..], "read 7"),
        (&["--op", "write,zero"], "write 9"),
        (&["--op", "flush"], "flush 0"),
        (&["--at", "8+2"], "write 9"),
        (&["--faults"], "write 9"),
        (&["--faults", "--op", "read"], "read 8"),
        (&["--tag", "slow8"], "read 8"),
    ] {
        assert_eq!(traced(words), expected, "{words:?}");
    }
    // A busy machine may delay another one as long.
    in_ample_time(|seconds| {
        mount.clear();
        mount.arm(&format!("delay op=read by={seconds}s at=8+1"));
        let slower = format!("{}ms", seconds * 900.0);
        (traced(&["--slower", &slower]) == "read 8").then_some(())
    });
    let over = on(&mount, "trace", "vda", &["--for", "100ms"]);
    assert_ok(&over);
    assert_eq!(stdout(&over).lines().count(), 1);
    for (words, says) in [
        (&["--op", "raed"][..], "did you mean `read`?"),
        (&["--at", "8"], "sectors as START+COUNT"),
        (&["--for", "1"], "a time with its unit"),
        (&["--count", "0"], "--count"),
    ] {
        assert_fails(&on(&mount, "trace", "vda", words), 2, &[says]);
    }
}

#[test]
fn trace_of_a_mount_has_all_disks_in_order_and_those_that_come_later() {
    let mount = two_disks();
    let mut tracer = Tracer::start(&mount, "", &[]);
    assert!(tracer.head.contains("DISK"), "{}", tracer.head);
    let expected: Vec<_> = (0..20)
        .map(|sector| format!("{} read {sector}", ["vda", "vdb"][sector % 2]))
        .collect();
    // It collects lines for a moment to put them in order: a busy machine may bring one later than that.
    eventually("they are in order", || {
        for sector in 0..20 {
            read_of(&mount, ["vda", "vdb"][sector % 2], sector as u64);
        }
        let found: Vec<_> = (0..20).map(|_| tracer.words()[..3].join(" ")).collect();
        let sorted = |lines: &[String]| {
            let mut lines = lines.to_vec();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&found), sorted(&expected));
        found == expected
    });
    let third = new_image(&mount.folder().join("vdc.img"), MIB);
    mount
        .append("attach", &format!("vdc {}", third.display()))
        .unwrap();
    let found = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(tracer.words()[0], "vdc");
            found.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        eventually("the new disk is followed", || {
            read_of(&mount, "vdc", 1);
            found.load(std::sync::atomic::Ordering::SeqCst)
        });
    });
    send(tracer.child.id(), libc::SIGINT);
    assert_eq!(tracer.end().0, 0);
}

#[test]
fn trace_as_json_has_an_object_a_line() {
    let mount = Mount::new();
    mount.arm("delay op=read by=1ms at=7+1\nerror op=read errno=ENOSPC at=7+1");
    let mut tracer = Tracer::start(&mount, "vda", &["--json"]);
    let start: Value = serde_json::from_str(&tracer.head).unwrap();
    assert_eq!(
        (&start["type"], &start["disks"][0]),
        (&"start".into(), &"vda".into())
    );
    read_of(&mount, "vda", 7);
    let request = tracer.json();
    for (key, value) in [
        ("type", Value::from("request")),
        ("id", "vda".into()),
        ("sequence", 1.into()),
        ("op", "read".into()),
        ("sector", 7.into()),
        ("sectors", 1.into()),
        ("verdict", "delayed+ENOSPC".into()),
        ("effects", vec!["delayed"].into()),
        ("result", "injected".into()),
        ("errno", "ENOSPC".into()),
        (
            "rules",
            vec![
                "delay op=read by=1ms at=7+1",
                "error op=read errno=ENOSPC at=7+1",
            ]
            .into(),
        ),
    ] {
        assert_eq!(request[key], value, "{key}");
    }
    assert!(
        request["latency_seconds"].as_f64() >= Some(0.001),
        "{request}"
    );
    mount.append("vda/mark", "here").unwrap();
    let mark = tracer.json();
    assert_eq!(
        (&mark["type"], &mark["text"]),
        (&"mark".into(), &"here".into())
    );
    mount.append("vda/power", "cut").unwrap();
    let cut = tracer.json();
    assert_eq!(cut["type"], "power_cut");
    assert!(
        cut["text"]
            .as_str()
            .unwrap()
            .starts_with("cut kept=0 lost=0"),
        "{cut}"
    );
    send(tracer.child.id(), libc::SIGINT);
    assert_eq!(tracer.end().0, 0);
}

#[test]
fn trace_says_that_its_mount_or_its_disk_is_gone() {
    for file in ["vda", ""] {
        let mut mount = Mount::new();
        let tracer = Tracer::start(&mount, file, &[]);
        mount.kill_server();
        let (code, rest, said) = tracer.end();
        assert_eq!((code, rest.as_str()), (1, ""));
        assert!(said.contains("has ended, and its trace with it"), "{said}");
    }
    let mount = Mount::new();
    let tracer = Tracer::start(&mount, "vda", &[]);
    assert_ok(&on(&mount, "detach", "", &["vda"]));
    let (code, _, said) = tracer.end();
    assert_eq!(code, 1);
    assert!(said.contains("vda was detached"), "{said}");
}

#[test]
fn trace_that_is_too_slow_says_how_many_lines_it_lost() {
    const READS: u64 = 40_000;
    let mount = Mount::new();
    let mut tracer = Tracer::start(&mount, "vda", &["--json"]);
    let disk = open_direct(&mount.vda());
    let mut sector = AlignedSector([0; 512]);
    for _ in 0..READS {
        disk.read_at(&mut sector.0, 0).unwrap();
    }
    let lost_in = |line: &Value| line["lines"].as_u64().unwrap_or(0);
    let first = loop {
        match lost_in(&tracer.json()) {
            0 => {}
            lost => break lost,
        }
    };
    send(tracer.child.id(), libc::SIGINT);
    let (code, rest, said) = tracer.end();
    assert_eq!(code, 0);
    let lines = rest.lines().map(|line| serde_json::from_str(line).unwrap());
    let lost = first + lines.map(|line| lost_in(&line)).sum::<u64>();
    assert!(
        said.contains(&format!("{lost} lines of the trace were lost")),
        "{said}"
    );
    assert!((1..READS).contains(&lost), "{lost}");
}

#[test]
fn trace_has_colours_on_a_terminal_alone() {
    if !has("tmux") {
        return;
    }
    let mount = Mount::new();
    mount.arm("eio_read");
    let command = format!(
        "{PROVIUM} trace {} --count 1; sleep 60",
        mount.vda().display()
    );
    let terminal = Terminal::start(mount.folder(), 100, 10, &command);
    terminal.until("VERDICT");
    read_of(&mount, "vda", 3);
    let shown = terminal.until("eio_read");
    assert!(shown.contains("\u{1b}[31mEIO"), "{shown:?}");
    let tracer = Tracer::start(&mount, "vda", &["--count", "1"]);
    read_of(&mount, "vda", 3);
    assert!(!tracer.end().1.contains('\u{1b}'));
}
