-- A VM goes back to a snapshot: its guest, its disks and its rules are what they were.
local image = require("image")
local page_says = require("page_says")

local function boot(name, options)
  return provium:vm(name, "peios"):boot(options)
end

-- A hash of the whole disk, as the guest reads it.
local function hash(vm, device)
  return vm:run("dd if=" .. device .. " bs=1M iflag=direct 2>/dev/null | md5sum"):assert_ok().stdout
end

local function write(vm, device, letter, sector)
  local command = "head -c 512 /dev/zero | tr '\\0' %s | dd of=%s seek=%d conv=notrunc,fsync 2>/dev/null"
  vm:run(command:format(letter, device, sector)):assert_ok()
end

-- What the counters of the disk's rules are.
local function counters(disk)
  local all = {}
  for i, rule in ipairs(disk:rules()) do all[i] = { rule.rule, rule.considered, rule.matched, rule.fired } end
  return json.encode(all)
end

test("a VM that goes back again and again is the same each time", function(t)
  page_says("memory, its devices, its disks with what is pending in their caches, and their rules with their counters")
  local vm = boot("v", { disks = { { scratch = "2M", id = "a", cache = "volatile" } } })
  local disk = vm:disk("a")
  disk:fault_inject("error op=read at=9+1 skip=3")
  write(vm, "/dev/vda", "a", 0)
  vm:write_file("/run/marker", "before")
  vm:run("dd if=/dev/vda of=/dev/null skip=9 count=1 iflag=direct"):assert_ok()
  local before = vm:run_async("sleep 1000")
  local content = hash(vm, "/dev/vda")
  local snapshot = vm:snapshot()
  local was = counters(disk)
  for i = 1, 20 do
    vm:write_file("/run/marker", "after " .. i)
    write(vm, "/dev/vda", "b", i % 4)
    vm:run("dd if=/dev/vda of=/dev/null skip=9 count=1 iflag=direct")
    local after = vm:run_async("sleep 1000")
    t:assert_neq(counters(disk), was)
    vm:restore(snapshot)
    t:assert_eq(counters(disk), was)
    t:assert_eq(vm:read_file("/run/marker"), "before")
    t:assert_eq(hash(vm, "/dev/vda"), content)
    t:assert_eq(before:status(), "running")
    local err = t:assert_raises(function() after:wait() end)
    t:assert_contains(err, ("process %d was started after the snapshot that vm `v` went back to"):format(after:pid()))
    vm:restore(snapshot)
    t:assert_eq(counters(disk), was)
  end
end)

test("what is pending is pending again, and the guest's next flush makes it durable", function(t)
  page_says("QEMU flushes whenever it stops a guest, and that does not show", "docs/snapshots.md")
  local vm = boot("v", { disks = { { scratch = "2M", id = "a", cache = "volatile" } } })
  local disk = vm:disk("a")
  local function flush() vm:run("dd if=/dev/zero of=/dev/vda count=0 conv=fsync,notrunc"):assert_ok() end
  local function pending() return #disk:pending() end
  flush()
  vm:run("head -c 512 /dev/zero | tr '\\0' a | dd of=/dev/vda oflag=direct conv=notrunc"):assert_ok()
  t:assert_eq(pending(), 1)
  local snapshot = vm:snapshot()
  t:assert_eq(pending(), 1)
  flush()
  t:assert_eq(pending(), 0)
  vm:restore(snapshot)
  t:assert_eq(pending(), 1)
  flush()
  t:assert_eq(pending(), 0)
  vm:restore(snapshot)
  t:assert_eq(vm:power_cut().a.lost, 1)
  vm:restore(snapshot)
  t:assert_eq(pending(), 1)
  flush()
  t:assert_eq(pending(), 0)
end)

test("snapshots are gone back to in any order", function(t)
  local vm = boot("v")
  local snapshots = {}
  for i = 1, 3 do
    vm:write_file("/run/marker", tostring(i))
    snapshots[i] = vm:snapshot()
  end
  for _, i in ipairs({ 2, 3, 1, 3, 3, 2 }) do
    vm:restore(snapshots[i])
    t:assert_eq(vm:read_file("/run/marker"), tostring(i))
  end
end)

test("a VM that has ended in any way goes back", function(t)
  local vm = boot("v", { disks = { { scratch = "2M", id = "a" } } })
  vm:write_file("/run/marker", "before")
  write(vm, "/dev/vda", "a", 0)
  local content = hash(vm, "/dev/vda")
  local snapshot = vm:snapshot()
  local ends = {
    shutdown = function() vm:shutdown() end,
    power = function() vm:power_cut() end,
    panic = function()
      pcall(vm.run, vm, "echo c > /proc/sysrq-trigger")
      wait_until(function() return vm:state() == "dead" end)
    end,
    off = function()
      vm:run_async("poweroff -f")
      wait_until(function() return vm:state() == "shutdown" end)
    end,
    killed = function()
      os.execute("kill -9 $(pgrep -f '^[^ ]*qemu.*" .. vm:disk("a"):path():gsub("/a$", "") .. "' ) 2>/dev/null")
      vm:shutdown()
    end,
    paused = function() vm:pause() end,
  }
  for name, finish in pairs(ends) do
    write(vm, "/dev/vda", "b", 1)
    vm:write_file("/run/marker", name)
    finish()
    vm:restore(snapshot)
    t:assert_eq(vm:state(), "booted", name)
    t:assert_eq(vm:read_file("/run/marker"), "before", name)
    t:assert_eq(hash(vm, "/dev/vda"), content, name)
  end
end)

test("disks that came since are gone, and handles on them say so", function(t)
  local vm = boot("v", { disks = { { scratch = "2M", id = "a" } } })
  local snapshot = vm:snapshot()
  local later = vm:attach_disk({ scratch = "2M", id = "b" })
  t:assert(vm:run("test -b /dev/vdb"):ok())
  vm:restore(snapshot)
  t:assert(not vm:run("test -b /dev/vdb"):ok())
  t:assert_contains(t:assert_raises(function() later:read_sectors(0, 1) end), "detached")
  write(vm, "/dev/vda", "a", 0)
  vm:attach_disk({ scratch = "2M", id = "b" })
  write(vm, "/dev/vdb", "a", 0)
end)

test("the clock goes on from now, or from then", function(t)
  page_says([[`vm:restore(snapshot, {clock="now"})`: the guest's clock shows the host's time, or with `"then"` that of the snapshot]])
  local vm = boot("v")
  vm:clock():set(86400)
  local snapshot = vm:snapshot()
  vm:restore(snapshot)
  t:assert(math.abs(vm:clock():get() - os.time()) < 2)
  vm:restore(snapshot, { clock = "then" })
  t:assert(vm:clock():get() < 86400 + 60)
end)

test("the console is expected to show what it had shown, and what comes", function(t)
  local vm = boot("v")
  local console = vm:console()
  vm:run("echo wren > /dev/ttyS0")
  console:expect("wren")
  vm:run("echo heron > /dev/ttyS0")
  local snapshot = vm:snapshot()
  vm:run("echo stork > /dev/ttyS0")
  vm:restore(snapshot)
  console:expect("heron")
  for _, text in ipairs({ "wren", "stork" }) do
    t:assert_contains(t:assert_raises(function() console:expect(text, "50ms") end), "timed out")
  end
  vm:run("echo stork > /dev/ttyS0")
  console:expect("stork")
end)

test("a held request keeps a VM from a snapshot, and not from going back", function(t)
  local vm = boot("v", { disks = { { scratch = "2M", id = "a" } } })
  local disk = vm:disk("a")
  local snapshot = vm:snapshot()
  disk:fault_inject("hang op=read")
  vm:run_async("dd if=/dev/vda of=/dev/null count=1 iflag=direct")
  wait_until(function() return disk:inflight()[1] end)
  local err = t:assert_raises(function() vm:snapshot() end)
  t:assert_contains(err, "vm:snapshot: `read 0 ")
  t:assert_eq(vm:state(), "booted")
  vm:restore(snapshot)
  t:assert_eq(#disk:inflight(), 0)
  t:assert_eq(#disk:rules(), 0)
  vm:run("dd if=/dev/vda of=/dev/null count=1 iflag=direct"):assert_ok()
end)

test("a snapshot of another VM, one that was dropped, and a VM that is not booted are errors", function(t)
  local vm, other = boot("v"), boot("w")
  local snapshot = vm:snapshot()
  local err = t:assert_raises(function() other:restore(snapshot) end)
  t:assert_contains(err, "vm:restore: the snapshot is of vm `v`, and vm `w` goes back to its own snapshots alone")
  t:assert_eq(other:state(), "booted")
  t:assert_eq(tostring(snapshot), "snapshot of vm `v`")
  snapshot:drop()
  t:assert_eq(tostring(snapshot), "snapshot of vm `v`, dropped")
  t:assert_contains(t:assert_raises(function() vm:restore(snapshot) end), "vm:restore: the snapshot was dropped")
  t:assert_contains(t:assert_raises(function() vm:restore(vm) end), "vm:restore: ")
  t:assert_contains(t:assert_raises(function() vm:restore(snapshot, { clock = 1 }) end), [["now" or "then"]])
  other:shutdown()
  t:assert_contains(t:assert_raises(function() other:snapshot() end), "vm `w` is shutdown")
  local disks = boot("d", { disks = { { scratch = "2M", id = "a" } } })
  local with_disk = disks:snapshot()
  disks:disk("a"):detach()
  local gone = t:assert_raises(function() disks:restore(with_disk) end)
  t:assert_contains(gone, "disk `a` was detached since the snapshot was taken")
  t:assert_eq(disks:state(), "booted")
end)
