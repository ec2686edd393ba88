//! Guests of one's own: another kernel, machine or architecture, without an agent; and what is said of those that do
//! not boot.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::docs::{blocks, page_says};
use crate::harness::*;
use crate::initramfs::{FOLDER, PROGRAM as EXECUTABLE, archive};
use crate::lua_suite::assert_report;
use crate::run_folder::{RunFolder, has_guest};

const PAGE: &str = "docs/your-own-kernel.md";

/// The folder of the default guest, whose kernel these tests boot; None if this machine cannot run guests.
fn default_guest() -> Option<PathBuf> {
    if !has("qemu-system-x86_64") || !has_guest() {
        return None;
    }
    let listed = stdout(&provium(&["guest", "list"]));
    let row = listed.lines().nth(1).unwrap();
    Some(row.split("  ").last().unwrap().trim().into())
}

/// A folder with a kernel, `vmlinuz`, and with `initrd`, whose first program is the script `init`.
fn folder(init: &str) -> Option<RunFolder> {
    let guest = default_guest()?;
    let folder = RunFolder::new();
    std::fs::copy(guest.join("vmlinuz"), folder.path("vmlinuz")).unwrap();
    // The kernel unpacks one archive after the other: the last `init` stays.
    let mut initrd = std::fs::read(guest.join("initrd")).unwrap();
    let init = format!("#!/bin/sh\n{init}\n");
    initrd.extend(archive(&[("init", EXECUTABLE, init.as_bytes())]));
    std::fs::write(folder.path("initrd"), initrd).unwrap();
    Some(folder)
}

/// Runs `lua` in `folder` with the profiles `toml`.
fn test(folder: &RunFolder, toml: &str, lua: &str) -> Output {
    folder.write("provium.toml", toml);
    folder.write("a.test.lua", lua);
    run(&mut folder.command(&["test", "a.test.lua"]))
}

/// The page's block in this language.
fn of_page(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    blocks(&page, language).remove(0)
}

/// Like the first profile of the page, but with the agent that profiles have unless they say otherwise.
const EXPECTED: &str = "
    [profiles.expected]
    kernel = 'vmlinuz'
    initrd = 'initrd'
    agent_timeout = '50s'";

#[test]
fn guest_that_prints_and_powers_off_is_read_by_its_console() {
    let Some(folder) = folder("mount -t proc p /proc\necho \"hello, $(uname -s)\"\npoweroff -f")
    else {
        return;
    };
    page_says(
        PAGE,
        "What it has printed can be expected after it has ended",
    );
    let lua = "
        test('prints', function(t)
          local vm = provium:vm('v', 'own'):boot()
          wait_until(function() return vm:state() == 'shutdown' end, { timeout = 50 })
          vm:console():expect('hello, Linux')
          local err = t:assert_raises(function() vm:console():expect('no such words') end)
          t:assert_contains(err, 'its guest powered itself off')
          t:assert_contains(err, 'reboot: Power down')
        end)
        test('is expected to have an agent', function(t)
          local err = t:assert_raises(function() provium:vm('w', 'expected'):boot() end)
          t:assert_contains(err, 'the guest powered itself off before an agent answered')
          t:assert_contains(err, 'profile `expected` says `agent = false`')
          t:assert_contains(err, '| hello, Linux')
        end)";
    let said = "it boots cold: its profile has `agent = false`";
    let toml = of_page("toml") + EXPECTED;
    let lua = of_page("lua profile=own") + lua;
    assert_report(&test(&folder, &toml, &lua), 0, &["3 passed", said]);
    folder.write("a.test.lua", &of_page("lua profile=debian"));
    let listed = run(&mut folder.command(&["test", "a.test.lua", "--list"]));
    assert_report(&listed, 0, &["a shell on the console"]);
}

#[test]
fn guest_without_an_agent_has_its_console_disks_reset_and_power() {
    let Some(_) = default_guest() else { return };
    page_says(
        PAGE,
        "`vm:run` and all that runs in the guest raise an error",
    );
    let folder = RunFolder::new();
    let toml = "[profiles.mute]\nguest = 'default'\nagent = false";
    let lua = "
        local function read(c, device)
          c:write('dd if=' .. device .. ' of=/dev/null count=1 iflag=direct 2>&1; echo ended=$?\\n')
        end
        test('by its console', { timeout = 200 }, function(t)
          local vm = provium:vm('v', 'mute')
          vm:boot({ disks = { { scratch = '1M', id = 'first' } } })
          t:assert_eq(vm:state(), 'booted')
          local c = vm:console()
          c:write('\\n')
          c:expect('provium-guest:', 60)
          vm:disk('first'):fault_inject('eio_read')
          read(c, '/dev/vda')
          c:expect('Input/output error', 30)
          c:expect('ended=1', 30)

          vm:disk('first'):clear_faults()
          read(c, '/dev/vda')
          c:expect('ended=0', 30)

          local err = t:assert_raises(function() vm:run('true') end)
          t:assert_contains(err, 'profile `mute` has `agent = false`')
          t:assert_contains(err, 'set `agent = true`')
          t:assert_raises(function() vm:read_file('/etc/fstab') end)
          t:assert_raises(function() provium:vm('w', 'mute'):boot({ files = { { path = '/x' } } }) end)

          -- A held request holds nothing up.
          vm:disk('first'):fault_inject('hang')
          read(c, '/dev/vda')
          wait_until(function() return #vm:disk('first'):inflight() > 0 end)
          vm:reset()
          c:expect('Linux version', 60)
          vm:power_cut()
          t:assert_eq(vm:state(), 'shutdown')
        end)";
    assert_report(&test(&folder, toml, lua), 0, &["1 passed"]);
}

#[test]
fn machine_firmware_network_and_added_words_come_to_the_guest() {
    let Some(_) = default_guest() else { return };
    let folder = RunFolder::new();
    // Debian's SeaBIOS, which is QEMU's default as well.
    let bios = "/usr/share/seabios/bios-256k.bin";
    let firmware = match Path::new(bios).exists() {
        true => format!("firmware = '{bios}'"),
        false => String::new(),
    };
    let toml = format!(
        "[profiles.other]
         guest = 'default'
         machine = 'pc,usb=on'
         net = 'user'
         hostfwd = ['tcp::0-:22']
         qemu_args = ['-device', 'virtio-balloon-pci', '-cpu', 'Nehalem']
         {firmware}"
    );
    let lua = "
        test('has them', function(t)
          local vm = provium:vm('v', 'other'):boot({ disks = { { scratch = '1M', id = 'one' } } })
          local devices = vm:run('cat /sys/bus/pci/devices/*/device').stdout
          for what, id in pairs({ net = '0x1000', balloon = '0x1002', pc = '0x1237', usb = '0x7020' }) do
            t:assert_contains(devices, id, what)
          end
          t:assert_contains(vm:read_file('/proc/cpuinfo'), 'Nehalem')
          vm:attach_disk({ id = 'two', image = 'two.img' })
          vm:run('test -b /dev/disk/by-id/virtio-two'):assert_ok()
        end)";
    folder.write("two.img", &"\0".repeat(1 << 20));
    let output = test(&folder, &toml, lua);
    assert_report(
        &output,
        0,
        &["1 passed", "it boots cold: its profile has `"],
    );
}

/// Each is found before QEMU runs a guest, and says what to do.
#[test]
fn guest_that_cannot_boot_is_refused_with_a_sentence() {
    let Some(guest) = default_guest() else { return };
    let folder = RunFolder::new();
    std::fs::copy(guest.join("vmlinuz"), folder.path("vmlinuz")).unwrap();
    folder.write("script", "#!/bin/sh\necho no kernel\n");
    let initrd = guest.join("initrd").display().to_string();
    let cases = [
        ("kernel = 'none'", "does not exist"),
        (
            "kernel = 'script'",
            "script of profile `own` is not a kernel that QEMU can load: it is a text; a kernel for x86_64 is a bzImage",
        ),
        (
            &format!("kernel = '{initrd}'"),
            "it is a cpio archive, such as an initramfs: see `initrd`",
        ),
        ("kernel = 'vmlinuz'\ninitrd = 'none'", "initrd "),
        (
            "kernel = 'vmlinuz'\nqemu = 'qemu-system-none'",
            "QEMU `qemu-system-none` is for an architecture that provium has no machine for (known: x86_64,",
        ),
        (
            "kernel = 'vmlinuz'\nqemu = './qemu-system-x86_64'",
            "there is no program ",
        ),
        (
            "kernel = 'vmlinuz'\nqemu = '/bin/false'",
            "QEMU `/bin/false` exited with exit status: 1 while it started",
        ),
        (
            "kernel = 'vmlinuz'\nmachine = 'q36'",
            "unsupported machine type",
        ),
        (
            "kernel = 'vmlinuz'\nmachine = 'q36'",
            "profile `own` has machine = \"q36\"",
        ),
        (
            "firmware = 'none.fd'",
            "none.fd of profile `own` does not exist",
        ),
        (
            "firmware = 'vmlinuz'",
            "there is nothing to boot: profile `own` has no kernel",
        ),
        (
            "kernel = 'vmlinuz'\nqemu_args = ['-device', 'no-such']",
            "profile `own` has qemu_args = [\"-device\", \"no-such\"]",
        ),
    ];
    for (toml, expected) in cases {
        let lua = "test('x', function(t) provium:vm('v', 'own'):boot() end)";
        let output = test(&folder, &format!("[profiles.own]\n{toml}"), lua);
        assert_report(&output, 1, &["a.test.lua:1: vm:boot: ", expected]);
    }
}

#[test]
fn debians_kernel_boots_for_aarch64_and_has_faulty_disks() {
    page_says(PAGE, "qemu = \"qemu-system-aarch64\"");
    let cache = provium::os::folders::cache().unwrap().join("arm64");
    let kernel = cache.join("vmlinuz");
    if !has("qemu-system-aarch64") || !has_arm64(&kernel) {
        return;
    }
    let folder = RunFolder::new();
    std::fs::write(folder.path("initrd"), arm64_initramfs(&cache)).unwrap();
    let toml = format!(
        "[profiles.arm]
         qemu = 'qemu-system-aarch64'
         kernel = '{}'
         initrd = 'initrd'
         agent = false",
        kernel.display()
    );
    let lua = "
        test('on aarch64', { timeout = 200 }, function(t)
          local vm = provium:vm('v', 'arm'):boot({ disks = { { scratch = '1M', id = 'd' } } })
          local c = vm:console()
          c:expect('ready on aarch64', 100)
          vm:disk('d'):fault_inject('eio_read')
          c:write('dd if=/dev/vda of=/dev/null count=1; echo ended=$?\\n')
          c:expect('I/O error, dev vda, sector 0', 30)
          c:expect('ended=1', 30)
          vm:disk('d'):clear_faults()
          c:write('dd if=/dev/vda of=/dev/null count=1; echo ended=$?\\n')
          c:expect('ended=0', 30)
          c:write('poweroff -f\\n')
          wait_until(function() return vm:state() == 'shutdown' end, { timeout = 30 })
        end)";
    assert_report(&test(&folder, &toml, lua), 0, &["1 passed"]);
}

/// Whether mnt-helpers/dev/arm64-guest has made this kernel; as with [`has`].
fn has_arm64(kernel: &Path) -> bool {
    let found = kernel.exists();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "CI lacks a kernel for aarch64"
    );
    if !found {
        eprintln!(
            "skipped: {} is not there: mnt-helpers/dev/arm64-guest makes it",
            kernel.display()
        );
    }
    found
}

/// busybox, and the modules for disks.
fn arm64_initramfs(cache: &Path) -> Vec<u8> {
    let init = b"#!/bin/busybox sh
        /bin/busybox --install -s /bin
        mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
        for module in /modules/*; do insmod \"$module\"; done
        echo \"ready on $(uname -m)\"
        exec sh";
    let busybox = std::fs::read(cache.join("busybox")).unwrap();
    let modules = std::fs::read_dir(cache.join("modules")).unwrap();
    let mut modules: Vec<_> = modules.map(|entry| entry.unwrap().path()).collect();
    modules.sort(); // Their names begin with their place.
    let modules: Vec<_> = modules
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            (format!("modules/{name}"), std::fs::read(&path).unwrap())
        })
        .collect();
    let mut entries: Vec<_> = ["bin", "proc", "sys", "dev", "modules"]
        .map(|folder| (folder, FOLDER, &b""[..]))
        .into();
    entries.push(("bin/busybox", EXECUTABLE, &busybox));
    entries.push(("init", EXECUTABLE, init));
    entries.extend(
        modules
            .iter()
            .map(|(name, content)| (name.as_str(), EXECUTABLE, content.as_slice())),
    );
    archive(&entries)
}
