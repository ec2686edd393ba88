-- Crash states: of the log of a disk and of a log made by others, checked on the host and in guests.
local image = require("image")
local page_says = require("page_says")
local write_log = require("write_log")

-- Data, then a commit record that says that they are there; with a flush between them if wanted. Returns its log.
local function commit(flush)
  local steps = { "begin", { 0, "D" }, { 16, "C" } }
  if flush then table.insert(steps, 3, "flush") end
  return write_log(steps)
end

-- Raises for a commit without its data.
local function has_data(path)
  local file <close> = assert(io.open(path))
  local data = file:read(512)
  file:seek("set", 16 * 512)
  assert(file:read(1) ~= "C" or data == ("D"):rep(512), "commit without data")
end

local COMMAND = "! grep -q CCC {} || grep -q DDD {}"

test("each state of a log has an ID, a file, and what is lost in it", function(t)
  local log = commit()
  local found = {}
  for state in provium:states(log, { from = "begin" }) do
    local lost = {}
    for _, piece in ipairs(state.lost) do
      table.insert(lost, piece.sector .. "+" .. piece.count)
    end
    t:assert_eq(state.mark, "begin")
    t:assert_eq(tostring(state), "state " .. state.id)
    t:assert_eq(state.point, tonumber(state.id:match("^%d+")))
    local file <close> = assert(io.open(state.path, "r+"))
    local data = file:read(1)
    file:seek("set", 16 * 512)
    local content = data .. file:read(1)
    table.insert(found, content:gsub("\0", "-") .. " " .. table.concat(lost, ","))
  end
  t:assert_eq(table.concat(found, "; "), "-- ; D- ; DC ; -C 0+1")
end)

test("a file of a state can be written to, and a check finds the state as it was", function(t)
  local log = commit()
  for state in provium:states(log, { pick = "all", from = "begin" }) do
    local before = state:check("grep -q CCC {}")
    assert(os.execute("head -c 8K /dev/zero | tr '\\0' x > " .. state.path))
    t:assert(os.execute("grep -q xxx " .. state.path))
    t:assert_eq(state:check("grep -q xxx {}"), false)
    t:assert_eq(state:check("grep -q CCC {}", { timeout = "10s" }), before)
  end
end)

test("a function and a command find the same bad state, and an assertion in it does not fail the test", function(t)
  local log = commit()
  local bad = {}
  for state in provium:states(log, { seed = 7 }) do
    local good, why = state:check(has_data)
    local good_too, why_too = state:check(COMMAND)
    t:assert_eq(good, good_too)
    t:assert_eq(good, (state:check(function(path) t:assert(os.execute("true")); has_data(path) end)))
    if not good then
      table.insert(bad, state)
      t:assert_contains(why, "commit without data")
      t:assert_eq(why_too, "exit code 1")
      local _, reason = state:check(function() t:assert_eq(1, 2) end)
      t:assert_contains(reason, "states.test.lua")
      t:assert_contains(reason, "1 ~= 2")
      t:assert_eq(select(2, state:check(function() return false end)), "returned false")
    end
  end
  t:assert_eq(#bad, 1)
  t:assert_eq(#bad[1].lost, 1)
  t:assert_eq(bad[1].lost[1].sector .. "+" .. bad[1].lost[1].count, "0+1")
end)

test("a state that agrees with a checked one in all that was read is not checked again", function(t)
  local log = commit()
  -- Reads the first sector alone: the states with and without the commit are alike.
  local calls = { 0 }
  local function looks(path)
    calls[1] = calls[1] + 1
    local fd <close> = assert(io.popen("dd bs=512 count=1 2>/dev/null iflag=direct if=" .. path))
    assert(fd:read(1) ~= "D", "data")
  end
  local function verdicts(prune)
    calls[1] = 0
    local all = {}
    for state in provium:states(log, { prune = prune }) do
      table.insert(all, state.id .. "=" .. tostring((state:check(looks))))
    end
    return table.concat(all, " "), calls[1]
  end
  local pruned, few = verdicts(true)
  local all, many = verdicts(false)
  t:assert_eq(pruned, all)
  t:assert_eq(few, 2)
  t:assert_eq(many, 4)
end)

test("verdicts of another function, or of one whose values have changed, are not taken", function(t)
  local log = commit()
  local expected = true
  local function reads(path)
    local file <close> = assert(io.open(path))
    return file:read(1) and expected
  end
  for state in provium:states(log) do
    expected = true
    t:assert_eq(state:check(reads), true)
    expected = false
    t:assert_eq(state:check(reads), false)
    t:assert_eq(state:check(function(path) assert(io.open(path)):read(1) end), true)
    t:assert_eq(state:check(function(path) assert(io.open(path)):read(1) return false end), false)
  end
end)

test("assert_crash_safe names the lost write, the mark before and the line that makes the state again", function(t)
  local log = commit()
  for _, check in ipairs({ has_data, COMMAND }) do
    local err = t:assert_raises(function() t:assert_crash_safe(log, { check = check }) end)
    t:assert_contains(err, "assert_crash_safe: 1 of 4 states are bad (seed 1)\nBAD: 1 state: ")
    t:assert_contains(err, "smallest loss: 0+1\n")
    t:assert_contains(err, "after the mark: begin\n")
    t:assert_contains(err, ("again: provium states %s --only 3.2 --out bad.img"):format(log))
  end
  local flushed = commit(true)
  t:assert_crash_safe(flushed, { check = has_data })
  t:assert_crash_safe(flushed, { check = COMMAND, at = "flush", pick = { "none", "all" }, tear = 1 })
end)

test("a check that takes the mark learns what was acknowledged", function(t)
  local log = write_log({ { 1, "1" }, "flush", "acknowledged 1", { 2, "2" }, "acknowledged 2" })
  local function has_all(state_path, mark)
    local last = tonumber((mark or ""):match("%d+")) or 0
    local file <close> = assert(io.open(state_path))
    for number = 1, last do
      file:seek("set", number * 512)
      assert(file:read(1) == tostring(number), "record " .. number .. " is lost")
    end
  end
  local err = t:assert_raises(function() t:assert_crash_safe(log, { check = has_all, by_mark = true }) end)
  t:assert_contains(err, "record 2 is lost")
  t:assert_contains(err, "after the mark: acknowledged 2")
  t:assert(not err:find("record 1 is lost"), err)
end)

test("the log of a disk is its latest one, whoever has begun it, and is ended to be walked", function(t)
  local disk = provium:vm("log", "peios"):attach_disk({ id = "vda", image = image.new(2048) })
  local control = disk:path():gsub("/vda$", "/ctl/vda/log")
  local function reads()
    local file <close> = assert(io.open(control))
    return file:read("l")
  end
  local function states()
    local count = 0
    for state in disk:states({ pick = "all" }) do
      count = count + 1
      t:assert_eq(state:check("test $(wc -c < {}) -eq 1048576"), true)
    end
    return count
  end
  local own = disk:record()
  t:assert_contains(reads(), own .. " entries=0")
  t:assert_contains(t:assert_raises(function() disk:record() end), "disk:record: ")
  disk:write_sectors(0, "one")
  disk:write_sectors(8, "two")
  t:assert_eq(states(), 3)
  t:assert_eq(reads(), "off")
  t:assert_eq(disk:record_stop(), own)

  local other = image.new(0)
  assert(os.execute(("echo start %s > %s"):format(other, control)))
  disk:write_sectors(0, "three")
  disk:detach()
  t:assert_eq(disk:record_stop(), other)
  t:assert_eq(states(), 2)
end)

test("a log of QEMU is walked by its path", function(t)
  if not os.execute("command -v qemu-io > /dev/null") then t:skip("no qemu-io") end
  local disk, log = image.new(2048), image.new(0)
  local options = "driver=blklogwrites,file.driver=raw,file.file.driver=file,file.file.filename=" .. disk
    .. ",log.driver=raw,log.file.driver=file,log.file.filename=" .. log
  local writes = "-c 'write -q -P 0x44 0 4k' -c 'write -q -P 0x43 8k 4k'"
  assert(os.execute(("qemu-io -n --image-opts %s %s"):format(options, writes)))
  local good, bad = 0, 0
  for state in provium:states(log, { base = "none", pick = "every=8" }) do
    if state:check(COMMAND) then good = good + 1 else bad = bad + 1 end
  end
  t:assert_eq(good .. " " .. bad, "3 1")
  t:assert_raises(function() t:assert_crash_safe(log, { check = COMMAND, base = "none" }) end)
end)

test("wrong options and logs that are none are named", function(t)
  local log = commit()
  local vm = provium:vm("wrong", "peios")
  local disk = vm:attach_disk({ image = image.new(2048) })
  local function says(text, fn)
    t:assert_contains(t:assert_raises(fn), text)
  end
  says("disk:states: there is no log of this disk: begin one with disk:record()", function() disk:states() end)
  says("disk:record_stop: there is no log", function() disk:record_stop() end)
  says("provium:states: unknown option `pik`", function() provium:states(log, { pik = "all" }) end)
  says("`pick`: `some` does not say which states", function() provium:states(log, { pick = "some" }) end)
  says("`tear` expects a number of sectors", function() provium:states(log, { tear = 0 }) end)
  says("`at` expects", function() provium:states(log, { at = "write" }) end)
  says("no mark `there` in the log (its marks: begin)", function() provium:states(log, { from = "there" }) end)
  says("provium:states: cannot read /no/such", function() provium:states("/no/such") end)
  says("is not a write log", function() provium:states("/bin/sh") end)
  local base = image.new(1)
  says("the base has 1 sectors, and the log changes sector 16", function() provium:states(log, { base = base }) end)
  says("t:assert_crash_safe: `check` is missing", function() t:assert_crash_safe(log, {}) end)
  says("vm:try_states: argument 1 (disk): expected disk", function() vm:try_states(7, {}, print) end)
  says("vm:try_states: argument 3 (fn): expected function", function() vm:try_states(log, {}) end)
  for state in provium:states(log, { pick = "none", to = "begin" }) do
    says("state:check: argument 1 (check): expected function", function() state:check(7) end)
    says("state:check: unknown option `timeut`", function() state:check("true", { timeut = 1 }) end)
    t:assert_eq(select(2, state:check("sleep 30", { timeout = "100ms" })), "no answer within 100ms")
  end
end)

local CHECK = "test $(head -c 8193 $1 | tail -c 1 | tr '\\0' -)$(head -c 1 $1 | tr '\\0' -) != C-"

test("each distinct state is tried in a running guest", function(t)
  local vm = provium:vm("g", "peios"):boot()
  local tried = {}
  local result = vm:try_states(commit(), { from = "begin" }, function(guest, device, state)
    table.insert(tried, state.id)
    guest:run("sh", { "-c", CHECK, "sh", device }):assert_ok()
  end)
  t:assert_eq(table.concat(tried, " "), "1.0 2.1 3.3 3.2")
  t:assert_eq(result.good .. " " .. #result.bad, "3 1")
  local bad = result.bad[1]
  t:assert_eq(bad.id .. " " .. bad.lost[1].sector .. "+" .. bad.lost[1].count, "3.2 0+1")
  t:assert_contains(bad.error, "command failed: status=exited code=1")
  vm:run("! ls /dev/disk/by-id | grep state"):assert_ok()
end)

test("a guest boots on each state", { timeout = "3m" }, function(t)
  local vm = provium:vm("b", "peios")
  local result = vm:try_states(commit(), { from = "begin", boot = true }, function(guest, device)
    guest:run("sh", { "-c", CHECK, "sh", device }):assert_ok()
  end)
  t:assert_eq(result.good .. " " .. #result.bad, "3 1")
  t:assert_eq(result.bad[1].id, "3.2")
  t:assert_eq(vm:state(), "shutdown")
end)

test("a guest that a state kills is booted again for the next one", { timeout = "3m" }, function(t)
  local vm = provium:vm("k", "peios"):boot()
  local result = vm:try_states(commit(), { from = "begin", prune = false }, function(guest, device, state)
    if state.id == "2.1" then guest:run("echo c > /proc/sysrq-trigger; sleep 10") end
    guest:run("test -b " .. device):assert_ok()
  end)
  t:assert_eq(result.good .. " " .. #result.bad, "3 1")
  t:assert_eq(result.bad[1].id, "2.1")
end)

test("a guest that reads only what states have alike tries one of them", function(t)
  local vm = provium:vm("p", "peios"):boot()
  local log = write_log({ { 512, "x" }, { 1024, "y" } })
  local base = image.new(4096)
  local calls = 0
  local function verdicts(prune)
    calls = 0
    return vm:try_states(log, { base = base, prune = prune }, function(guest, device)
      calls = calls + 1
      guest:run("dd if=" .. device .. " of=/dev/null bs=512 count=1"):assert_ok()
    end).good
  end
  t:assert_eq(verdicts(false), 4)
  t:assert_eq(calls, 4)
  t:assert_eq(verdicts(true), 4)
  t:assert(calls < 4, "each state was tried")
end)

-- What the states of `log` hold, by `look(guest, device)`: tried one after the other, and each in a disk of its own.
-- Returns both as texts, and how many disks the first way took.
local function both_ways(vm, log, base, look)
  local options = { base = base, prune = false }
  local tried, disks, count = {}, {}, 0
  local result = vm:try_states(log, options, function(guest, device, state)
    if not disks[device] then disks[device], count = true, count + 1 end
    table.insert(tried, state.id .. " " .. look(guest, device))
  end)
  assert(#result.bad == 0, result.bad[1] and result.bad[1].error)
  local plugged = {}
  for state in provium:states(log, options) do
    local disk = vm:attach_disk({ id = "alone-" .. #plugged, path = state.path })
    table.insert(plugged, state.id .. " " .. look(vm, "/dev/disk/by-id/virtio-" .. disk:id()))
    disk:detach()
  end
  return table.concat(tried, "\n"), table.concat(plugged, "\n"), count
end

test("a guest finds the states one after the other as it finds each in a disk of its own", { timeout = "3m" }, function(t)
  local vm = provium:vm("alone", "peios"):boot()
  local steps = { { 16, "a" }, { 40, "b" }, "flush", { 0, "c" }, { 16, "d" } }
  -- Reads all of the state, and leaves nothing of it.
  local look = [[ tr '\0' - < $1 | tr -s a-z-; yes x | dd of=$1 bs=512 conv=fsync 2> /dev/null; true ]]
  local tried, plugged, disks = both_ways(vm, write_log(steps), image.new(64), function(guest, device)
    return guest:run("sh", { "-c", look, "sh", device }):assert_ok().stdout
  end)
  t:assert_eq(tried, plugged)
  local _, states = tried:gsub("\n", "")
  t:assert_eq(states + 1, 7)
  -- Plugging in reads the first sector: what differs there comes in another disk.
  t:assert_eq(disks, 3)
end)

test("what has a state open in the guest does not see the next one", { timeout = "3m" }, function(t)
  local vm = provium:vm("open", "peios"):boot()
  local log = write_log({ { 16, "a" }, { 40, "b" } })
  -- It keeps what it has read in the guest's memory.
  local look = [[ (exec 0< $1 > /dev/null 2>&1; head -c 512; exec sleep 1000) & cat $1 | tr '\0' - | tr -s a-z- ]]
  local tried, plugged, disks = both_ways(vm, log, image.new(64), function(guest, device)
    local found = guest:run("sh", { "-c", look, "sh", device })
    return found:assert_ok().stdout
  end)
  t:assert_eq(tried, plugged)
  t:assert_eq(disks, 4)
end)
