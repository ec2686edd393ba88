//! Pending requests for which there is no memory: the oldest become durable early, and that is told.

use std::os::unix::fs::FileExt;

use super::*;

/// A mount with two cached disks and 1 MiB of memory for what is pending.
fn with_little_memory() -> Mount {
    let folder = TempDir::new().unwrap();
    let disk = |id: &str| {
        let image = new_image(&folder.path().join(format!("{id}.img")), 8 * MIB);
        format!("{id}={},cache=volatile", image.display())
    };
    let (vda, vdb) = (disk("vda"), disk("vdb"));
    let args = ["--disk", &vda, "--disk", &vdb, "-o", "memory=1M"];
    Mount::serve(folder, &args)
}

fn evicted(mount: &Mount, disk: &str) -> (u64, u64) {
    let stats = mount.read(&format!("{disk}/stats"));
    let stat = |key| stat_in(&stats, key);
    (stat("evicted_requests"), stat("evicted_bytes"))
}

fn block(n: u64) -> Vec<u8> {
    (n + 1).to_le_bytes().repeat(512)
}

#[test]
fn oldest_requests_become_durable_early_and_are_counted_traced_and_told_of_once() {
    const BLOCKS: u64 = 1000;
    let mount = with_little_memory();
    let (mut trace, mut events) = (stream(&mount, "vda/trace"), stream(&mount, "events"));
    let file = open(&mount, "vda");
    for n in 0..BLOCKS {
        file.write_all_at(&block(n), n * 4096).unwrap();
    }
    let (requests, bytes) = evicted(&mount, "vda");
    assert!(requests > BLOCKS / 2 && requests < BLOCKS, "{requests}");
    assert_eq!(bytes, requests * 4096);
    assert_eq!(mount.stat("pending_requests"), BLOCKS - requests);
    assert!(mount.stat("held_bytes_of_all_disks") <= MIB);
    let traced = lines(&mut trace);
    let counts = traced.iter().filter_map(|line| {
        let (_, counts) = line.split_once(" evicted requests=")?;
        let (requests, bytes) = counts.split_once(" bytes=")?;
        Some((
            requests.parse::<u64>().unwrap(),
            bytes.parse::<u64>().unwrap(),
        ))
    });
    let counts: Vec<_> = counts.collect();
    assert!(counts.len() > 1);
    let sum = counts
        .iter()
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert_eq!(sum, (requests, bytes), "the trace has all of them");
    let told = lines(&mut events);
    assert!(
        matches!(told.as_slice(), [one] if one.contains(" vda evicted requests=")),
        "{told:?}"
    );
    let whole: Vec<u8> = (0..BLOCKS).flat_map(block).collect();
    assert!(std::fs::read(mount.vda()).unwrap()[..whole.len()] == whole);
    let durable = requests as usize * 4096;
    let now = image(&mount);
    assert!(now[..durable] == whole[..durable] && now[durable..].iter().all(|byte| *byte == 0));
    assert_eq!(cut(&mount, "cut").lost, BLOCKS - requests);
    assert!(image(&mount) == now);
}

#[test]
fn request_larger_than_the_memory_is_durable_at_once_and_counted() {
    let mount = with_little_memory();
    let file = open(&mount, "vda");
    file.write_all_at(&[1; 512], 0).unwrap();
    // Aligned, so that the kernel makes one request of it.
    let script = "head -c 1M /dev/zero | tr '\\0' 2 |
        dd of=$m/vda bs=1M seek=1 oflag=direct conv=notrunc iflag=fullblock status=none";
    assert_ok(&shell("sh", &mount, script));
    assert_eq!(evicted(&mount, "vda"), (2, 512 + MIB));
    assert!(pending(&mount).is_empty());
    cut(&mount, "cut");
    let image = image(&mount);
    assert_eq!(image[..512], [1; 512]);
    assert!(
        image[MIB as usize..2 << 20]
            .iter()
            .all(|byte| *byte == b'2')
    );
}

#[test]
fn memory_is_shared_by_the_disks_and_each_makes_room_of_its_own() {
    let mount = with_little_memory();
    let (first, second) = (open(&mount, "vda"), open(&mount, "vdb"));
    for n in 0..200 {
        first.write_all_at(&block(n), n * 4096).unwrap();
    }
    for n in 0..600 {
        second.write_all_at(&block(n), n * 4096).unwrap();
    }
    let whole: Vec<u8> = (0..600).flat_map(block).collect();
    assert!(std::fs::read(mount.path("vdb")).unwrap()[..whole.len()] == whole);
    assert!(std::fs::read(mount.path("vda")).unwrap()[..200 * 4096] == whole[..200 * 4096]);
    assert!(mount.stat("held_bytes_of_all_disks") <= MIB);
    let ((a, _), (b, _)) = (evicted(&mount, "vda"), evicted(&mount, "vdb"));
    let left = |disk| pending_of(&mount, disk).len() as u64;
    assert_eq!((a + left("vda"), b + left("vdb")), (200, 600));
    mount.append("power", "cut").unwrap();
    for (disk, durable) in [("vda", a), ("vdb", b)] {
        let durable = durable as usize * 4096;
        let image = image_of(&mount, disk);
        assert!(image[..durable] == whole[..durable], "{disk}");
        assert!(image[durable..].iter().all(|byte| *byte == 0), "{disk}");
    }
}
