//! A guest whose root file system is on a disk of its profile: raw, and in qcow2.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::harness::*;
use crate::lua_suite::assert_report;
use crate::run_folder::{RunFolder, has_guest};

/// Copies the default guest to a file system on root.img, and puts `/init-root` beside its own initrd.
const MAKE: &str = r#"
    test('makes', function(t)
      local vm = provium:vm('v', 'default')
      vm:attach_disk({ id = 'root', path = 'root.img' })
      vm:boot()
      vm:run([[
        set -e
        mkfs.ext4 -q /dev/vda
        mkdir /tmp/new
        mount /dev/vda /tmp/new
        cd /
        for entry in *; do
          case $entry in
          proc | sys | dev | run | tmp) mkdir /tmp/new/$entry ;;
          *) cp -a $entry /tmp/new ;;
          esac
        done
        # The disk is there before this guest listens: it is told again, as `udevadm trigger` does.
        sed -i '2i for disk in /sys/block/vd*/uevent; do echo add > $disk; done' /tmp/new/sbin/late
        umount /tmp/new]], { timeout = 50 }):assert_ok()
    end)"#;

/// The first program of the guest: it goes on from the disk.
const INIT: &str = "#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
modprobe -a virtio_pci virtio_blk ext4
until [ -b /dev/vda ]; do sleep 0.1; done
mkdir /root-disk
mount /dev/vda /root-disk
umount /dev /proc
exec switch_root /root-disk /init
";

const CONFIG: &str = "
    [profiles.raw]
    kernel = 'vmlinuz'
    initrd = 'initrd'
    cmdline = 'root=/dev/vda rdinit=/init-root'
    image = 'root.img'
    [profiles.qcow2]
    kernel = 'vmlinuz'
    initrd = 'initrd'
    cmdline = 'root=/dev/vda rdinit=/init-root'
    disks = [{ template = 'root.qcow2', id = 'root', size = '192M' }]
";

const LUA: &str = r#"
    local function on_root(t, profile, id)
      local vm = provium:vm('v', profile)
      local disk = vm:disk(id)
      disk:fault_inject('delay op=read by=1ms times=20 tag=boot')
      vm:attach_disk({ id = 'second', scratch = '1M' })
      vm:boot({ agent_timeout = 100 })
      disk:wait_fired('boot', 20)
      t:assert_contains(vm:run('findmnt -no SOURCE,FSTYPE /').stdout, '/dev/vda ext4')
      t:assert_eq(vm:run('cat /sys/block/vdb/serial').stdout, 'second')
      vm:run('test ! -e /mine && echo mine > /mine && sync'):assert_ok()
      disk:fault_inject('error op=write tag=lost')
      local lost = vm:run('echo more > /more && sync /more')
      t:assert_contains(lost.stderr, 'Input/output error')
      disk:wait_fired('lost')
      disk:clear_faults()
      return vm
    end
    provium.timeout = '120s'
    test('raw', function(t) on_root(t, 'raw', 'boot0') end)
    test('qcow2', function(t)
      local vm = on_root(t, 'qcow2', 'root')
      t:assert_eq(vm:run('blockdev --getsize64 /dev/vda').stdout, '201326592\n')
    end)"#;

/// An archive in the format of an initrd (newc of cpio) with one program.
fn archive(name: &str, content: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for (name, mode, content) in [(name, 0o100_755, content), ("TRAILER!!!", 0, "")] {
        let fields = [
            0,
            mode,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0,
        ];
        let fields = fields.map(|field| format!("{field:08X}")).concat();
        for part in [format!("070701{fields}{name}\0"), content.to_owned()] {
            all.extend(part.as_bytes());
            all.resize(all.len().next_multiple_of(4), 0);
        }
    }
    all
}

fn hash(path: &Path) -> String {
    let output = run(Command::new("sha256sum").arg(path));
    assert_ok(&output);
    stdout(&output)
}

#[test]
fn guest_boots_from_the_image_of_its_profile_and_leaves_it_as_it_is() {
    if !has("qemu-system-x86_64") || !has("qemu-img") || !has_guest() {
        return;
    }
    let folder = RunFolder::new();
    let guest = provium::vm::Guest::default_folder().unwrap();
    symlink(guest.join("vmlinuz"), folder.path("vmlinuz")).unwrap();
    let mut initrd = std::fs::read(guest.join("initrd")).unwrap();
    initrd.resize(initrd.len().next_multiple_of(4), 0);
    initrd.extend(archive("init-root", INIT));
    std::fs::write(folder.path("initrd"), initrd).unwrap();
    let root = new_image(&folder.path("root.img"), 128 * MIB);
    folder.write("make.test.lua", MAKE);
    assert_ok(&run(&mut folder.command(&["test", "make.test.lua"])));
    let mut convert = Command::new("qemu-img");
    let convert = convert.args(["convert", "-O", "qcow2"]).arg(&root);
    assert_ok(&run(convert.arg(folder.path("root.qcow2"))));

    folder.write("provium.toml", CONFIG);
    folder.write("a.test.lua", LUA);
    let images = ["root.img", "root.qcow2"].map(|name| folder.path(name));
    let before = images.each_ref().map(|path| hash(path));
    let mut test = folder.command(&["test", "a.test.lua", "-j", "1"]);
    test.env("XDG_CACHE_HOME", folder.path("cache"));
    assert_report(&run(&mut test), 0, &["2 passed"]);
    assert_eq!(images.each_ref().map(|path| hash(path)), before);
    assert!(!folder.path("cache/provium/copies").exists());
}
