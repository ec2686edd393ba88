//! Mounts, VMs and disks that come and go many times leave nothing behind, and grow no process.

use std::time::Duration;

use super::scene::Scene;
use crate::harness::*;

/// How often a mount comes and goes, unless PROVIUM_MOUNT_CYCLES is set. 1000 cycles take a minute.
fn cycles() -> u64 {
    match std::env::var("PROVIUM_MOUNT_CYCLES") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => 100,
    }
}

/// The resources of a process that can leak.
#[derive(Debug)]
struct Size {
    descriptors: usize,
    threads: usize,
    kib: u64,
}

impl Size {
    fn of(pid: u32) -> Self {
        let count = |folder: &str| {
            let folder = format!("/proc/{pid}/{folder}");
            std::fs::read_dir(folder).unwrap().count()
        };
        Self {
            descriptors: count("fd"),
            threads: count("task"),
            kib: status_of(pid, "VmRSS"),
        }
    }
}

#[test]
fn mounts_come_and_go_and_leave_no_process_mount_or_file() {
    let cycles = cycles();
    let scene = Scene::within(Duration::from_secs(300 + 2 * cycles));
    let image = scene.image("a.img", MIB);
    let point = scene.path("mnt");
    std::fs::create_dir(&point).unwrap();
    let (place, disk) = (
        point.display().to_string(),
        format!("vda={}", image.display()),
    );
    let mut sizes = Vec::new();
    for _ in 0..cycles {
        assert_ok(&scene.provium(&["mount", &place, "--disk", &disk]));
        assert_eq!(std::fs::read(point.join("vda")).unwrap().len() as u64, MIB);
        let servers = scene.processes();
        assert_eq!(servers.len(), 1, "{servers:?}");
        sizes.push(Size::of(servers[0].0));
        assert_ok(&scene.provium(&["umount", &place]));
        assert_eq!(scene.left(), Vec::<String>::new());
    }
    scene.did(&format!("mounted and unmounted {cycles} times"));
    let (first, last) = (&sizes[0], &sizes[sizes.len() - 1]);
    assert!(last.kib < first.kib + 4 * 1024, "{first:?} {last:?}");
    scene.found(&format!(
        "nothing is left; the first server: {first:?}, the last: {last:?}"
    ));
}

#[test]
fn vms_made_one_after_the_other_do_not_grow_their_process() {
    let cycles = cycles();
    let scene = Scene::within(Duration::from_secs(300 + 2 * cycles));
    let image = scene.image("a.img", MIB);
    let lua = format!(
        "test('mounts', {{timeout = '60m'}}, function(t)
          local function read(path, what)
            local file <close> = io.open(path)
            return file:read(what)
          end
          local me = read('/proc/self/stat', 'n')
          local function size()
            collectgarbage()
            local status = read('/proc/self/status', 'a')
            local pipe <close> = io.popen('ls /proc/' .. me .. '/fd | wc -l')
            return {{
              descriptors = pipe:read('n'),
              threads = tonumber(status:match('Threads:%s*(%d+)')),
              kib = tonumber(status:match('VmRSS:%s*(%d+)')),
            }}
          end
          local function cycle(from, to)
            for n = from, to do
              local vm = provium:vm('v' .. n, 'default')
              local disk = vm:attach_disk({{ id = 'vda', image = '{}' }})
              disk:fault_inject('eio_write')
              disk:read_sectors(0, 8)
              vm:close()
            end
          end
          local cycles = {cycles}
          cycle(1, cycles // 10)
          local first = size()
          cycle(cycles // 10 + 1, cycles)
          local last = size()
          print(('SIZES descriptors %d and %d, threads %d and %d, KiB %d and %d'):format(first.descriptors,
            last.descriptors, first.threads, last.threads, first.kib, last.kib))
          t:assert(last.descriptors <= first.descriptors, 'more descriptors')
          t:assert(last.threads <= first.threads, 'more threads')
          t:assert(last.kib < first.kib + 4096, 'it has grown')
          error('to see what was printed')
        end)",
        image.display()
    );
    std::fs::write(scene.path("mounts.test.lua"), lua).unwrap();
    let output = scene.provium(&["test", "mounts.test.lua"]);
    scene.did(&format!("made and ended {cycles} mounts in one test"));
    let report = stdout(&output);
    assert!(report.contains("to see what was printed"), "{report}");
    let sizes = report
        .lines()
        .find_map(|line| Some(line.split_once("SIZES ")?.1));
    scene.found(&format!(
        "after a tenth of them and at the end: {}",
        sizes.unwrap()
    ));
}

#[test]
fn disks_attached_and_detached_1000_times_do_not_grow_the_server() {
    let scene = Scene::begin();
    let mount = scene.mount();
    let image = scene.image("vdb.img", MIB);
    let cycle = |times| {
        for _ in 0..times {
            mount
                .append("attach", &format!("vdb {}", image.display()))
                .unwrap();
            mount.append("vdb/faults", "eio_write at=9+1").unwrap();
            assert_eq!(std::fs::read(mount.path("vdb")).unwrap().len() as u64, MIB);
            mount.append("detach", "vdb").unwrap();
        }
    };
    cycle(100);
    let first = Size::of(mount.server());
    cycle(900);
    scene.did("attached and detached a disk 1000 times");
    eventually("threads end when they have nothing to do", || {
        Size::of(mount.server()).threads < 20
    });
    let last = Size::of(mount.server());
    assert_eq!(last.descriptors, first.descriptors);
    // A leaked disk would take 100 KiB. Freed memory in fragments is not a leak.
    assert!(last.kib < first.kib + 8 * 1024, "{first:?} {last:?}");
    scene.found(&format!("after 100 of them {first:?}, at the end {last:?}"));
}
