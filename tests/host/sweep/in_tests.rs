//! `t:sweep`: what reports show of it, and what a killed run leaves.

use std::time::{Duration, Instant};

use super::*;
use crate::lua_suite::{Suite, assert_report};
use crate::run_folder::{RunFolder, has_guest};

/// A sweep over the sector calls of a test; its second write is bad.
const SWEEP: &str = r#"
test("saves", function(t)
  local disk = provium:vm("v", "default"):attach_disk({ id = "data", scratch = "1M" })
  t:sweep(disk, { op = "write", fault = "error errno=EIO" }, function(_, k)
    for n = 1, 3 do
      local ok = pcall(disk.write_sectors, disk, n * 8, ("x"):rep(512))
      if not ok then t:assert(n ~= 2, "left a lock") end
    end
  end)
end)
"#;

#[test]
fn reports_know_each_point_of_a_sweep() {
    let suite = Suite::new(&[("a", SWEEP)]);
    let output = suite.test(&["--json=r.json", "--tap=r.tap", "--junit=r.xml"]);
    let headline = "1 of 3 points failed: k=2 (`error op=write errno=EIO`, 3 requests)";
    let texts = [
        &format!("sweep v.data: {headline} in "),
        &format!("sweep: {headline}"),
        "     2  write 16+1  FAIL  a.test.lua:7: left a lock",
        "again: `only = 2` in the options of t:sweep",
    ];
    assert_report(&output, 1, &texts);
    let tap = suite.read("r.tap");
    for line in [
        "# sweep v.data: k=1 of 3: write 8+1: pass\n",
        "# sweep v.data: k=2 of 3: write 16+1: FAIL a.test.lua:7: left a lock\n",
        &format!("# sweep v.data: {headline}\n"),
    ] {
        assert!(tap.contains(line), "{tap}");
    }
    let xml = suite.read("r.xml");
    assert!(
        xml.contains("<property name=\"sweep v.data\" value=\"1 of 3 points failed: k=2"),
        "{xml}"
    );
    assert!(
        xml.contains("sweep v.data: k=3 of 3: write 24+1: pass"),
        "{xml}"
    );
    if !has_python("jsonschema") {
        return;
    }
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.schema.json");
    let script = format!(
        "
import json, jsonschema
validator = jsonschema.Draft202012Validator(json.load(open('{schema}')))
events = [json.loads(line) for line in open('r.json')]
for event in events: validator.validate(event)
print([e['k'] for e in events if e['event'] == 'sweep_point' and not e['passed']])
print([e['failed'] for e in events if e['event'] == 'swept'])
"
    );
    let mut python = Command::new("python3");
    let read = run(python.args(["-c", &script]).current_dir(suite.path()));
    assert_ok(&read);
    assert_eq!(stdout(&read), "[2]\n[[2]]\n");
}

#[test]
fn killed_runner_leaves_nothing_of_a_sweep() {
    if !has("qemu-system-x86_64") || !has_guest() {
        return;
    }
    let folder = RunFolder::new();
    folder.write(
        "a.test.lua",
        r#"
local vm = provium:vm("v", "default"):boot({ disks = { { id = "data", scratch = "8M" } } })
test("endless", { timeout = "10m" }, function(t)
  t:sweep(vm:disk("data"), { op = "write", fault = "error" }, function(guest, k)
    guest:run("for n in 1 2 3; do dd if=/dev/zero of=/dev/disk/by-id/virtio-data bs=4k count=1 seek=$n oflag=direct; done")
    if k == 2 then
      io.open("second", "w"):close()
      guest:run("sleep 300")
    end
  end)
end)
"#,
    );
    let mut runner = folder.command(&["test", "a.test.lua"]).spawn().unwrap();
    // A boot and a snapshot come first.
    let deadline = Instant::now() + Duration::from_secs(120);
    while !folder.path("second").exists() {
        assert!(Instant::now() < deadline, "the second run does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!folder.processes().is_empty());
    runner.kill().unwrap();
    runner.wait().unwrap();
    folder.assert_nothing_left_within(Duration::from_secs(10));
}
