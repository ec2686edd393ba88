//! Evidence folders, as a run leaves them.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// When the tests of these folders begin, in seconds of the clock of dmesg.
pub const BEGAN: f64 = 5000.0;

/// A folder of a test that is being filled.
pub struct Folder(pub PathBuf);

impl Folder {
    /// The folder of a test that passed after 1.5 s.
    pub fn of(root: &Path, name: &str) -> Self {
        let number = fs::read_dir(root).unwrap().count();
        let path = root.join(format!("{number:05}"));
        fs::create_dir(&path).unwrap();
        let folder = Self(path);
        folder.record(json!({ "name": name }));
        folder
    }

    /// Writes `test.json`, with these values in the place of its own.
    pub fn record(&self, values: Value) {
        let old = fs::read_to_string(self.0.join("test.json"));
        let mut record = old.map_or_else(
            |_| {
                json!({
                    "file": "tests/disk.test.lua", "line": 12, "name": "", "tags": [], "round": 1, "attempt": 1,
                    "outcome": "passed", "seconds": 1.5, "began": BEGAN, "ended": BEGAN + 1.5, "message": "",
                    "versions": {"provium": "0.1.0", "qemu": "7.2.22"},
                    "seeds": {"rules": {}, "shuffle": null},
                    "command": "provium test tests/disk.test.lua",
                })
            },
            |text| serde_json::from_str(&text).unwrap(),
        );
        let values = values.as_object().unwrap().clone();
        record.as_object_mut().unwrap().extend(values);
        self.write("test.json", &record.to_string());
    }

    pub fn fails(&self, message: &str) {
        self.record(json!({ "outcome": "failed", "message": message }));
    }

    /// Writes a file of the folder, and the folders that it is in.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Gives it a disk `vm.vda` of 16 MiB with this trace.
    pub fn disk(&self, trace: &str) {
        self.write("disks/vm.vda/trace", trace);
        let record = json!({
            "id": "vda", "vm": "vm", "size": 16 << 20, "image": "/tmp/scratch/vda.img", "seed": 7, "cache": "off",
        });
        self.write("disks/vm.vda/disk.json", &record.to_string());
    }
}

/// Lines of a trace that come one after the other.
pub struct TraceText {
    pub text: String,
    sequence: u64,
}

impl TraceText {
    pub fn new() -> Self {
        Self {
            text: String::new(),
            sequence: 0,
        }
    }

    /// Adds a line `SEQUENCE SECONDS REST`; the time is that since the test began.
    pub fn add(&mut self, time: f64, rest: &str) {
        self.sequence += 1;
        writeln!(self.text, "{} {:.6} {rest}", self.sequence, BEGAN + time).unwrap();
    }
}

/// A test that fails after a file system has met bad sectors and a power cut.
pub fn rich(root: &Path) -> Folder {
    let folder = Folder::of(root, "a journal survives bad sectors and a power cut");
    folder.record(json!({
        "file": "tests/ext4/journal.test.lua", "line": 41, "tags": ["ext4", "power"], "outcome": "failed",
        "seconds": 6.42, "ended": BEGAN + 6.42,
        "message": "tests/ext4/journal.test.lua:63: assert_ok: `fsck.ext4 -fn /dev/vda` exited with 4\n\
                    stdout:\n  e2fsck 1.47.0 (5-Feb-2023)\n  Inode 12, i_blocks is 8, should be 16.  Fix? no\n\
                    stderr:\n  /dev/vda: ********** WARNING: Filesystem still has errors **********\n\n\
                    armed rules of vda:\n  error op=read errno=EIO at=2048+8  fired 3 times\n\
                    held on vdb: write 4096+8 for 2.1 s",
        "versions": {"provium": "0.1.0", "qemu": "7.2.22", "kernel": "6.1.0-44-cloud-amd64"},
        "seeds": {"rules": {"vm.vda": 7, "vm.vdb": 99}, "shuffle": 42},
        "command": "provium test tests/ext4/journal.test.lua --filter 'a journal survives bad sectors and a power cut'",
    }));
    folder.write("calls", &calls());
    folder.write("console.vm", &console());
    let (first, second) = traces();
    folder.disk(&first);
    folder.write(
        "disks/vm.vda/rules",
        "error op=read errno=EIO at=2048+8 considered=211 matched=3 fired=3 left=- age=5s drawn_from=7\n\
         delay op=write by=40ms p=0.2 considered=120 matched=120 fired=21 left=- age=4s drawn_from=7\n\
         lose op=flush when=late considered=0 matched=0 fired=0 left=1 age=3s drawn_from=7 never: no rule has the tag `late`\n",
    );
    folder.write("disks/vm.vda/stats", STATS);
    folder.write(
        "disks/vm.vda/damage",
        "2048 8 torn tear op=write at=2048+8\n",
    );
    folder.write(
        "disks/vm.vda/pending",
        "17 write 4096 8 812.5ms\n18 write 8192 64 640.1ms\n",
    );
    folder.write("disks/vm.vdb/trace", &second);
    let record = json!({
        "id": "vdb", "vm": "vm", "size": 64 << 20, "image": "/tmp/scratch/vdb.img", "seed": 99, "cache": "volatile",
    });
    folder.write("disks/vm.vdb/disk.json", &record.to_string());
    folder.write(
        "disks/vm.vdb/inflight",
        "write 40960 8 2100.0ms hang op=write at=40960+8\n",
    );
    folder.write(
        "disks/vm.vdb/rules",
        "hang op=write at=40960+8 considered=60 matched=1 fired=1 left=- age=3s drawn_from=99\n",
    );
    folder
}

const STATS: &str = "read_requests 214\nread_bytes 1753088\nread_errors_injected 3\nread_answered 214\n\
    read_latency_ns_p50 61000\nread_latency_ns_p99 420000\nread_latency_ns_max 1900000\n\
    write_requests 120\nwrite_bytes 983040\nwrite_delayed 21\nwrite_lost 4\nwrite_answered 120\n\
    write_latency_ns_p50 120000\nwrite_latency_ns_p99 41000000\nwrite_latency_ns_max 44000000\n\
    flush_requests 12\nflush_answered 12\nin_flight 0\n";

fn calls() -> String {
    let calls = [
        (0.01, 322.0, "vm:boot()"),
        (
            0.34,
            61.0,
            "vm:attach_disk({ id = \"vda\", scratch = \"16M\" })",
        ),
        (
            0.41,
            58.0,
            "vm:attach_disk({ id = \"vdb\", scratch = \"64M\" })",
        ),
        (0.5, 900.0, "vm:run(\"mkfs.ext4 -q /dev/vda\")"),
        (1.42, 130.0, "vm:run(\"mount /dev/vda /mnt\")"),
        (
            1.56,
            0.4,
            "disk:fault_inject(\"error op=read at=2048+8 errno=EIO\")",
        ),
        (1.6, 2100.0, "vm:run(\"cp -a /usr/share /mnt && sync\")"),
        (3.75, 1.1, "disk:mark(\"copied\")"),
        (3.8, 12.0, "vm:power_cut({ keep = \"random\" })"),
        (4.3, 330.0, "vm:boot()"),
        (4.7, 1600.0, "vm:run(\"fsck.ext4 -fn /dev/vda\")"),
    ];
    let mut text = String::new();
    for (at, ms, call) in calls {
        writeln!(text, "{:.6} {ms:.3} {call}", BEGAN + at).unwrap();
    }
    text
}

fn console() -> String {
    let mut text = String::new();
    let mut line = |at: f64, what: &str| writeln!(text, "{:.6} {what}", BEGAN + at).unwrap();
    for at in 0..40 {
        let time = f64::from(at) * 0.008;
        line(
            time,
            &format!("[    {time:.6}] ACPI: LAPIC_NMI (acpi_id[0x{at:02x}] dfl dfl lint[0x1])"),
        );
    }
    line(
        0.37,
        "[    1.370112] virtio_blk virtio5: [vda] 32768 512-byte logical blocks (16.8 MB/16.0 MiB)",
    );
    line(
        0.44,
        "[    1.441020] virtio_blk virtio6: [vdb] 131072 512-byte logical blocks (67.1 MB/64.0 MiB)",
    );
    line(
        1.5,
        "\u{1b}[32m[    2.510344] EXT4-fs (vda): mounted filesystem with ordered data mode\u{1b}[0m",
    );
    for at in 0..3 {
        let time = 2.0 + f64::from(at) * 0.31;
        line(
            time,
            "[    3.017788] blk_update_request: I/O error, dev vda, sector 2048 op 0x0:(READ) flags 0x80700",
        );
        line(
            time + 0.001,
            "[    3.017801] EXT4-fs error (device vda): ext4_read_inode_bitmap:140: comm cp: Cannot read inode bitmap",
        );
    }
    line(
        3.3,
        "[    4.310101] EXT4-fs (vda): Remounting filesystem read-only",
    );
    for at in 0..12 {
        let time = 4.3 + f64::from(at) * 0.02;
        line(
            time,
            &format!(
                "[    0.{at:06}] Linux version 6.1.0-44-cloud-amd64 (debian-kernel@lists.debian.org)"
            ),
        );
    }
    line(4.9, "e2fsck 1.47.0 (5-Feb-2023)");
    line(6.1, "Inode 12, i_blocks is 8, should be 16.  Fix? no");
    text
}

/// The traces of two disks.
fn traces() -> (String, String) {
    let mut random = fastrand::Rng::with_seed(18);
    let mut first = TraceText::new();
    for at in 0..90 {
        let sector = if at % 3 == 0 { at * 8 } else { at * 340 };
        let took = 0.05 + random.f64() * 0.2;
        let rest = format!("write {sector} {} ok {took:.3}ms -", 8 << random.u32(0..4));
        first.add(0.52 + f64::from(at) * 0.0095, &rest);
    }
    first.add(1.4, "flush 0 0 ok 2.310ms -");
    for at in 0..210 {
        let time = 1.43 + f64::from(at) * 0.0105;
        let sector = (f64::from(at) * 130.0 + random.f64() * 3000.0) as u64 & !7;
        match at {
            60 | 88 | 116 => first.add(
                time,
                "read 2048 8 EIO 0.110ms error op=read errno=EIO at=2048+8",
            ),
            _ if at % 11 == 3 => {
                let took = 40.0 + random.f64() * 3.0;
                let rest =
                    format!("write {sector} 16 delayed {took:.3}ms delay op=write by=40ms p=0.2");
                first.add(time, &rest);
            }
            _ if at % 37 == 5 => {
                let rest = format!("write {sector} 8 lost 0.090ms lose op=write at={sector}+8");
                first.add(time, &rest);
            }
            _ if at % 40 == 7 => first.add(time, "flush 0 0 ok 1.900ms -"),
            _ => {
                let op = if at % 2 == 0 { "read" } else { "write" };
                let took = 0.04 + random.f64() * random.f64() * 2.0;
                let rest = format!("{op} {sector} {} ok {took:.3}ms -", 8 << random.u32(0..5));
                first.add(time, &rest);
            }
        }
    }
    first.add(3.752, "mark copied");
    first.add(3.81, "disk cut kept=14 lost=9 seed=1931 cut=1");
    first.add(4.29, "disk on");
    for at in 0..150 {
        let rest = format!("read {} 8 ok 0.0{}ms -", at * 210, 30 + random.u32(0..60));
        first.add(4.72 + f64::from(at) * 0.0103, &rest);
    }
    let mut second = TraceText::new();
    for at in 0..60 {
        let rest = match at % 6 {
            0 => format!("discard {} 1024 ok 0.210ms -", at * 1024),
            1 => format!("zero {} 512 ok 0.330ms -", at * 900),
            _ => format!("write {} 128 ok 0.4{}ms -", at * 800, random.u32(10..99)),
        };
        second.add(1.7 + f64::from(at) * 0.03, &rest);
    }
    second.add(3.8101, "disk cut kept=0 lost=31 seed=1931 cut=1");
    second.add(4.2902, "disk on");
    (first.text, second.text)
}

/// A run with tests of all verdicts, the rich one among them.
pub fn varied(root: &Path) -> Vec<PathBuf> {
    let mut random = fastrand::Rng::with_seed(3);
    let mut folders = Vec::new();
    let files = [
        "tests/disk.test.lua",
        "tests/ext4/journal.test.lua",
        "tests/boot/eio-at-boot.test.lua",
    ];
    for at in 0..36u32 {
        if at == 7 {
            folders.push(rich(root));
        }
        let folder = Folder::of(root, NAMES[at as usize % NAMES.len()]);
        let seconds = 0.2 + random.f64() * 3.0;
        let name = format!("{} ({at})", NAMES[at as usize % NAMES.len()]);
        let tags = [json!([]), json!(["quick"]), json!(["ext4", "quick"])];
        folder.record(json!({
            "name": name, "file": files[at as usize % 3], "line": 10 + at * 9, "tags": tags[at as usize % 3],
            "seconds": seconds, "ended": BEGAN + seconds,
        }));
        few_requests(&folder, seconds, &mut random);
        match at {
            4 => folder.fails("tests/ext4/journal.test.lua:46: expected 4096, got 0"),
            15 => folder.fails("the test's time is up after 60 s: it waits for a read of vda that the rule `hang op=read` holds\nstack traceback:\n\ttests/disk.test.lua:145: in function <tests/disk.test.lua:140>"),
            20 => folder.record(json!({"outcome": "skipped", "message": "slow: run it with --include-slow", "seconds": 0})),
            21 => folder.record(json!({"outcome": "not_run", "message": "the run was stopped: --max-fail 3", "seconds": 0})),
            30 => {
                folder.fails("tests/disk.test.lua:280: the guest did not see vda within 10 s");
                let again = Folder::of(root, &name);
                again.record(json!({"name": name, "file": files[0], "line": 280, "attempt": 2, "tags": ["quick"]}));
                few_requests(&again, 1.5, &mut random);
                folders.push(again);
            }
            _ => {}
        }
        folders.push(folder);
    }
    folders.into_iter().map(|folder| folder.0).collect()
}

const NAMES: [&str; 9] = [
    "a bad sector is an error of the read alone",
    "writes reach the image after a flush",
    "EIO across a reset does not panic",
    "a hung disk is seen by the kernel's watchdog",
    "rename without fsync loses one of the two",
    "a torn write is found by the checksum",
    "slow reads delay nobody else",
    "the mount survives a detach",
    "bit rot in an inode table",
];

fn few_requests(folder: &Folder, seconds: f64, random: &mut fastrand::Rng) {
    let mut trace = TraceText::new();
    for at in 0..10 {
        let op = ["read", "write"][random.usize(0..2)];
        let rest = format!(
            "{op} {} 8 ok 0.{}ms -",
            random.u32(0..32000),
            random.u32(100..999)
        );
        trace.add(seconds * (0.3 + 0.06 * f64::from(at)), &rest);
    }
    folder.disk(&trace.text);
    let call = format!(
        "{:.6} {:.3} vm:run(\"dd if=/dev/vda of=/dev/null bs=4k count=10\")\n",
        BEGAN + seconds * 0.25,
        seconds * 700.0
    );
    folder.write("calls", &call);
    let mut console = String::new();
    for at in 0..20 {
        let time = seconds * f64::from(at) / 20.0;
        writeln!(
            console,
            "{:.6} [    {time:.6}] virtio_blk virtio{at}: {} logical blocks of {} bytes",
            BEGAN + time,
            random.u32(..),
            random.u16(..)
        )
        .unwrap();
    }
    folder.write("console.vm", &console);
}

/// `tests` tests, each with `requests` requests.
pub fn many(root: &Path, tests: u32, requests: u32) -> Vec<PathBuf> {
    let mut random = fastrand::Rng::with_seed(5);
    let mut folders = Vec::new();
    for at in 0..tests {
        let folder = Folder::of(root, "");
        let name = format!(
            "{} with {} sectors, variant {at}",
            NAMES[at as usize % NAMES.len()],
            random.u16(..)
        );
        let file = format!("tests/part-{}/disk-{}.test.lua", at % 40, at % 400);
        let seconds = 0.3 + random.f64() * 4.0;
        folder.record(json!({"name": name, "file": file, "line": at % 300, "seconds": seconds, "ended": BEGAN + seconds}));
        few_requests(&folder, seconds, &mut random);
        if requests > 10 {
            let mut trace = TraceText::new();
            for one in 0..requests {
                let op = ["read", "write", "write", "flush"][random.usize(0..4)];
                let verdict = if random.u32(0..200) == 0 { "EIO" } else { "ok" };
                let rest = format!(
                    "{op} {} 8 {verdict} 0.{}ms -",
                    random.u32(0..32000),
                    random.u32(100..999)
                );
                trace.add(seconds * f64::from(one) / f64::from(requests), &rest);
            }
            folder.disk(&trace.text);
        }
        if at % 50 == 3 {
            folder.fails(&format!(
                "{file}:{}: expected {}, got {}",
                at % 300,
                random.u32(..),
                random.u32(..)
            ));
        }
        folders.push(folder.0);
    }
    folders
}
