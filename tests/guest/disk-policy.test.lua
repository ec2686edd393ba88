-- The policy calls of a disk: they apply to the guest's requests, not to the test's own sector calls. Where any other
-- client suffices, dd on the host is the client.
local image = require("image")
local page_says = require("page_says")
local guest = provium:vm("g", "peios"):boot({ disks = { { scratch = "16M", id = "data" } } })

local function raised(fn)
  local ok, err = pcall(fn)
  assert(not ok, "expected to raise")
  return (err:gsub("^[^:]+:%d+: ", ""))
end

local function disk_of(name)
  local path = image.new(2048)
  return provium:vm(name, "peios"):attach_disk({ id = "vda", image = path }), path
end

-- Whether dd on the host reads, or writes, these sectors.
local function reads(disk, sector)
  return os.execute(("dd if=%s of=/dev/null bs=512 skip=%d count=1 iflag=direct 2>/dev/null"):format(disk:path(), sector)) == true
end
local function writes(disk, sector, more)
  local dd = "dd if=/dev/zero of=%s bs=512 seek=%d count=1 oflag=direct conv=notrunc%s 2>/dev/null"
  return os.execute(dd:format(disk:path(), sector, more or "")) == true
end

-- The policy as one line.
local function policy(disk)
  local p, words = disk:fault_policy(), {}
  for _, key in ipairs({ "fail_reads", "fail_writes", "fail_after", "fail_range_sector", "fail_range_count", "delay_ms" }) do
    table.insert(words, tostring(p[key]))
  end
  return table.concat(words, " ")
end

test("fail_reads and fail_writes concern other clients, not the sector calls of the test", function(t)
  local disk, path = disk_of("own")
  disk:fail_reads()
  t:assert_eq(reads(disk, 0), false)
  t:assert_eq(writes(disk, 0), true)
  t:assert_eq(#disk:read_sectors(0, 1), 512)
  disk:fail_writes()
  t:assert_eq(reads(disk, 0), false)
  t:assert_eq(writes(disk, 0), false)
  disk:write_sectors(0, "mine")
  t:assert_eq(disk:read_sectors(0, 1):sub(1, 4), "mine")
  t:assert_eq(policy(disk), "true true nil nil nil nil")
  os.remove(path)
end)

test("a fault concerns the sector calls of the test too", function(t)
  local disk, path = disk_of("own")
  disk:fault_inject("eio_read")
  t:assert_eq(raised(function() disk:read_sectors(0, 1) end), "disk:read_sectors: EIO (fault_inject)")
  t:assert_eq(reads(disk, 0), false)
  os.remove(path)
end)

test("clear_faults and clear_policy each clear their own kind", function(t)
  local disk, path = disk_of("own")
  disk:fault_inject("eio_write")
  disk:fail_reads()
  disk:delay(7)
  t:assert_eq(table.concat(disk:active_faults(), ","), "eio_write")
  disk:clear_faults()
  t:assert_eq(#disk:active_faults(), 0)
  t:assert_eq(policy(disk), "true false nil nil nil 7")
  disk:fault_inject("eio_write")
  disk:clear_policy()
  t:assert_eq(policy(disk), "false false nil nil nil nil")
  t:assert_eq(table.concat(disk:active_faults(), ","), "eio_write")
  t:assert_eq(reads(disk, 0), true)
  t:assert_eq(writes(disk, 0), false)
  os.remove(path)
end)

test("fail_after(n) fails the nth request and all later ones, and counts flushes", function(t)
  page_says([[the nth request and all later ones fail with EIO. Every request counts, flushes too]])
  local disk, path = disk_of("own")
  disk:fail_after(4)
  for _ = 1, 5 do disk:read_sectors(0, 1) end
  local seen = {}
  table.insert(seen, reads(disk, 0)) -- 1
  table.insert(seen, writes(disk, 0, ",fsync")) -- 2 and 3
  table.insert(seen, reads(disk, 0)) -- 4
  table.insert(seen, writes(disk, 0))
  disk:fail_after(2)
  table.insert(seen, writes(disk, 0, ",fsync")) -- 1, and the flush fails
  t:assert_eq(json.encode(seen), "[true,true,false,false,false]")
  disk:fail_after(1)
  t:assert_eq(reads(disk, 0), false)
  os.remove(path)
end)

test("any verb begins the count of fail_after anew", function(t)
  local disk, path = disk_of("own")
  for _, verb in ipairs({ "fail_after", "fail_writes", "fail_range", "delay" }) do
    disk:clear_policy()
    disk:fail_after(2)
    t:assert_eq(reads(disk, 0), true)
    disk[verb](disk, table.unpack(({ fail_after = { 2 }, fail_range = { 2000, 1 }, delay = { 0 } })[verb] or {}))
    t:assert_eq(reads(disk, 0), true, verb)
    t:assert_eq(reads(disk, 0), false, verb)
  end
  os.remove(path)
end)

test("fail_after counts what other verbs fail", function(t)
  local disk, path = disk_of("own")
  disk:fail_after(2)
  disk:fail_reads()
  t:assert_eq(reads(disk, 0), false)
  t:assert_eq(writes(disk, 0), false)
  os.remove(path)
end)

test("the last fail_range and the last delay count", function(t)
  local disk, path = disk_of("own")
  disk:fail_range(8, 2)
  t:assert_eq(json.encode({ reads(disk, 7), reads(disk, 8), writes(disk, 9), reads(disk, 10) }), "[true,false,false,true]")
  disk:fail_range(100, 1)
  t:assert_eq(json.encode({ reads(disk, 8), reads(disk, 100) }), "[true,false]")
  disk:delay(60000)
  disk:delay(60)
  t:assert_eq(policy(disk), "false false nil 100 1 60")
  local took = image.time(function() reads(disk, 0) end)
  t:assert(took >= 0.06 and took < 30, took)
  local own = image.quickest(0.06, function() disk:read_sectors(0, 1) end)
  t:assert(own < 0.06, own)
  os.remove(path)
end)

test("delay concerns flushes too", function(t)
  page_says([[every request waits this number of milliseconds first, flushes too]])
  local disk, path = disk_of("own")
  disk:delay(150)
  local took = image.time(function() writes(disk, 0, ",fsync") end)
  t:assert(took >= 0.3, took)
  t:assert_eq(disk:stats().flush_delayed, 1)
  os.remove(path)
end)

test("a number of requests or of sectors is at least 1", function(t)
  local disk, path = disk_of("own")
  t:assert_contains(raised(function() disk:fail_after(0) end), "disk:fail_after: n is 0, and has to be at least 1")
  t:assert_contains(raised(function() disk:fail_range(8, 0) end), "disk:fail_range: count is 0, and has to be at least 1")
  t:assert_eq(raised(function() disk:delay(1 << 40) end), "disk:delay: ms is 1099511627776: a request waits a day at most")
  t:assert_contains(raised(function() disk:fail_after(-1) end), "expected integer, 0 or more, got -1")
  t:assert_eq(policy(disk), "false false nil nil nil nil")
  os.remove(path)
end)

test("a policy is with the disk, and shows as rules", function(t)
  page_says([[A policy consists of rules with `client=guest`]])
  local disk, path = disk_of("own")
  disk:fail_after(3)
  t:assert_eq(policy(provium:vm("own"):disk("vda")), "false false 3 nil nil nil")
  t:assert_eq(disk:rules()[1].rule, "error op=all errno=EIO client=guest skip=2")
  disk:fault_inject("eio_write", { client = "guest" })
  t:assert_eq(policy(disk), "false true 3 nil nil nil")
  local record = provium:vm("record", "peios"):attach_disk()
  record:fail_range(1, 2)
  t:assert_eq(policy(record), "false false nil 1 2 nil")
  record:clear_policy()
  t:assert_eq(policy(record), "false false nil nil nil nil")
  os.remove(path)
end)

-- In a guest.
local data = "/dev/disk/by-id/virtio-data"
local disk = guest:disk("data")
local function dd(options)
  return guest:run("dd if=" .. data .. " of=/dev/null iflag=direct " .. options):ok()
end

test("the guest meets what the test passes by", function(t)
  disk:fail_reads()
  t:assert_eq(dd("bs=512 count=1"), false)
  t:assert_eq(#disk:read_sectors(0, 1), 512)
  disk:clear_policy()
  t:assert_eq(dd("bs=512 count=1"), true)
end)

test("the test meets what the guest passes by", function(t)
  page_says([[With `client=host` a rule is for the test's own sector calls]])
  disk:fault_inject("eio_read", { client = "host" })
  t:assert_eq(dd("bs=512 count=1"), true)
  t:assert_contains(raised(function() disk:read_sectors(0, 1) end), "EIO (fault_inject)")
  disk:clear_policy()
  t:assert_eq(table.concat(disk:active_faults(), ","), "eio_read client=host")
  disk:clear_faults()
  t:assert_eq(#disk:read_sectors(0, 1), 512)
end)

test("a read of 1 MiB of the guest is one request", function(t)
  page_says([[Requests are counted as they arrive at the disk, with 1 MiB at most]])
  disk:fail_after(3)
  t:assert_eq(dd("bs=1M count=2"), true)
  t:assert_eq(dd("bs=1M count=1"), false)
  disk:clear_policy()
end)

test("the guest waits as long as the delay says", function(t)
  disk:delay(300)
  local took = image.time(function() dd("bs=512 count=1") end)
  disk:clear_policy()
  t:assert(took >= 0.3, took)
end)
