-- What docs/lua-reference.md says of numbers, defaults and limits, where no other test proves it. No guest.
local image = require("image")
local promised = require("promised")

local function raised(fn)
  local ok, err = pcall(fn)
  assert(not ok, "expected to raise")
  return (err:gsub("^[^:]+:%d+: ", ""))
end

test("a promise is quoted as it stands, but for the ends of lines", function(t)
  promised("beside Lua 5.4 and its\nfull   standard library")
  local err = t:assert_raises(function() promised("for 61 seconds") end)
  t:assert_contains(err, "reference.test.lua:13: docs/lua-reference.md does not say any more: for 61 seconds")
end)

test("a duration has each of the units", function(t)
  promised([[seconds as a number, or `"200us"`, `"50ms"`, `"1.5s"`, `"2m"`, `"1h"`]])
  local function at_once() return true end
  for _, duration in ipairs({ 1, 0.5, "200us", "50ms", "1.5s", "2m", "1h" }) do
    t:assert(wait_until(at_once, { timeout = duration, interval = duration }))
  end
  local took = image.time(function()
    t:assert_contains(raised(function() wait_until(print, { timeout = "200us" }) end), "not met within 0.0002s")
  end)
  t:assert(took < 1, took)
end)

test("an ID has up to 63 letters, digits, dots, underscores and dashes, and is not ctl", function(t)
  promised("a letter, then up to 62 letters, digits, `.`, `_` or `-`; not `ctl`")
  local vm = provium:vm("v", "peios")
  for _, id in ipairs({ "a", "a.B_c-9", ("x"):rep(63) }) do
    t:assert_eq(vm:attach_disk({ id = id }):id(), id)
  end
  for _, id in ipairs({ "", "9", "a/b", "ctl", ("x"):rep(64) }) do
    t:assert_contains(raised(function() vm:attach_disk({ id = id }) end), "vm:attach_disk: bad disk ID `" .. id .. "`")
  end
end)

test("wait_fired waits for one time unless told otherwise, and knows a rule by tag and by text", function(t)
  promised("`disk:wait_fired(name, times=1, timeout=10)`")
  promised("waits until the rule with this tag, or this text in whatever spelling, has fired so often")
  local path = image.new(8)
  local disk = provium:vm("v", "peios"):attach_disk({ image = path })
  disk:fault_inject("delay op=read by=1ms tag=mine")
  t:assert_raises(function() disk:wait_fired("mine", 1, 0) end)
  disk:read_sectors(0, 1)
  disk:wait_fired("mine")
  disk:wait_fired("delay  tag=mine by=1000us op=read")
  t:assert_contains(raised(function() disk:wait_fired("mine", 2, "20ms") end), "disk:wait_fired: ")
  t:assert_contains(raised(function() disk:wait_fired("yours") end), "disk:wait_fired: ")
  os.remove(path)
end)

test("a hang is let go well, or with the error that release names", function(t)
  promised([[`disk:release(tag="all", errno?)` | lets go what a `hang` holds, well or with an error]])
  local path = image.new(8)
  local disk = provium:vm("v", "peios"):attach_disk({ image = path })
  for errno, expected in pairs({ [""] = "0", ENOSPC = "1" }) do
    disk:fault_inject("hang op=read max=20s", { tag = "stuck" })
    local dd = io.popen(("dd if=%s of=/dev/null bs=512 count=1 iflag=direct 2>/dev/null; echo $?"):format(disk:path()))
    wait_until(function() return (disk:inflight()[1] or {}).rule end, { interval = "2ms" })
    if errno == "" then disk:release() else disk:release("stuck", errno) end
    t:assert_eq(dd:read("l"), expected)
    dd:close()
    disk:clear_faults()
  end
  os.remove(path)
end)

test("a `slow` read waits 50 ms before it fails, and what is armed meanwhile takes effect", function(t)
  promised("with `slow` and `eio_read`, a read waits and then fails")
  promised("reads and writes wait 50 ms first")
  promised("as `eio_read after=25ms`; it is another fault than a plain `eio_read`")
  local path = image.new(8)
  local disk = provium:vm("v", "peios"):attach_disk({ image = path })
  disk:fault_inject("slow")
  disk:fault_inject("eio_read", { after = "25ms" })
  t:assert_eq(table.concat(disk:active_faults(), "|"), "slow|eio_read after=25ms")
  local took = image.time(function()
    t:assert_eq(raised(function() disk:read_sectors(0, 1) end), "disk:read_sectors: EIO (fault_inject)")
  end)
  t:assert(took >= 0.05, took)
  disk:fault_inject("eio_read")
  t:assert_eq(#disk:active_faults(), 3)
  os.remove(path)
end)

test("fail_reads and fail_writes are false where not set, the other parts of a policy nil", function(t)
  promised("`fail_reads` and `fail_writes` are true or false; `fail_after`, `fail_range_sector`, `fail_range_count` and `delay_ms` are numbers, nil where not set")
  local disk = provium:vm("v", "peios"):attach_disk()
  t:assert_eq(json.encode(disk:fault_policy()), '{"fail_reads":false,"fail_writes":false}')
end)

test("JSON goes there and back as the table says", function(t)
  promised("A sequence is an array, any other table an object, `{}` too")
  promised("`null` is nil: a key that is not there, or a hole in an array, which is encoded as `null` again unless it is at the end")
  promised("with its place, as `at .disks[2].id`")
  t:assert_eq(json.encode({ {}, { 1 }, { a = 1 } }), '[{},[1],{"a":1}]')
  t:assert_eq(json.encode(json.decode("[null,1,null]")), "[null,1]")
  local err = raised(function() json.encode({ disks = { { id = 1 }, { id = print } } }) end)
  t:assert_contains(err, "at .disks[2].id")
  t:assert_contains(raised(function() json.decode('{\n"a": ?}') end), "line 2 column 6")
end)
