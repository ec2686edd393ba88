//! Runs of several files with real guests: side by side, killed, panicking, kept.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::time::Duration;

use crate::docs::page_says;
use crate::harness::*;
use crate::lua_suite::assert_report;
use crate::run_folder::{RunFolder, has_guest};

/// A folder of test files; None if this machine cannot run guests.
fn folder(files: &[(&str, &str)]) -> Option<RunFolder> {
    if !has("qemu-system-x86_64") || !has_guest() {
        return None;
    }
    let folder = RunFolder::new();
    for (name, lua) in files {
        folder.write(&format!("{name}.test.lua"), lua);
    }
    Some(folder)
}

fn test(folder: &RunFolder, args: &[&str]) -> Output {
    run(&mut folder.command(&[&["test"], args].concat()))
}

/// Boots a guest, makes a mark, and waits for the marks of all others; for ever if it STAYS.
const TOGETHER: &str = "
    test('boots', function(t)
      local vm = provium:vm('v', 'default'):boot()
      vm:run('true'):assert_ok()
      io.open(NAME .. '.up', 'w'):write(io.open('/proc/self/stat'):read('n')):close()
      wait_until(function()
        if STAYS then return false end
        for n = 1, 4 do if not io.open(n .. '.up') then return false end end
        return true
      end, {timeout = 50})
      vm:run('true'):assert_ok()
    end)";

/// Four such files, of which one may stay.
fn four_together(stays: Option<u32>) -> Option<RunFolder> {
    let lua = |n: u32| format!("NAME, STAYS = {n}, {} {TOGETHER}", stays == Some(n));
    let files = [1, 2, 3, 4].map(|n| (n.to_string(), lua(n)));
    let files: Vec<_> = files.iter().map(|(name, lua)| (&**name, &**lua)).collect();
    folder(&files)
}

#[test]
fn files_run_side_by_side_and_leave_nothing() {
    page_says(
        "docs/testing.md",
        "Its tests run in the order written; files run beside each other",
    );
    let Some(folder) = four_together(None) else {
        return;
    };
    assert_report(
        &test(&folder, &["-j", "4", "."]),
        0,
        &["4 passed, 0 failed"],
    );
    folder.assert_nothing_left_within(Duration::ZERO);
}

#[test]
fn file_that_is_killed_from_outside_fails_and_the_others_pass() {
    let Some(folder) = four_together(Some(2)) else {
        return;
    };
    let mut run = folder.command(&["test", "-j", "4", "."]);
    let run = run.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let deadline = std::time::Instant::now() + 3 * PATIENCE;
    let pid = loop {
        let pid = std::fs::read_to_string(folder.path("2.up")).unwrap_or_default();
        if let Ok(pid) = pid.parse() {
            break pid;
        }
        assert!(std::time::Instant::now() < deadline, "file 2 did not boot");
        std::thread::sleep(Duration::from_millis(5));
    };
    send(pid, libc::SIGKILL);
    let output = run.wait_with_output().unwrap();
    let reason = "the test's process ended by signal 9";
    assert_report(
        &output,
        1,
        &["FAIL  2.test.lua: boots", reason, "3 passed, 1 failed"],
    );
    folder.assert_nothing_left_within(Duration::ZERO);
}

/// Meets a fault, says who it is, and stays.
const STAYS: &str = "
    test('stays', function(t)
      local disk = provium:vm('v', 'default'):attach_disk({ id = 'vda', scratch = '1M' })
      disk:fault_inject('eio_read at=8+1')
      pcall(disk.read_sectors, disk, 8, 1)
      io.open('pid', 'w'):write(io.open('/proc/self/stat'):read('n')):close()
      wait_until(function() return false end, { timeout = 50 })
    end)";

#[test]
fn test_that_is_killed_leaves_its_calls_and_the_traces_of_its_disks() {
    let Some(folder) = folder(&[("a", STAYS)]) else {
        return;
    };
    let mut run = folder.command(&["test", ".", "--artifacts", "kept"]);
    let run = run.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let spooled = || -> Option<String> {
        let runs = std::fs::read_dir(folder.path("run/provium")).ok()?;
        let files = runs
            .flatten()
            .filter_map(|run| std::fs::read_dir(run.path()).ok());
        let mut files = files.flatten().flatten().map(|file| file.path());
        let spool = files.find(|file| file.extension().is_some_and(|end| end == "spool"))?;
        std::fs::read_to_string(spool).ok()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let pid = loop {
        let pid = std::fs::read_to_string(folder.path("pid")).unwrap_or_default();
        let has_trace = spooled().is_some_and(|text| text.contains(" read 8 1 EIO "));
        match pid.parse() {
            Ok(pid) if has_trace => break pid,
            _ => assert!(std::time::Instant::now() < deadline, "{:?}", spooled()),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    send(pid, libc::SIGKILL);
    let output = run.wait_with_output().unwrap();
    let texts = [
        "FAIL  a.test.lua: stays",
        "the test's process ended by signal 9\n",
        "signal 9 is SIGKILL: if nobody sent it, the host ran out of memory",
        "  read 8+1: EIO after ",
        ", by `eio_read at=8+1`",
    ];
    assert_report(&output, 1, &texts);
    let kept = std::fs::read_dir(folder.path("kept"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let calls = std::fs::read_to_string(kept.path().join("calls")).unwrap();
    assert!(
        calls.contains("disk v.vda:fault_inject(\"eio_read at=8+1\")"),
        "{calls}"
    );
    let trace = std::fs::read_to_string(kept.path().join("disks/v.vda/trace")).unwrap();
    assert!(trace.contains(" read 8 1 EIO "), "{trace}");
    folder.assert_nothing_left_within(Duration::from_secs(10));
}

#[test]
fn guest_panic_fails_its_test_at_once_and_later_tests_as_their_scope_says() {
    let lua = "
        local vm = provium:vm('v', 'default'):boot()
        test('panics', function(t)
          vm:run('echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger')
        end)
        test('the same vm', function(t) vm:run('true') end)
        test('a fresh vm', function(t)
          provium:vm('w', 'default'):boot():run('true'):assert_ok()
        end)";
    let Some(folder) = folder(&[("a", lua)]) else {
        return;
    };
    let output = test(&folder, &["."]);
    let texts = [
        "vm:run: the guest's kernel panicked: ",
        "Kernel panic - not syncing: sysrq triggered crash",
        "FAIL  a.test.lua: the same vm",
        "vm:run: vm `v` is dead: the call expects one that is booted",
        "PASS  a.test.lua: a fresh vm",
    ];
    assert_report(&output, 1, &texts);
    let text = stdout(&output);
    let line = text
        .lines()
        .find(|line| line.contains("FAIL  a.test.lua: panics ("))
        .unwrap();
    let seconds = line.split('(').nth(1).unwrap().trim_end_matches("s)");
    // Without word of the panic, the agent would have 20 s to answer.
    assert!(seconds.parse::<f64>().unwrap() < 15.0, "{line}");
    folder.assert_nothing_left_within(Duration::ZERO);
}

#[test]
fn guest_panic_between_calls_fails_its_test_too() {
    let panics = "vm:run_async('echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger')";
    let lua = format!(
        "test('sleeps', function(t)
          local vm = provium:vm('v', 'default'):boot()
          {panics}
          vm:clock():sleep(30)
        end)
        test('waits', function(t)
          local vm = provium:vm('v', 'default'):boot()
          {panics}
          wait_until(function() return false end, {{ timeout = 30 }})
        end)
        test('ends', function(t)
          local vm = provium:vm('v', 'default'):boot()
          {panics}
          wait_until(function() return vm:state() == 'dead' end)
        end)
        test('is told', function(t)
          local vm = provium:vm('v', 'default'):boot()
          {panics}
          while pcall(vm.run, vm, 'true') do end
          t:assert_eq(vm:state(), 'dead')
        end)
        test('is not fooled', function(t)
          local vm = provium:vm('v', 'default'):boot()
          vm:run(\"echo 'Kernel panic - not syncing: a joke' > /dev/ttyS0\"):assert_ok()
          vm:console():expect('a joke')
          vm:run('true'):assert_ok()
        end)"
    );
    let Some(folder) = folder(&[("a", &lua)]) else {
        return;
    };
    let output = test(&folder, &["."]);
    let texts = [
        "clock:sleep: the guest's kernel panicked: ",
        "wait_until: the guest's kernel panicked: ",
        "FAIL  a.test.lua: ends",
        "PASS  a.test.lua: is told",
        "PASS  a.test.lua: is not fooled",
        "2 passed, 3 failed",
    ];
    assert_report(&output, 1, &texts);
    let said = stdout(&output);
    let said = said.matches("the guest's kernel panicked: [");
    assert_eq!(
        said.count(),
        6,
        "in three reports, and in the list at the end"
    );
}

#[test]
fn retry_has_a_fresh_vm() {
    let lua = "
        local vm = provium:vm('v', 'default'):boot()
        test('dirty', function(t)
          local first = vm:run('test -e /tmp/seen').exit_code == 1
          vm:run('touch /tmp/seen')
          t:assert(first, 'not fresh')
          local again = io.open('again')
          io.open('again', 'w'):close()
          t:assert(again, 'the first try')
        end)";
    let Some(folder) = folder(&[("a", lua)]) else {
        return;
    };
    let output = test(&folder, &[".", "--retries", "1"]);
    assert_report(
        &output,
        0,
        &["the first try", "1 passed, 0 failed, 0 skipped, 1 flaky"],
    );
}

#[test]
fn retried_test_keeps_only_its_last_vm() {
    let lua = "test('fails', function(t) provium:vm('v', 'default') error('no') end)";
    let Some(folder) = folder(&[("a", lua)]) else {
        return;
    };
    let output = test(&folder, &[".", "--keep", "on-fail", "--retries", "2"]);
    assert_report(&output, 1, &["try 2 failed", "0 passed, 1 failed"]);
    let report = stdout(&output);
    assert_eq!(report.matches("KEPT").count(), 1, "{report}");
    let pid = report.split("end it   kill ").nth(1).unwrap();
    send(
        pid.split('\n').next().unwrap().parse().unwrap(),
        libc::SIGTERM,
    );
    folder.assert_nothing_left();
}

#[test]
fn failed_tests_vm_is_kept_for_inspection_while_other_tests_go_on() {
    let lua = "
        local function boot() return provium:vm('v', 'default'):boot{disks = {{id = 'vda', scratch = '1M'}}} end
        test('fails', function(t) boot():run('echo left behind > /root/note') error('look at me') end)
        test('goes on', function(t) end)";
    let Some(folder) = folder(&[("a", lua)]) else {
        return;
    };
    let output = test(&folder, &[".", "--keep", "on-fail"]);
    let texts = [
        "KEPT  vm `v` of a.test.lua",
        "PASS  a.test.lua: goes on",
        "1 passed, 1 failed",
    ];
    assert_report(&output, 1, &texts);
    let report = stdout(&output);
    let value = |what: &str| {
        let line = report
            .lines()
            .find_map(|line| line.trim().strip_prefix(what));
        line.unwrap().split_whitespace().last().unwrap().to_owned()
    };
    let status = provium(&["status", &value("disks")]);
    assert!(stdout(&status).contains("vda"), "{}", stdout(&status));
    let mut console = UnixStream::connect(value("console")).unwrap();
    console.set_read_timeout(Some(PATIENCE)).unwrap();
    console.write_all(b"\ncat /root/no*\n").unwrap();
    let mut shown = String::new();
    while !shown.contains("left behind") {
        let mut some = [0; 100];
        let n = console.read(&mut some).unwrap();
        shown += &String::from_utf8_lossy(&some[..n]);
    }
    send(value("end it").parse().unwrap(), libc::SIGTERM);
    folder.assert_nothing_left();
}

#[test]
fn stuck_test_is_kept_as_it_is_and_the_others_go_on() {
    let lua = "
        test('stuck', function(t) provium:vm('v', 'default') os.execute('sleep 600') end)
        test('goes on', function(t) end)";
    let Some(folder) = folder(&[("a", lua)]) else {
        return;
    };
    let (output, limit) = in_ample_time(|seconds| {
        let limit = seconds.to_string();
        let output = test(
            &folder,
            &[".", "--keep", "on-fail", "--file-timeout", &limit],
        );
        // Its VM is there when the time is up.
        let is_kept = stdout(&output).contains("KEPT  ");
        is_kept.then_some((output, limit))
    });
    let texts = [
        &format!("the test does not end: the file's time ({limit}s) was up"),
        "KEPT  vm `v` of a.test.lua",
        "1 passed, 1 failed",
    ];
    assert_report(&output, 1, &texts);
    let report = stdout(&output);
    let pid = report.split("end it   kill ").nth(1).unwrap();
    let pid = pid.split('\n').next().unwrap().parse().unwrap();
    assert!(provium::os::process::Process::is_running(pid));
    send(pid, libc::SIGTERM);
    folder.assert_nothing_left();
}
