//! `provium sectors`: the sectors that it prints hold what they are said to hold.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::*;

/// A folder with images of file systems, whose file `/big` has these bytes.
struct Images {
    folder: TempDir,
    big: Vec<u8>,
}

impl Images {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let big: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| (n ^ 0x5eed).to_le_bytes())
            .collect();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("a folder")).unwrap();
        std::fs::write(root.join("big"), &big).unwrap();
        std::fs::write(root.join("a folder/a \"file\""), "content of a file").unwrap();
        std::fs::write(root.join("empty"), "").unwrap();
        std::os::unix::fs::symlink("big", root.join("link")).unwrap();
        Self { folder, big }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ext(&self, name: &str, args: &[&str]) -> PathBuf {
        let image = new_image(&self.path(name), 32 * MIB);
        let output = run(Command::new("mke2fs")
            .args(["-q", "-F", "-d"])
            .arg(self.path("root"))
            .args(args)
            .arg(&image));
        assert_ok(&output);
        image
    }

    fn xfs(&self) -> PathBuf {
        let image = new_image(&self.path("x?.img"), 320 * MIB);
        let proto = self.path("proto");
        let big = self.path("root/big");
        let big = big.display();
        // So many files that the folder has blocks of its own.
        let empty = self.path("root/empty");
        let many: String = (0..200)
            .map(|n| format!("one-of-many-files-{n} ---644 0 0 {}\n", empty.display()))
            .collect();
        let text = format!(
            "/\n0 0\nd--755 0 0\nbig ---644 0 0 {big}\nd d--755 0 0\n{many}in d--755 0 0\n\
             inner ---644 0 0 {big}\n$\n$\n$\n"
        );
        std::fs::write(&proto, text).unwrap();
        let output = run(Command::new("mkfs.xfs")
            .arg("-q")
            .arg("-p")
            .arg(&proto)
            .arg(&image));
        assert_ok(&output);
        image
    }
}

fn sectors(image: &Path, args: &[&str]) -> std::process::Output {
    run(Command::new(PROVIUM).arg("sectors").arg(image).args(args))
}

/// The ranges that are printed for `args`: at least one.
fn ranges(image: &Path, args: &[&str]) -> Vec<(u64, u64)> {
    let output = sectors(image, args);
    assert_ok(&output);
    let text = stdout(&output);
    let ranges = text.trim_end().split(',').map(|range| {
        let (start, count) = range.split_once('+').unwrap();
        (start.parse().unwrap(), count.parse().unwrap())
    });
    ranges.collect()
}

fn count(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().map(|(_, count)| count).sum()
}

/// What lies in each of `ranges`.
fn contents(image: &Path, ranges: &[(u64, u64)]) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(image).unwrap();
    let content = |(start, count): &(u64, u64)| {
        bytes[(start * 512) as usize..((start + count) * 512) as usize].to_vec()
    };
    ranges.iter().map(content).collect()
}

/// What the tool prints for `name` in the superblock.
fn number_of_ext(image: &Path, name: &str) -> u64 {
    let output = run(Command::new("dumpe2fs").arg("-h").arg(image));
    let text = stdout(&output);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn sectors_of_parts_of_ext_hold_these_parts() {
    if !has("mke2fs") || !has("debugfs") {
        return;
    }
    let images = Images::new();
    for (name, args) in [
        ("ext2", &["-t", "ext2", "-b", "1024"][..]),
        ("ext3", &["-t", "ext3", "-b", "1024"]),
        ("ext4", &["-t", "ext4"]),
        ("large", &["-t", "ext4", "-b", "4096"]),
    ] {
        let image = images.ext(name, args);
        let superblocks = ranges(&image, &["superblock"]);
        assert_eq!(superblocks[0], (2, 2), "{name}");
        let copies = contents(&image, &superblocks);
        assert!(
            copies.iter().all(|copy| copy[0x38..0x3a] == [0x53, 0xef]),
            "{name}"
        );

        let inodes = count(&ranges(&image, &["inodes"])) * 512;
        let of_each = number_of_ext(&image, "Inode size:");
        assert_eq!(
            inodes,
            number_of_ext(&image, "Inode count:") * of_each,
            "{name}"
        );

        let file = contents(&image, &ranges(&image, &["file:/big"])).concat();
        assert!(file.starts_with(&images.big), "{name}");
        assert!(file.len() - images.big.len() < 4096, "{name}");
        let other = contents(&image, &ranges(&image, &["file:/a folder/a \"file\""])).concat();
        assert!(other.starts_with(b"content of a file"), "{name}");
        if name != "ext2" {
            let journal = contents(&image, &ranges(&image, &["journal"]));
            assert_eq!(journal[0][..4], [0xc0, 0x3b, 0x39, 0x98], "{name}");
        }
    }
}

#[test]
fn sectors_of_parts_of_xfs_hold_these_parts() {
    if !has("mkfs.xfs") || !has("xfs_db") {
        return;
    }
    let images = Images::new();
    let image = images.xfs();
    let superblocks = contents(&image, &ranges(&image, &["superblock"]));
    assert!(superblocks.len() > 1);
    assert!(
        superblocks
            .iter()
            .all(|copy| copy.starts_with(b"XFSB") && copy.len() == 512)
    );

    let journal = contents(&image, &ranges(&image, &["journal"]));
    assert_eq!(
        (journal.len(), &journal[0][..4]),
        (1, &[0xfe, 0xed, 0xba, 0xbe][..])
    );

    let inodes = contents(&image, &ranges(&image, &["inodes"])).concat();
    let known = u64::from_be_bytes(superblocks[0][128..136].try_into().unwrap());
    assert_eq!(inodes.len() as u64, known * 512);
    assert!(inodes.chunks(512).all(|inode| inode.starts_with(b"IN")));

    let file = contents(&image, &ranges(&image, &["file:/big"])).concat();
    assert!(file.starts_with(&images.big));
    assert!(file.len() - images.big.len() < 4096);
}

/// A disk with an MBR whose second partition is extended. Of its two logical ones the second, which is at sector 6144, has
/// the content of `image`.
fn with_logical_partitions(image: &Path) -> PathBuf {
    let inner = std::fs::read(image).unwrap();
    let sectors = (inner.len() / 512) as u32;
    let mut disk = vec![0; 6144 * 512];
    let mut table = |sector: usize, entries: &[(u8, u32, u32)]| {
        let table = &mut disk[sector * 512..][..512];
        table[510..].copy_from_slice(&[0x55, 0xaa]);
        for (number, (kind, first, sectors)) in entries.iter().enumerate() {
            let entry = &mut table[446 + 16 * number..][..16];
            entry[4] = *kind;
            entry[8..12].copy_from_slice(&first.to_le_bytes());
            entry[12..].copy_from_slice(&sectors.to_le_bytes());
        }
    };
    table(0, &[(0x83, 1024, 512), (0x05, 2048, 4096 + sectors)]);
    table(2048, &[(0x83, 64, 128), (0x05, 2048, 2048 + sectors)]);
    table(4096, &[(0x83, 2048, sectors)]);
    disk.extend(inner);
    let path = image.with_extension("logical");
    std::fs::write(&path, disk).unwrap();
    path
}

#[test]
fn sectors_in_a_logical_partition_are_those_of_the_disk() {
    if !has("mke2fs") || !has("debugfs") {
        return;
    }
    let images = Images::new();
    let image = images.ext("e.img", &["-t", "ext4"]);
    let plain = ranges(&image, &["file:/big"]);
    let disk = with_logical_partitions(&image);
    let logical = ranges(&disk, &["file:/big", "--partition", "6"]);
    let moved = plain.iter().map(|(start, count)| (start + 6144, *count));
    assert_eq!(logical, moved.collect::<Vec<_>>());
    if has("sfdisk") {
        let listed = run(Command::new("sfdisk").args(["-q", "-d"]).arg(&disk));
        let listed = stdout(&listed).replace(' ', "");
        assert!(listed.contains("logical6:start=6144,"), "{listed}");
    }
    // The extended partition itself has no file system.
    assert_fails(
        &sectors(&disk, &["journal", "--partition", "2"]),
        1,
        &["has no partition 2 (it has 1, 5, 6)"],
    );
    assert_fails(
        &sectors(&disk, &["journal"]),
        1,
        &["has partitions: name one of them with `--partition` (1, 5, 6)"],
    );
    // A chain of tables that goes in a circle ends.
    let mut bytes = std::fs::read(&disk).unwrap();
    bytes[4096 * 512 + 446 + 16 + 4] = 0x05;
    bytes[4096 * 512 + 446 + 16 + 12] = 1;
    std::fs::write(&disk, bytes).unwrap();
    assert_eq!(ranges(&disk, &["file:/big", "--partition", "6"]), logical);
}

#[test]
fn sectors_of_files_of_an_xfs_in_a_partition_are_those_of_the_disk() {
    if !has("mkfs.xfs") || !has("xfs_db") {
        return;
    }
    let images = Images::new();
    let image = images.xfs();
    let disk = with_logical_partitions(&image);
    for file in ["file:/big", "file:/d/in/inner", "file:/d"] {
        let plain = ranges(&image, &[file]);
        let moved = plain.iter().map(|(start, count)| (start + 6144, *count));
        let inside = ranges(&disk, &[file, "--partition", "6"]);
        assert_eq!(inside, moved.collect::<Vec<_>>(), "{file}");
    }
    let inner = ranges(&disk, &["file:/d/in/inner", "--offset", "3M"]);
    let inner = contents(&disk, &inner).concat();
    assert!(inner.starts_with(&images.big));
    for (args, says) in [
        (
            ["file:/d/in/none", "--partition=6"],
            "/d/in/none: No such file or directory",
        ),
        (
            ["file:/d/one-of-many-files-7", "--partition=6"],
            "has no sectors: it is empty",
        ),
    ] {
        assert_fails(&sectors(&disk, &args), 1, &[says]);
    }
}

/// An MBR with a GPT, or with one partition at sector 2048.
fn partitioned(image: &Path, has_gpt: bool) -> PathBuf {
    let inner = std::fs::read(image).unwrap();
    let mut disk = vec![0; 2048 * 512];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[446 + 4] = if has_gpt { 0xee } else { 0x83 };
    disk[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
    disk[446 + 12..446 + 16].copy_from_slice(&((inner.len() / 512) as u32).to_le_bytes());
    if has_gpt {
        disk[512..520].copy_from_slice(b"EFI PART");
        disk[512 + 72..512 + 80].copy_from_slice(&2_u64.to_le_bytes());
        disk[512 + 80..512 + 84].copy_from_slice(&128_u32.to_le_bytes());
        disk[512 + 84..512 + 88].copy_from_slice(&128_u32.to_le_bytes());
        // The second entry: the first one is empty.
        let entry = 1024 + 128;
        disk[entry..entry + 16].copy_from_slice(&[7; 16]);
        disk[entry + 32..entry + 40].copy_from_slice(&2048_u64.to_le_bytes());
    }
    disk.extend(inner);
    let path = image.with_extension(if has_gpt { "gpt" } else { "mbr" });
    std::fs::write(&path, disk).unwrap();
    path
}

#[test]
fn sectors_in_a_partition_are_those_of_the_disk() {
    if !has("mke2fs") || !has("debugfs") {
        return;
    }
    let images = Images::new();
    let image = images.ext("e.img", &["-t", "ext4"]);
    let plain = ranges(&image, &["file:/big"]);
    let moved: Vec<_> = plain
        .iter()
        .map(|(start, count)| (start + 2048, *count))
        .collect();
    for (has_gpt, number, other) in [(false, "1", "2"), (true, "2", "1")] {
        let disk = partitioned(&image, has_gpt);
        assert_eq!(ranges(&disk, &["file:/big", "--partition", number]), moved);
        assert_eq!(ranges(&disk, &["file:/big", "--offset", "1M"]), moved);
        let hint = format!("has partitions: name one of them with `--partition` ({number})");
        assert_fails(&sectors(&disk, &["journal"]), 1, &[&hint]);
        let none = format!("has no partition {other} (it has {number})");
        assert_fails(
            &sectors(&disk, &["journal", "--partition", other]),
            1,
            &[&none],
        );
    }
}

#[test]
fn part_that_is_not_there_is_a_sentence() {
    if !has("mke2fs") || !has("debugfs") {
        return;
    }
    let images = Images::new();
    let ext2 = images.ext("e.img", &["-t", "ext2"]);
    for (part, says) in [
        ("journal", "has no journal of its own: it is without one"),
        ("file:/nothing", "debugfs cannot read"),
        ("file:/link", "file:/link is a symbolic link"),
        ("file:/empty", "file:/empty of"),
    ] {
        assert_fails(&sectors(&ext2, &[part]), 1, &[says]);
    }
    assert_fails(
        &sectors(&ext2, &["jurnal"]),
        2,
        &["expects superblock, journal, inodes or file:/PATH"],
    );
    let empty = new_image(&images.path("empty.img"), MIB);
    assert_fails(
        &sectors(&empty, &["inodes"]),
        1,
        &["empty.img has no ext2, ext3, ext4 or xfs at byte 0"],
    );
    let qcow2 = images.path("q.qcow2");
    std::fs::write(&qcow2, b"QFI\xfb\0\0\0\x03").unwrap();
    assert_fails(&sectors(&qcow2, &["inodes"]), 1, &["it is a qcow2 image"]);
    assert_fails(
        &sectors(Path::new("/nowhere"), &["inodes"]),
        1,
        &["/nowhere: No such file"],
    );
}

#[test]
fn rule_on_the_sectors_of_a_file_fails_this_file_alone() {
    if !has("mke2fs") || !has("debugfs") {
        return;
    }
    let images = Images::new();
    let image = images.ext("e.img", &["-t", "ext4"]);
    let argument = format!("vda={}", image.display());
    let mount = Mount::serve(images.folder, &["--disk", &argument]);
    let disk = mount.vda();
    let cat = |path: &str| {
        let output = run(Command::new("debugfs")
            .arg("-R")
            .arg(format!("cat {path}"))
            .arg(&disk));
        output.stdout
    };
    assert_eq!(cat("/big"), images.big);

    let at = stdout(&sectors(&disk, &["file:/big"]));
    mount.arm(&format!("eio_read at={}", at.trim_end()));
    assert_eq!(cat("\"/a folder/a \"\"file\"\"\""), b"content of a file");
    assert_ne!(cat("/big"), images.big);

    // With all of it failing, its image is read, and no rule counts that.
    mount.arm("eio_read tag=every");
    assert_eq!(stdout(&sectors(&disk, &["file:/big"])), at);
    let rules = mount.read("vda/rules");
    assert!(
        rules.contains("tag=every considered=0 matched=0"),
        "{rules}"
    );
}

#[test]
fn disk_whose_image_lacks_data_is_read_through_its_mount_and_says_so() {
    if !has("mke2fs") || !has("debugfs") {
        return;
    }
    let images = Images::new();
    let image = images.ext("e.img", &["-t", "ext4"]);
    let argument = format!("vda={},cache=volatile", image.display());
    let mount = Mount::serve(images.folder, &["--disk", &argument]);
    let disk = mount.vda();
    let output = sectors(&disk, &["superblock"]);
    assert_ok(&output);
    assert_eq!(stderr(&output), "");
    mount.arm("slow op=write");
    let output = sectors(&disk, &["superblock"]);
    assert_ok(&output);
    assert!(
        stderr(&output).contains("the rules of vda act on these reads"),
        "{}",
        stderr(&output)
    );
    mount.arm("eio_read");
    assert_fails(&sectors(&disk, &["superblock"]), 1, &["Input/output error"]);
}

#[test]
fn sectors_as_json_have_the_ranges_and_their_sum() {
    if !has("mke2fs") || !has("debugfs") {
        return;
    }
    let images = Images::new();
    let image = images.ext("e.img", &["-t", "ext4"]);
    let output = sectors(&image, &["file:/big", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let ranges = ranges(&image, &["file:/big"]);
    let listed = found["ranges"].as_array().unwrap().iter();
    let listed: Vec<_> = listed
        .map(|range| {
            (
                range["sector"].as_u64().unwrap(),
                range["sectors"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(listed, ranges);
    assert_eq!(found["sectors"].as_u64().unwrap(), count(&ranges));
    assert_eq!(
        (&found["file_system"], &found["offset_bytes"]),
        (&"ext4".into(), &0.into())
    );
}
