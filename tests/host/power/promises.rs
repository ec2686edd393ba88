//! What is durable and what is not, as shell tools show it: dd, sync and fio beside a power cut.

use std::os::unix::fs::FileExt;

use super::*;
use crate::docs::page_says;

/// Shell functions: `put BYTE SECTOR DD-OPTIONS...` writes a sector full of a byte; `get SECTOR` reads the first
/// byte of one.
const TOOLS: &str = r#"
set -e
disk=$m/vda
put() {
    byte=$1 sector=$2; shift 2
    head -c 512 /dev/zero | tr '\0' "$byte" |
        dd of="$disk" bs=512 seek="$sector" status=none iflag=fullblock "$@"
}
get() { sector=$1; shift; dd if="$disk" bs=512 skip="$sector" count=1 status=none "$@" | head -c 1; }
power() { echo "$1" > "$m/ctl/vda/power"; }
"#;

fn script(mount: &Mount, text: &str) -> String {
    let output = shell("sh", mount, &format!("{TOOLS}\n{text}"));
    assert_ok(&output);
    stdout(&output)
}

fn first_bytes(mount: &Mount, sectors: [usize; 2]) -> String {
    let image = image(mount);
    let bytes = sectors.map(|sector| {
        let sector = &image[sector * 512..][..512];
        assert!(sector.iter().all(|byte| *byte == sector[0]));
        char::from(sector[0])
    });
    bytes.iter().collect()
}

/// A cached disk whose sectors 0 and 8 were `o` and `x` before it was served.
fn with_old_data() -> Mount {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("vda.img");
    let mut data = vec![0; MIB as usize];
    data[..512].fill(b'o');
    data[4096..4608].fill(b'x');
    std::fs::write(&image, data).unwrap();
    let disk = format!("vda={},cache=volatile", image.display());
    Mount::serve(folder, &["--disk", &disk])
}

#[test]
fn data_that_were_flushed_survive_a_cut_and_later_ones_do_not() {
    for flush in [
        "put A 0 conv=notrunc,fsync",
        "put A 0 conv=notrunc,fdatasync",
        "put A 0 conv=notrunc; sync $disk",
        "put A 0 conv=notrunc oflag=direct; sync -d $disk",
    ] {
        let mount = with_old_data();
        let read =
            format!("{flush}\nput B 8 conv=notrunc oflag=direct\nget 0; get 8; get 8 iflag=direct");
        assert_eq!(script(&mount, &read), "ABB", "{flush}");
        assert_eq!(first_bytes(&mount, [0, 8]), "Ax", "{flush}");
        assert_eq!(pending(&mount), ["2 write 8 1"], "{flush}");
        let after = script(
            &mount,
            "power cut; power on\nget 0; get 8; get 8 iflag=direct",
        );
        assert_eq!(after, "Axx", "{flush}");
        assert_eq!(first_bytes(&mount, [0, 8]), "Ax", "{flush}");
        assert_eq!(mount.read("vda/damage"), "8 1 lost power\n");
    }
}

#[test]
fn data_of_a_buffered_copy_are_read_back_and_are_not_in_the_image() {
    let mount = cached(MIB);
    let text = r#"
        seq 100000 | head -c 300001 > "$m/../source"
        dd if="$m/../source" of="$disk" bs=100 conv=notrunc status=none
        head -c 300001 "$disk" | cmp - "$m/../source"
        cp "$disk" "$m/../copy" && cmp -n 300001 "$m/../copy" "$m/../source"
        dd if="$disk" bs=512 skip=7 count=9 iflag=direct status=none | cmp -n 4608 - "$m/../source" 0 3584
    "#;
    script(&mount, text);
    assert!(image(&mount).iter().all(|byte| *byte == 0));
    assert_eq!(mount.stat("pending_requests"), 3001);
    assert_eq!(mount.stat("pending_bytes"), 300_001);
    let report = cut(&mount, "cut keep=all");
    assert_eq!((report.kept, report.lost), (3001, 0));
    let source = std::fs::read(mount.folder().join("source")).unwrap();
    assert_eq!(image(&mount)[..300_001], source);
}

#[test]
fn write_that_is_durable_alone_survives_and_older_ones_do_not() {
    for flags in ["direct,dsync", "direct,sync", "dsync", "sync"] {
        let mount = with_old_data();
        let write =
            format!("put A 0 conv=notrunc; put B 8 conv=notrunc oflag={flags}\nget 0; get 8");
        assert_eq!(script(&mount, &write), "AB", "{flags}");
        assert_eq!(first_bytes(&mount, [0, 8]), "oB", "{flags}");
        assert_eq!(mount.stat("fua_requests"), 1, "{flags}");
        script(&mount, "power cut; power on");
        assert_eq!(first_bytes(&mount, [0, 8]), "oB", "{flags}");
    }
}

#[test]
fn write_that_is_durable_alone_is_one_request() {
    page_says(
        "docs/control-files.md",
        "On a disk with a write cache it is one request. It is durable when it is answered, and rules for flushes do \
         not meet it",
    );
    let mount = with_old_data();
    let mut trace = stream(&mount, "vda/trace");
    mount.arm("error op=flush");
    script(&mount, "put A 0 conv=notrunc oflag=direct,dsync");
    let requests = lines(&mut trace);
    assert!(
        matches!(requests.as_slice(), [one] if one.contains(" write 0 1 ok ")),
        "{requests:?}"
    );
    assert_eq!(
        (mount.stat("fua_requests"), mount.stat("flush_requests")),
        (1, 0)
    );
    assert_eq!(first_bytes(&mount, [0, 8]), "Ax");
}

#[test]
fn older_data_never_come_back_over_a_write_that_was_durable_alone() {
    let pair = "put A 0 conv=notrunc oflag=direct; put B 0 conv=notrunc oflag=direct,dsync";
    for (then, expected) in [
        ("power 'cut keep=all'; power on", "B"),
        ("sync $disk", "B"),
        ("power 'cut keep=none'; power on", "B"),
        ("put C 0 conv=notrunc; power 'cut keep=all'; power on", "C"),
        ("put C 0 conv=notrunc; power cut; power on", "B"),
        ("put C 0 conv=notrunc; sync $disk; power cut; power on", "C"),
    ] {
        let mount = with_old_data();
        let found = script(&mount, &format!("{pair}\nget 0; {then}\nget 0"));
        assert_eq!(found, format!("B{expected}"), "{then}");
        assert_eq!(
            first_bytes(&mount, [0, 8]),
            format!("{expected}x"),
            "{then}"
        );
    }
    let mount = with_old_data();
    script(&mount, pair);
    assert_eq!(
        mount.stat("pending_requests"),
        0,
        "nothing of the older one is left"
    );
    assert_eq!(mount.stat("pending_bytes"), 0);
}

#[test]
fn write_released_after_a_flush_was_answered_is_pending_and_lost_at_the_cut() {
    if !has("python3") {
        return;
    }
    let mount = cached(MIB);
    let other = open(&mount, "vda");
    mount.arm("hang op=write at=8+1 tag=stuck");
    // The kernel has an fsync wait for the writes of other system calls, but not for those of AIO.
    let mut writer = aio(&mount, "vda", &["write", "8", "72"]);
    let mut writer = writer.stdout(std::process::Stdio::null()).spawn().unwrap();
    eventually("the write is held", || {
        mount.read("vda/inflight").starts_with("write 8 1")
    });
    other.write_all_at(&[b'A'; 512], 0).unwrap();
    other.sync_all().unwrap();
    assert_eq!(image(&mount)[..512], [b'A'; 512]);
    assert!(pending(&mount).is_empty());
    assert!(mount.read("vda/inflight").starts_with("write 8 1"));
    mount.append("vda/release", "stuck").unwrap();
    assert!(writer.wait().unwrap().success());
    assert_eq!(pending(&mount), ["2 write 8 1"]);
    let report = cut(&mount, "cut");
    assert_eq!((report.kept, report.lost), (0, 1));
    let image = image(&mount);
    assert_eq!((image[0], &image[4096..4608]), (b'A', &[0; 512][..]));
}

#[test]
fn fio_loses_what_it_did_not_flush_and_nothing_else() {
    if !has("fio") {
        return;
    }
    let job = "fio --name=job --filename=$disk --rw=randwrite --bs=4k --size=512k --direct=1 \
               --ioengine=libaio --iodepth=8 --buffer_pattern=0x5a --fsync_on_close=0 --end_fsync=0";
    for (options, kept) in [("--sync=dsync", true), ("--end_fsync=1", true), ("", false)] {
        let mount = cached(MIB);
        script(&mount, &format!("{job} {options} > /dev/null; power cut"));
        let written = image(&mount)[..512 << 10].iter().all(|byte| *byte == 0x5a);
        assert_eq!(written, kept, "{options}");
        let lost = !image(&mount).contains(&0x5a);
        assert_eq!(lost, !kept, "{options}");
    }
}
