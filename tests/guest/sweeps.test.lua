-- Sweeps: each request of a guest's program fails once.
local image = require("image")
local page_says = require("page_says")
local temporary = require("temporary")

provium.timeout = "4m" -- a sweep has many runs

local vm = provium:vm("g", "peios"):boot({
  disks = {
    { id = "data", scratch = "8M" },
    { id = "cached", scratch = "8M", cache = "volatile" },
  },
})
local disk, cached = vm:disk("data"), vm:disk("cached")

-- A program of ours that writes three blocks under a lock, and forgets to unlock if the second write fails.
local SAVE = [[
  put() { dd if=/dev/zero of=/dev/disk/by-id/virtio-data bs=4k count=1 seek=$1 oflag=direct conv=notrunc; }
  touch /tmp/lock
  put 0 || { rm /tmp/lock; exit 1; }
  put 2 || exit 1
  put 4 || { rm /tmp/lock; exit 1; }
  rm /tmp/lock
]]

local function save(t, guest)
  guest:run(SAVE)
  t:assert(not guest:run("test -e /tmp/lock"):ok(), "a lock is left")
end

local function raised(fn)
  local ok, err = pcall(fn)
  assert(not ok, "it should raise")
  return (tostring(err):gsub("^[^:]+:%d+: ", ""))
end

local function list(numbers)
  return table.concat(numbers, ",")
end

-- The verdicts on writes of each run in the trace at `path`: marks of the sweep stand between the runs.
local function runs(path)
  local found, run = {}, {}
  for line in io.lines(path) do
    local what, verdict = line:match("^%d+ [%d.]+ (%a+) %S+ ?%S* ?(%S*)")
    if what == "mark" and #run > 0 then
      table.insert(found, table.concat(run, " "))
      run = {}
    elseif what == "write" then
      table.insert(run, verdict)
    end
  end
  return found
end

test("a planted bug is found at exactly its write, and each run has one fault there", function(t)
  local trace = temporary()
  local control = image.mount(disk) .. "/ctl/data/trace"
  local reader = io.popen(("cat %s > %s & echo $!"):format(control, trace))
  local pid = reader:read("l")
  local ks = {}
  local found = t:sweep(disk, { op = "write", fault = "error errno=EIO", fail = false }, function(guest, k)
    table.insert(ks, k)
    save(t, guest)
  end)
  disk:mark("over")
  wait_until(function()
    local file <close> = io.open(trace)
    return file:read("a"):find("mark over", 1, true)
  end, { timeout = 10 })
  os.execute("kill " .. pid)
  reader:close()
  t:assert_eq(list(ks), "0,1,2,3")
  t:assert_eq(list(found.failed), "2")
  t:assert_eq(found.requests .. " " .. found.planned .. " " .. #found.notes, "3 3 0")
  local second = found.points[2]
  t:assert_eq(("%s %d %d"):format(second.op, second.sector, second.count), "write 16 8")
  t:assert_contains(second.error, "a lock is left")
  t:assert_eq(table.concat(runs(trace), "; "), "ok ok ok; EIO; ok EIO; ok ok EIO")
  os.remove(trace)
end)

test("a sweep without a bug passes, and leaves the guest and the disk as they were", function(t)
  vm:run("echo before > /tmp/file")
  local hash = disk:read_sectors(0, 64)
  local found = t:sweep(disk, { op = { "write" }, fault = { action = "error", errno = "ENOSPC" } }, function(guest, k)
    t:assert_eq(guest:run("cat /tmp/file").stdout, "before\n")
    guest:run("echo " .. k .. " > /tmp/file")
    guest:run((SAVE:gsub("put 2 || exit 1", "put 2 || { rm /tmp/lock; exit 1; }")))
    t:assert(not guest:run("test -e /tmp/lock"):ok())
  end)
  t:assert_eq(#found.failed .. " " .. found.requests, "0 3")
  t:assert_eq(vm:run("cat /tmp/file").stdout, "before\n")
  t:assert_eq(disk:read_sectors(0, 64), hash)
  t:assert_eq(#disk:active_faults(), 0)
end)

test("verdicts are those of as many runs by hand", function(t)
  local found = t:sweep(disk, { op = "write", fault = "error errno=EIO", fail = false }, function(guest) save(t, guest) end)
  for k, point in pairs(found.points) do
    vm:run("rm -f /tmp/lock")
    disk:fault_inject("error op=write errno=EIO times=1 skip=" .. k - 1)
    local by_hand = vm:run(SAVE .. "\ntest ! -e /tmp/lock")
    t:assert_eq(point.passed, vm:run("test -e /tmp/lock").exit_code ~= 0, by_hand.stderr)
    disk:clear_faults()
  end
  vm:run("rm -f /tmp/lock")
end)

-- Writes three records and notes which were acknowledged; with an fsync after each, or without.
local function add(fsync)
  return function(guest, acked)
    for n = 1, 3 do
      guest:run(("yes %d | tr -d '\\n' | dd of=/dev/disk/by-id/virtio-cached bs=4k count=1 seek=%d iflag=fullblock " ..
        "oflag=direct conv=notrunc%s"):format(n, n, fsync and ",fsync" or "")):assert_ok()
      acked.last = n
    end
  end
end

local function cut(t, fsync, options)
  local acked = {}
  options.op, options.fault, options.fail = "write,flush", "cut", false
  options.check = function(guest, _, state)
    for n = 1, acked.last do
      local read = ("dd if=/dev/disk/by-id/virtio-cached bs=4k count=1 skip=%d iflag=direct 2> /dev/null | head -c 1"):format(n)
      t:assert_eq(guest:run(read).stdout, tostring(n), "record " .. n .. " is lost")
    end
    acked.state = state
  end
  return t:sweep(cached, options, function(guest)
    acked.last = 0
    add(fsync)(guest, acked)
  end), acked
end

test("a power cut at each request finds the window without fsync, and none with it", function(t)
  local without = cut(t, false, {})
  t:assert_eq(without.requests .. ": " .. list(without.failed), "3: 2,3")
  t:assert_contains(without.points[2].error, "record 1 is lost")
  local with = cut(t, true, {})
  t:assert_eq(with.requests .. ": " .. list(with.failed), "6: ")
  t:assert_eq(vm:state(), "booted")
end)

test("each crash state of a cut can be checked", function(t)
  local found, acked = cut(t, false, { states = "each", only = 3 })
  local states = found.points[3].states
  -- Records 1 and 2 are pending, and the third write is not done.
  t:assert_eq(states.distinct .. " " .. states.bad, "4 3")
  t:assert_contains(found.points[3].error, "lost ")
  t:assert_eq(type(acked.state.id), "string")
  local good = cut(t, true, { states = "each", only = 5 })
  t:assert_eq(good.points[5].states.bad, 0)
end)

test("a sweep fails the test with the requests in question, and says how to run one alone", function(t)
  local err = t:assert_raises(function()
    t:sweep(disk, { op = "write", fault = "error errno=EIO" }, function(guest) save(t, guest) end)
  end)
  page_says("`sweep: 2 of 14 points failed: k=5,9 (...)`")
  t:assert_contains(err, "sweep: 1 of 3 points failed: k=2 (`error op=write errno=EIO`, 3 requests)")
  t:assert_contains(err, "write 16+8")
  t:assert_contains(err, "again: `only = 2` in the options of t:sweep")
  local alone = t:sweep(disk, { op = "write", fault = "error", only = 2, fail = false }, function(guest) save(t, guest) end)
  t:assert_eq(list(alone.failed) .. " " .. alone.planned, "2 1")
end)

test("an assertion in a run fails the test through the sweep alone", function(t)
  t:sweep(disk, { op = "write", fault = "error", fail = false }, function(guest, k)
    guest:run(SAVE)
    guest:run("rm -f /tmp/lock")
    t:assert_eq(k, 0)
  end)
end)

test("a run that takes too long is a verdict, and the next one has a fresh guest", function(t)
  page_says("`timeout` | 60 | how long a run may take")
  local found = t:sweep(disk, { op = "write", fault = "hang", timeout = 3, fail = false, max = 2 }, function(guest)
    guest:run("dd if=/dev/zero of=/dev/disk/by-id/virtio-data bs=4k count=2 oflag=direct conv=notrunc")
  end)
  t:assert_eq(list(found.failed), "1,2")
  t:assert_contains(found.points[1].error, "took longer than 3s")
  t:assert_eq(found.points[1].op .. " " .. found.points[2].sector, "write 8")
  vm:run("true"):assert_ok()
end)

test("a sweep that cannot go on says how far it came, and the guest is what it was", function(t)
  local err = raised(function()
    t:sweep(disk, { op = "write", fault = "error" }, function(guest, k)
      guest:run(SAVE)
      if k == 2 then disk:clear_faults() end
    end)
  end)
  t:assert_contains(err, "t:sweep: after 1 of 3 runs: disk `data` has lost the rule of the sweep")
  t:assert(not vm:run("test -e /tmp/lock"):ok())
  t:assert_eq(#disk:active_faults(), 0)
end)

test("turns begin behind the mark that the function sets", function(t)
  local found = t:sweep(disk, { op = "write", fault = "error", from = "open" }, function(guest)
    guest:run("dd if=/dev/zero of=/dev/disk/by-id/virtio-data bs=4k count=1 oflag=direct conv=notrunc"):assert_ok()
    disk:mark("open")
    guest:run("dd if=/dev/zero of=/dev/disk/by-id/virtio-data bs=4k seek=4 count=1 oflag=direct conv=notrunc")
  end)
  t:assert_eq(found.requests .. " " .. found.points[1].sector .. " " .. #found.notes, "1 32 0")
end)

test("nothing to sweep is an error that says what was seen", function(t)
  local function err(options, fn)
    options.fault = options.fault or "error"
    return raised(function() t:sweep(disk, options, fn) end)
  end
  local function read(guest)
    guest:run("dd if=/dev/disk/by-id/virtio-data of=/dev/null bs=4k count=2 iflag=direct"):assert_ok()
  end
  t:assert_contains(err({ op = "write,flush" }, read), "the function made 2 reads and no write or flush")
  t:assert_contains(err({ op = "read", from = "open" }, read), "the function has set no mark `open`")
  t:assert_contains(err({ op = "read" }, function() error("broken") end), "fails without any fault")
  t:assert_contains(err({ op = "read", only = 3 }, read), "request 3 does not exist: the run without a fault made 2")
end)

test("bad options are explained before anything runs", function(t)
  local function err(options)
    return raised(function() t:sweep(disk, options, function() error("it ran") end) end)
  end
  t:assert_contains(err({}), "t:sweep: `fault` is missing")
  t:assert_contains(err({ fault = "eror" }), "did you mean `error`?")
  t:assert_contains(err({ fault = "error", ops = "write" }), "unknown option `ops` (known: op, fault")
  t:assert_contains(err({ fault = "error\nslow" }), "the fault is 2 rules")
  t:assert_contains(err({ fault = "error times=2" }), "the fault has `times=`")
  t:assert_contains(err({ fault = "error", only = 0 }), "`only` is 0, and has to be at least 1")
  t:assert_contains(err({ fault = "error", only = 1, every = 2 }), "`every` cannot thin it out")
  t:assert_contains(err({ fault = "cut" }), "`check` is missing")
  t:assert_contains(err({ fault = "error", states = "each" }), "`states` is for `fault = \"cut\"`")
  t:assert_contains(err({ fault = "cut", check = print, states = "all" }), "`states` expects \"each\"")
  t:assert_contains(err({ fault = "cut", check = print, tear = 1 }), "`tear` needs `states = \"each\"`")
  t:assert_contains(raised(function() t:sweep("vda", { fault = "error" }, print) end), "disk")
end)

test("a disk of a VM that does not run goes back by itself, and the function may boot it", function(t)
  local other = provium:vm("other", "peios")
  local own = other:attach_disk({ id = "own", scratch = "1M" })
  local found = t:sweep(own, { op = "write", fault = "error errno=EIO", fail = false }, function()
    t:assert_eq(own:read_sectors(0, 1), ("\0"):rep(512))
    own:write_sectors(0, ("a"):rep(512))
    pcall(own.write_sectors, own, 8, ("b"):rep(512))
  end)
  t:assert_eq(list(found.failed), "1")
  t:assert_contains(found.points[1].error, "EIO (fault_inject)")
  t:assert_eq(own:read_sectors(0, 1), ("\0"):rep(512))
  other:close()
end)
