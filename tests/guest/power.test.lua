-- Volatile write caches and power cuts, in a guest.
local page_says = require("page_says")
local temporary = require("temporary")

local ROUNDS = math.tointeger(tonumber(os.getenv("PROVIUM_POWER_CUTS") or "")) or 4

provium.timeout = "3m" -- most tests boot several times

local vm = provium:vm("g", "peios"):boot({
  disks = {
    { id = "data", scratch = "64M", cache = "volatile" },
    { id = "other", scratch = "8M", mediated = true },
    { id = "plain", scratch = "8M" },
  },
})
local disk, other, plain = vm:disk("data"), vm:disk("other"), vm:disk("plain")
local LINK = "/dev/disk/by-id/virtio-"

local function raised(fn)
  local ok, err = pcall(fn)
  assert(not ok, "it should raise")
  return (err:gsub("^[^:]+:%d+: ", ""))
end

-- The command by which the guest writes a sector of a letter, past its page cache: without a flush, or with one.
local function writing(id, sector, letter, flush)
  return ("yes %s | tr -d '\\n' | dd of=%s%s bs=512 count=1 seek=%d iflag=fullblock oflag=direct conv=notrunc%s"):format(
    letter, LINK, id, sector, flush and ",fsync" or "")
end

local function write(...)
  vm:run(writing(...)):assert_ok()
end

-- The first letters of sectors of a disk, as its guest has left them.
local function letters(from, ...)
  local found = {}
  for place, sector in ipairs({ ... }) do
    local letter = from:read_sectors(sector, 1):sub(1, 1)
    found[place] = letter == "\0" and "-" or letter
  end
  return table.concat(found)
end

-- A running guest, whose disks have nothing pending, and hold zeros where tests write.
local function fresh()
  if vm:state() ~= "booted" then vm:boot() end
  for _, each in ipairs({ disk, other, plain }) do
    each:clear_faults()
    each:write_sectors(0, ("\0"):rep(64 * 512))
    vm:run("sync; blockdev --flushbufs " .. LINK .. each:id()):assert_ok()
  end
  for _, each in ipairs({ disk, other }) do
    each:cache("off")
    each:cache("volatile")
  end
end

test("the cache of a disk is chosen, read and switched", function(t)
  page_says([[`"off"` takes it away once everything in it is durable]])
  fresh()
  t:assert_eq(disk:cache() .. " " .. other:cache() .. " " .. plain:cache(), "volatile volatile off")
  write("data", 8, "a")
  t:assert_eq(disk:unflushed_sectors(), 1)
  disk:cache("off")
  t:assert_eq(disk:cache() .. " " .. #disk:pending(), "off 0")
  disk:cache("volatile")
  t:assert_contains(raised(function() disk:cache("on") end), "disk:cache: ")
  t:assert_contains(raised(function() disk:cache("on") end), "`off` or `volatile`")
  local record = vm:attach_disk({ id = "record", mediated = true })
  t:assert_contains(raised(function() record:cache() end), "disk:cache: no backing image")
  record:detach()
  t:assert_eq(raised(function() record:pending() end), "disk:pending: disk is detached")
end)

test("what is pending is listed, and a flush makes it durable", function(t)
  page_says([[the number of sectors that are pending, each counted once]])
  page_says([[the number of flushes that were answered since the disk was attached]])
  fresh()
  local flushes = disk:flushes()
  write("data", 8, "a")
  write("data", 16, "b")
  write("data", 8, "c")
  local pending = disk:pending()
  local listed = {}
  for place, request in ipairs(pending) do
    listed[place] = ("%s %d %d"):format(request.op, request.sector, request.count)
    t:assert(request.age >= 0 and request.age < 60, request.age)
  end
  t:assert_eq(table.concat(listed, ", "), "write 8 1, write 16 1, write 8 1")
  t:assert(pending[1].number < pending[2].number)
  t:assert_eq(disk:unflushed_sectors(), 2)
  t:assert_eq(disk:flushes(), flushes)
  write("data", 24, "d", true)
  t:assert_eq(#disk:pending(), 0)
  t:assert_eq(disk:unflushed_sectors(), 0)
  t:assert_eq(disk:flushes(), flushes + 1)
end)

test("a power cut keeps what was flushed, and loses what was not", function(t)
  page_says([[`vm:boot()` switches the power on]])
  fresh()
  write("data", 8, "a", true)
  write("data", 16, "b")
  local reports = vm:power_cut()
  t:assert_eq(("%d %d"):format(reports.data.kept, reports.data.lost), "0 1")
  t:assert_eq(math.type(reports.data.seed), "integer")
  t:assert_eq(("%d %d"):format(reports.plain.kept, reports.plain.lost), "0 0")
  t:assert_eq(vm:state(), "shutdown")
  local after = raised(function() vm:run("true") end)
  t:assert_eq(after, "vm:run: vm `g` is shutdown: the call expects one that is booted (not booted: its power was cut)")
  t:assert_contains(raised(function() vm:power_cut() end), "vm:power_cut: vm `g` is shutdown: the call expects one that is booted or paused")
  vm:boot()
  t:assert_eq(letters(disk, 8, 16), "a-")
end)

test("a power cut keeps what it is told to", function(t)
  page_says([[a list of the numbers of the requests that survive]])
  local function cut(options)
    fresh()
    for place, letter in ipairs({ "a", "b", "c" }) do write("data", 8 * place, letter) end
    if options.keep == 2 then
      local pending = disk:pending()
      options.keep = { pending[1].number, pending[3].number }
    end
    local report = vm:power_cut(options).data
    vm:boot()
    return ("%s %d %d"):format(letters(disk, 8, 16, 24), report.kept, report.lost), report.seed
  end
  t:assert_eq(cut({ keep = "all" }), "abc 3 0")
  t:assert_eq(cut({ keep = "first=2" }), "ab- 2 1")
  t:assert_eq(cut({ keep = 2 }), "a-c 2 1")
  t:assert_eq(cut({ keep = "random", p = 1 }), "abc 3 0")
  local random, seed = cut({ keep = "random", seed = 7 })
  t:assert_eq(seed, 7)
  t:assert_eq((cut({ keep = "random", seed = 7 })), random)
end)

test("a power cut with wrong options changes nothing", function(t)
  fresh()
  write("data", 8, "a")
  local function message(options) return raised(function() vm:power_cut(options) end) end
  t:assert_contains(message({ kepe = "all" }), "vm:power_cut: unknown option `kepe` (known: keep, p, seed, tear, garbage, disks)")
  t:assert_contains(message({ keep = "some" }), "`keep=some` expects none, all, first=N, only=N,N,... or random")
  t:assert_contains(message({ keep = true }), "`keep` expects a text such as \"all\"")
  t:assert_contains(message({ keep = { 123456789 } }), "123456789")
  t:assert_contains(message({ p = 0.5 }), "`p` belongs to keep=random")
  t:assert_contains(message({ tear = 0 }), "a number of sectors from 1")
  t:assert_contains(message({ disks = "data" }), "`disks` expects a list of disks or their IDs")
  t:assert_contains(message({ disks = { "none" } }), "no disk `none` attached to vm `g`")
  local stranger = provium:vm("stranger", "peios"):attach_disk({ id = "data" })
  t:assert_contains(message({ disks = { stranger } }), "no disk `data` attached to vm `g`")
  t:assert_contains(raised(function() disk:power_cut({ disks = {} }) end), "unknown option `disks`")
  t:assert_eq(vm:state() .. " " .. #disk:pending(), "booted 1")
end)

test("a power cut of some disks leaves what is pending in the others", function(t)
  page_says([[the other disks keep what is pending]])
  fresh()
  write("data", 8, "a")
  write("other", 8, "b")
  local reports = vm:power_cut({ disks = { disk, "data" } })
  t:assert_eq(reports.data.lost, 1)
  t:assert_eq(reports.other, nil)
  vm:boot()
  t:assert_eq(letters(disk, 8) .. letters(other, 8), "-b")
end)

test("a paused guest loses power too, with nothing pending", function(t)
  page_says([[QEMU flushes the disks when it pauses, so nothing is pending then]])
  fresh()
  write("data", 8, "a")
  vm:pause()
  t:assert_eq(#disk:pending(), 0)
  t:assert_eq(vm:power_cut().data.lost, 0)
  t:assert_eq(vm:state(), "shutdown")
  local bare = provium:vm("bare", "peios"):boot()
  t:assert_eq(next(bare:power_cut()), nil, "it has no disks")
  t:assert_eq(bare:state(), "shutdown")
end)

test("a disk alone loses power while its guest runs", function(t)
  page_says([[cuts the power of this disk alone, and returns it at once. A guest runs on]])
  fresh()
  write("data", 8, "a", true)
  write("data", 8, "b")
  write("data", 16, "c")
  write("other", 8, "d")
  local report = disk:power_cut({ keep = "first=1" })
  t:assert_eq(("%d %d"):format(report.kept, report.lost), "1 1")
  local read = "dd if=" .. LINK .. "data bs=512 count=1 skip=%d iflag=direct status=none | head -c 1 | tr '\\0' -"
  t:assert_eq(vm:run(read:format(8)).stdout, "b")
  t:assert_eq(vm:run(read:format(16)).stdout, "-")
  t:assert_eq(other:unflushed_sectors(), 1)
  t:assert_eq(vm:state(), "booted")
end)

test("all disks lose power at one instant", { timeout = 120 + 20 * ROUNDS }, function(t)
  page_says([[`vm:power_cut(options?)` cuts the power of all disks at one instant]])
  -- The guest writes a number to one disk, then to the other: they differ by one at most. Errors do not stop it.
  local writer = ([[n=1; while :; do for id in data other; do
    printf %%08d $n | dd of=%s$id bs=512 count=1 oflag=direct conv=sync,notrunc status=none 2> /dev/null
  done; echo $n > /run/number; n=$((n + 1)); done]]):format(LINK)
  local function ahead(cut)
    fresh()
    vm:run_async(writer)
    wait_until(function() return (tonumber(vm:run("cat /run/number").stdout) or 0) >= 10 end)
    cut()
    vm:boot()
    return tonumber(disk:read_sectors(0, 1):sub(1, 8)) - tonumber(other:read_sectors(0, 1):sub(1, 8))
  end
  for _ = 1, ROUNDS do
    local difference = ahead(function() vm:power_cut({ keep = "all" }) end)
    t:assert(difference == 0 or difference == 1, difference)
  end
  local one_by_one = ahead(function()
    local control = disk:path():gsub("/data$", "/ctl/data/power")
    assert(os.execute("echo cut keep=all > " .. control))
    local number = tonumber(vm:run("cat /run/number").stdout)
    wait_until(function() return tonumber(vm:run("cat /run/number").stdout) > number + 3 end)
    vm:power_cut({ keep = "all" })
  end)
  t:assert(one_by_one < 0, one_by_one)
end)

test("a rule cuts the power in the middle of a command", function(t)
  page_says([[A rule `cut` in a disk of a running VM ends its QEMU in the same way, at once]])
  page_says([[`the power was cut by RULE`]])
  fresh()
  disk:fault_inject("cut op=flush skip=1 times=1")
  local records = {}
  for place, letter in ipairs({ "a", "b", "c" }) do records[place] = writing("data", 8 * place, letter, true) end
  local command = table.concat(records, "; ") .. "; sleep 60"
  local message = raised(function() vm:run(command) end)
  t:assert_contains(message, "vm:run: the power was cut by cut op=flush")
  t:assert_eq(vm:state(), "shutdown")
  t:assert_contains(raised(function() vm:run("true") end), "(not booted: its power was cut by cut op=flush")
  local report = vm:wait_power_cut("1ms").data
  t:assert_eq(("%d %d"):format(report.kept, report.lost), "0 1", "the same table, until the next boot")
  vm:boot()
  t:assert_eq(letters(disk, 8, 16, 24), "a--", "the second flush was not done")
end)

test("a rule that cuts the power is noticed whatever the test does", function(t)
  local arm = { action = "cut", op = "write", times = 1 }
  local trigger = "sleep 0.2; " .. writing("data", 8, "a")
  local function noticed(fn)
    fresh()
    disk:fault_inject(arm)
    local process = vm:run_async(trigger)
    local _, message = pcall(fn, process)
    t:assert_eq(vm:state(), "shutdown")
    return tostring(message)
  end
  local cut = "the power was cut by cut op=write"
  t:assert_contains(noticed(function(process) process:wait() end), "process:wait: " .. cut)
  t:assert_contains(noticed(function() vm:console():expect("no such text") end), cut)
  t:assert_eq(noticed(function() return vm:wait_power_cut().data.lost end), "0", "the write was not answered")
  -- Nothing is raised where no call needs the guest.
  t:assert_eq(noticed(function()
    wait_until(function() return vm:state() == "shutdown" end)
    return vm:state()
  end), "shutdown")
  t:assert_eq(noticed(function()
    -- The test itself is busy.
    local power = disk:path():gsub("/data$", "/ctl/data/power")
    os.execute("until grep -q ^off " .. power .. "; do sleep 0.1; done; sleep 0.5")
    return "slept"
  end), "slept")
end)

test("a rule that cuts the power in a boot leaves the disks attached", function(t)
  fresh()
  vm:shutdown()
  disk:fault_inject("cut op=read client=guest times=1")
  local message = raised(function() vm:boot({ disks = { { id = "late", scratch = "1M" } } }) end)
  t:assert_contains(message, "vm:boot: the power was cut by cut op=read")
  t:assert_eq(vm:state(), "shutdown")
  t:assert_eq(vm:disk("late"):size(), 1 << 20)
  vm:boot()
  vm:run("test -b " .. LINK .. "late"):assert_ok()
  vm:disk("late"):detach()
end)

test("waiting for a power cut ends", function(t)
  page_says([[Error: `no rule has cut the power within 10s`]])
  fresh()
  t:assert_eq(raised(function() vm:wait_power_cut("50ms") end), "vm:wait_power_cut: no rule has cut the power within 50ms")
  t:assert_eq(vm:state(), "booted")
  vm:shutdown()
  t:assert_contains(raised(function() vm:wait_power_cut() end), "vm `g` is shutdown: the call expects one that is booted or paused")
end)

test("disks of each kind are there again after a power cut", function(t)
  page_says([[hot-plugged ones too. Scratch disks and disks of templates keep what has survived]])
  local template, image = temporary(), temporary()
  os.execute(("truncate -s 1M %s %s && printf template | dd of=%s conv=notrunc status=none"):format(template, image, template))
  local own = provium:vm("own", "peios")
  local disks = { { id = "scratch", scratch = "1M" }, { id = "copy", template = template } }
  own:boot({ disks = disks })
  local plugged = own:attach_disk({ id = "plugged", image = image, cache = "volatile" })
  for _, id in ipairs({ "scratch", "copy", "plugged" }) do
    own:run(("printf %s | dd of=%s%s seek=8 conv=notrunc,fsync status=none"):format(id, LINK, id)):assert_ok()
  end
  local reports = own:power_cut()
  t:assert_eq(reports.plugged.lost + reports.copy.lost + reports.scratch.lost, 0)
  own:boot({ disks = disks })
  for _, id in ipairs({ "scratch", "copy", "plugged" }) do
    t:assert_eq(own:disk(id):read_sectors(8, 1):sub(1, #id), id)
    own:run("test -b " .. LINK .. id):assert_ok()
  end
  t:assert_eq(own:disk("copy"):read_sectors(0, 1):sub(1, 8), "template")
  t:assert(not plugged:is_detached())
  own:close()
  os.remove(template)
  os.remove(image)
end)

test("an image is free for others after a power cut, and holds what has survived", function(t)
  page_says([[The images of the disks are free for others, except those of disks with something pending]])
  local path = temporary()
  os.execute("truncate -s 1M " .. path)
  local own = provium:vm("own", "peios"):boot({ disks = { { id = "vda", path = path, cache = "volatile" } } })
  own:run("printf kept | dd of=/dev/vda conv=notrunc,fsync status=none"):assert_ok()
  own:run("printf lost | dd of=/dev/vda seek=8 oflag=direct conv=notrunc,sync status=none"):assert_ok()
  own:power_cut()
  local there = provium:vm("there", "peios"):attach_disk({ id = "vda", image = path })
  t:assert_eq(there:read_sectors(0, 1):sub(1, 4), "kept")
  t:assert_eq(there:read_sectors(8, 1), ("\0"):rep(512))
  t:assert_contains(raised(function() own:boot() end), "is in use")
  os.remove(path)
end)

test("an image that lacks what is pending is not free for others", function(t)
  page_says([[An image that lacks something pending stays locked, and the log says so]])
  local path = temporary()
  os.execute("truncate -s 1M " .. path)
  local own = provium:vm("own", "peios"):boot({ disks = { { id = "vda", path = path, cache = "volatile" } } })
  own:disk("vda"):write_sectors(8, "pending")
  own:power_cut({ disks = {} })
  local function attach(name) return provium:vm(name, "peios"):attach_disk({ id = "vda", image = path }) end
  t:assert_contains(raised(function() attach("early") end), path)
  own:disk("vda"):cache("off")
  own:shutdown()
  t:assert_eq(attach("late"):read_sectors(8, 1):sub(1, 7), "pending")
  os.remove(path)
end)

test("marks are set, on one disk or on all", function(t)
  local file = temporary()
  local traces = { [disk] = disk:path():gsub("/data$", "/ctl/data/trace"), [other] = other:path():gsub("/other$", "/ctl/other/trace") }
  local function first_line(path, set)
    os.remove(file)
    os.execute(("timeout 20 cat %s | head -n 1 > %s &"):format(path, file))
    return wait_until(function()
      set()
      local found <close> = io.open(file)
      return found and found:read("l")
    end)
  end
  fresh()
  t:assert_contains(first_line(traces[disk], function() disk:mark("one disk") end), "one disk")
  t:assert_contains(first_line(traces[other], function() vm:mark("all disks") end), "all disks")
  t:assert_contains(raised(function() disk:mark("") end), "disk:mark: ")
  t:assert_contains(raised(function() vm:mark(("x"):rep(401)) end), "vm:mark: ")
  os.remove(file)
end)

-- An ext4 whose records are acknowledged on the console after an fsync.
local function acknowledge(from)
  vm:run("mkdir -p /m && mount " .. LINK .. "data /m"):assert_ok()
  local count = math.tointeger(tonumber(vm:run("wc -l < /m/log").stdout) or 0)
  vm:run_async(([[n=%d; while echo record $n >> /m/log && sync /m/log; do
    echo "acknowledged $n." > /dev/ttyS0; n=$((n + 1))
  done]]):format(count))
  wait_until(function()
    local text = vm:console():read_log()
    return text:find(("acknowledged %d."):format(count + from), 1, true)
  end, { timeout = "60s", desc = "acknowledged records" })
end

-- The first record that was acknowledged and is missing; nil when all are there.
local function missing()
  local last
  for number in vm:console():read_log():gmatch("acknowledged (%d+)%.") do last = tonumber(number) end
  vm:run("mkdir -p /m && mount " .. LINK .. "data /m"):assert_ok()
  local log = vm:run("cat /m/log").stdout
  local at = 0
  for record in log:gmatch("record (%d+)\n") do
    if tonumber(record) ~= at then return at end
    at = at + 1
  end
  vm:run("umount /m"):assert_ok()
  return at <= last and at or nil
end

test("records that ext4 has acknowledged survive power cuts in a row", { timeout = 120 + 30 * ROUNDS }, function(t)
  fresh()
  vm:run("mkfs.ext4 -q -F " .. LINK .. "data"):assert_ok()
  local cuts = { {}, { keep = "all" }, { keep = "random", tear = 1 }, { keep = "first=1" } }
  for round = 1, ROUNDS do
    acknowledge(round % 5)
    vm:power_cut(cuts[round % #cuts + 1])
    vm:boot()
    t:assert_eq(missing(), nil, "round " .. round)
    vm:run("e2fsck -fn " .. LINK .. "data"):assert_ok()
  end
end)

test("a disk that loses flushes loses records that were acknowledged", function(t)
  fresh()
  vm:run("mkfs.ext4 -q -F " .. LINK .. "data && sync"):assert_ok()
  vm:run("mkdir -p /m && mount " .. LINK .. "data /m && : > /m/log && sync /m/log && umount /m"):assert_ok()
  disk:fault_inject("lose op=flush")
  acknowledge(5)
  vm:power_cut()
  vm:boot()
  disk:clear_faults()
  t:assert_neq(missing(), nil)
end)
