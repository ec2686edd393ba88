-- Disks on other buses than virtio-blk, in a guest that runs.
local image = require("image")

local HOT = { "virtio-blk", "virtio-scsi", "nvme" }

local function raised(t, fn)
  return (t:assert_raises(fn):gsub("^[^:]+:%d+: ", ""))
end

local function read(vm, device, sector)
  local dd = "dd if=%s of=/dev/null bs=4096 skip=%d count=1 iflag=direct"
  return vm:run(dd:format(device, (sector or 0) // 8))
end

test("disks on each bus that is plugged in are found by their serial numbers and have the sectors that they say", function(t)
  local vm = provium:vm("v", "peios")
  vm:boot()
  for _, bus in ipairs(HOT) do
    local disk = vm:attach_disk({ id = "d-" .. bus, scratch = "4M", bus = bus, logical_block_size = 4096 })
    t:assert_eq(vm:run("blockdev --getss --getpbsz --getsize64 " .. disk:device()).stdout, "4096\n4096\n4194304\n")
    disk:write_sectors(8, ("x"):rep(512))
    t:assert_eq(vm:run("dd if=" .. disk:device() .. " bs=4096 skip=1 count=1 iflag=direct | head -c 3").stdout, "xxx")
  end
  for _, bus in ipairs(HOT) do
    vm:disk("d-" .. bus):detach()
  end
  t:assert_eq(vm:run("ls /dev/disk/by-id").stdout, "")
end)

test("a disk boots on each bus with a serial number of its own, and a write cache as it says", function(t)
  local vm, disks = provium:vm("v", "peios"), {}
  for n, bus in ipairs(HOT) do
    disks[n] = { id = "b" .. n, scratch = "1M", bus = bus, serial = "s-" .. n, queues = 1 }
    disks[n].cache_type = bus ~= "nvme" and "write through" or nil
  end
  vm:boot({ disks = disks, cold = true })
  for n, bus in ipairs(HOT) do
    local device = vm:disk("b" .. n):device()
    t:assert_contains(device, "s-" .. n)
    local queue = "cat /sys/block/$(basename $(readlink -f " .. device .. "))/queue/write_cache"
    t:assert_eq(vm:run(queue).stdout, bus == "nvme" and "write back\n" or "write through\n")
  end
end)

test("a bus that cannot have a disk says so", function(t)
  local vm = provium:vm("v", "peios")
  local function message(disk)
    return raised(t, function() vm:attach_disk(disk) end)
  end
  t:assert_contains(message({ scratch = "1M", bus = "nvmee" }), "`bus` expects one of \"virtio-blk\", \"virtio-scsi\", \"nvme\"")
  t:assert_contains(message({ scratch = "1M", bus = "nvmee" }), "did you mean `nvme`?")
  t:assert_contains(message({ scratch = "1M", bus = "sata", queues = 2 }), "a disk on sata has one queue")
  t:assert_contains(message({ scratch = 512 * 5, logical_block_size = 4096 }), "has 2560 bytes, which is no whole number")
  vm:boot()
  t:assert_contains(message({ scratch = "1M", bus = "sata" }), "attach it before vm:boot, or take another `bus`")
  vm:attach_disk({ id = "still", scratch = "1M" })
end)

test("two paths to one image have the same content and faults of their own", function(t)
  local path = image.new(2048)
  local vm = provium:vm("v", "peios")
  vm:boot()
  local paths = {}
  for n = 1, 2 do
    paths[n] = vm:attach_disk({ id = "path" .. n, path = path, share = true, bus = "virtio-scsi", serial = "lun" })
  end
  local alone = "only one disk at a time may write an image"
  t:assert_contains(raised(t, function() vm:attach_disk({ id = "x", path = path }) end), alone)
  t:assert_contains(raised(t, function() vm:attach_disk({ id = "x", path = path, readonly = true }) end), alone)
  local other = provium:vm("other", "peios")
  other:attach_disk({ id = "x", path = path, share = true }):write_sectors(0, ("y"):rep(512))
  vm:run("printf abc | dd of=/dev/sda bs=512 seek=1 conv=sync oflag=direct"):assert_ok()
  t:assert_eq(vm:run("dd if=/dev/sdb bs=512 count=2 iflag=direct | tr -d '\\0' | tail -c 4").stdout, "yabc")
  paths[2]:fault_inject("eio_read")
  read(vm, "/dev/sda"):assert_ok()
  t:assert(not read(vm, "/dev/sdb"):ok(), "the second path reads")
  t:assert_eq(paths[1]:stats().read_errors_injected, 0)
  t:assert_contains(raised(t, function() vm:snapshot() end), "shares its image")
  local text = "`share` and `cache = \"volatile\"` exclude each other"
  t:assert_contains(raised(t, function() vm:attach_disk({ path = path, share = true, cache = "volatile" }) end), text)
end)

test("two paths of one nvme disk are one device, and it goes on when a path goes", { timeout = "3m" }, function(t)
  local path, another = image.new(2048), image.new(2048)
  local vm = provium:vm("v", "peios")
  local function add(id, file)
    return vm:attach_disk({ id = id, path = file or path, share = true, bus = "nvme", serial = "lun" })
  end
  local one = add("one")
  local rejected = "which Linux rejects (duplicate cntlid) unless it is a path of the same disk"
  t:assert_contains(raised(t, function() add("x", another) end), rejected)
  t:assert_contains(raised(t, function() vm:attach_disk({ id = "x", scratch = "1M", bus = "nvme", serial = "lun" }) end), rejected)
  local two, three = add("two"), add("three")
  vm:boot()
  t:assert_eq(vm:run("cat /sys/class/nvme/*/cntlid | sort | tr '\n' ' '").stdout, "0 1 2 ")
  t:assert_eq(vm:run("ls /dev | grep -c '^nvme[0-9]*n[0-9]*$'").stdout, "1\n")
  local function reads() return one:stats().read_requests, two:stats().read_requests, three:stats().read_requests end
  local device = one:device()
  -- With a turn for each path, all have requests, and the rule of one fails its own alone.
  vm:run("for policy in /sys/class/nvme-subsystem/*/iopolicy; do echo round-robin > $policy; done"):assert_ok()
  local before = { reads() }
  for _ = 1, 6 do read(vm, device):assert_ok() end
  for n, count in ipairs({ reads() }) do t:assert(count > before[n], "path " .. n) end
  one:fault_inject("eio_read")
  local failed = 0
  for _ = 1, 6 do failed = failed + (read(vm, device):ok() and 0 or 1) end
  t:assert(failed > 0 and failed < 6, failed)
  one:clear_faults()

  -- What is written on the paths that are left is in the image.
  local remove = "for c in /sys/class/nvme/*; do [ $(cat $c/cntlid) != 0 ] || echo 1 > $c/device/remove; done"
  vm:run(remove):assert_ok()
  local gone = reads()
  vm:run("printf abc | dd of=" .. device .. " bs=512 conv=sync oflag=direct"):assert_ok()
  for _ = 1, 3 do read(vm, device):assert_ok() end
  t:assert_eq((reads()), gone)
  t:assert_eq(image.read(path, 0, 1):sub(1, 3), "abc")

  t:assert_contains(raised(t, function() add("x") end), rejected)
  t:assert_contains(raised(t, function() vm:unplug("two") end), "is on nvme with further paths, which QEMU neither plugs in nor unplugs")
end)

test("a medium error on SCSI is one in the guest's log, and EIO on virtio-blk is not", function(t)
  local vm = provium:vm("v", "peios")
  vm:boot()
  local logs = {}
  for _, bus in ipairs({ "virtio-blk", "virtio-scsi", "nvme" }) do
    local disk = vm:attach_disk({ id = bus, scratch = "1M", bus = bus })
    disk:assert_visible()
    local seen = { ["virtio-blk"] = "EIO", ["virtio-scsi"] = "ENODATA", nvme = "ENODATA" }
    if seen[bus] == "EIO" then
      local err = raised(t, function() disk:assert_visible("ENODATA") end)
      t:assert_contains(err, "ENODATA arrives in the guest as EIO: virtio-blk has one error for all")
    else
      disk:assert_visible("ENODATA")
    end
    disk:fault_inject("error op=read errno=ENODATA at=64+8")
    read(vm, disk:device()):assert_ok()
    vm:run("dmesg -C")
    local failed = read(vm, disk:device(), 64)
    t:assert_eq(failed.exit_code, 1)
    t:assert_contains(failed.stderr, seen[bus] == "EIO" and "Input/output error" or "No data available")
    logs[bus] = vm:run("dmesg").stdout
  end
  t:assert_contains(logs["virtio-scsi"], "Sense Key : Medium Error")
  t:assert_contains(logs["virtio-scsi"], "Add. Sense: Unrecovered read error")
  t:assert_contains(logs.nvme, "critical medium error, dev nvme0n1, sector 64")
  t:assert_contains(logs["virtio-blk"], "I/O error, dev vda, sector 64")
  t:assert(not logs["virtio-blk"]:find("medium error", 1, true), logs["virtio-blk"])
end)

-- How many seconds a request hangs. 40 are the long form, with a time limit that makes Linux reset the controller meanwhile.
local HANG = math.tointeger(tonumber(os.getenv("PROVIUM_NVME_HANG") or "")) or 6

test("an NVMe disk that hangs is aborted, reset, and used again", { timeout = 300 }, function(t)
  local vm = provium:vm("v", "peios")
  vm:boot()
  local disk = vm:attach_disk({ id = "n", scratch = "1M", bus = "nvme" })
  local content = ("y"):rep(4096)
  disk:write_sectors(64, content)
  local queue = "/sys/block/" .. vm:run("basename $(readlink -f " .. disk:device() .. ")").stdout:gsub("%s", "") .. "/queue"
  vm:run(("echo %d > %s/io_timeout; dmesg -C"):format(HANG < 40 and 1000 or 15000, queue)):assert_ok()
  disk:fault_inject(("hang op=read at=64+8 times=1 then=ok max=%ds"):format(HANG))
  local dd = "dd if=" .. disk:device() .. " bs=4096 skip=8 count=1 iflag=direct"
  t:assert_eq(vm:run(dd, { timeout = HANG + 60 }):assert_ok().stdout, content)
  t:assert_eq(disk:rules()[1].fired, 1)
  local log, place = vm:run("dmesg").stdout, 1
  for _, line in ipairs({ "timeout, aborting", "Abort status: 0x0", "timeout, reset controller", "1/0/0 default/read/poll queues" }) do
    local at = log:find(line, place, true)
    t:assert(at, line .. " is missing, or comes too soon, in\n" .. log)
    place = at
  end
  t:assert_eq(vm:read_file("/sys/class/nvme/nvme0/state"), "live\n")
  vm:run(("yes | head -c 4096 | dd of=%s bs=4096 seek=16 oflag=direct iflag=fullblock"):format(disk:device())):assert_ok()
  t:assert_eq(disk:read_sectors(128, 8), ("y\n"):rep(2048))
end)

test("a request that fails pauses the guest, and is tried again when it goes on", function(t)
  local vm = provium:vm("v", "peios")
  vm:boot()
  local disk = vm:attach_disk({ id = "s", scratch = "1M", rerror = "stop", bus = "virtio-scsi" })
  t:assert_contains(raised(t, function() disk:assert_visible() end), "(rerror=stop): set rerror=report")
  t:assert_contains(raised(t, function() vm:wait_io_error(0.1) end), "no failed request has paused the guest within 100ms")
  disk:fault_inject("error op=read at=64+8 times=2")
  local reader = vm:run_async("dd if=" .. disk:device() .. " of=/dev/null bs=4096 skip=8 count=1 iflag=direct")
  for _ = 1, 2 do
    local err = vm:wait_io_error(60)
    t:assert_eq(table.concat({ err.disk, err.op, err.error, vm:state() }, " "), "s read EIO paused")
    vm:resume()
  end
  t:assert_eq(reader:wait(60).exit_code, 0)
  t:assert_eq(disk:rules()[1].fired, 2)
end)

test("a call that waits for a guest which QEMU has paused says so at once", { timeout = "2m" }, function(t)
  local vm = provium:vm("v", "peios")
  vm:boot()
  local disk = vm:attach_disk({ id = "s", scratch = "1M", rerror = "stop" })
  local why = ": QEMU has paused the guest, for a read of disk `s` has failed with EIO. `vm:wait_io_error()` returns that, "
    .. "and `vm:resume()` has QEMU try the request again"
  disk:fault_inject("error op=read at=64+8 times=1")
  local dd = "dd if=" .. disk:device() .. " of=/dev/null bs=4096 skip=8 count=1 iflag=direct"
  local began = os.time()
  local message = raised(t, function() vm:run(dd) end)
  t:assert_contains(message, "vm:run: the guest agent: does not answer" .. why)
  -- An agent that is silent for 20 s is given up in any case.
  t:assert(os.time() - began < 20)
  t:assert_eq(vm:wait_io_error().disk, "s")
  vm:resume()
  vm:run(dd):assert_ok()
  disk:fault_inject("error op=read at=64+8 times=1 tag=again")
  vm:console():write("echo before; sleep 2; " .. dd .. "; echo af''ter\n")
  message = raised(t, function() vm:console():expect("after", "60s") end)
  t:assert_contains(message, "console:expect: the console does not show `after`" .. why)
  vm:wait_io_error()
  vm:resume()
  vm:console():expect("after")
end)

test("a boot and a reset that QEMU pauses for a failed request say so at once", { timeout = "2m" }, function(t)
  local vm, began = provium:vm("boot", "peios"), os.time()
  local failing = { id = "s", scratch = "1M", rerror = "stop", faults = { { action = "error", op = "read" } } }
  local message = raised(t, function() vm:boot({ disks = { failing }, cold = true }) end)
  t:assert_contains(message, "the guest stands still in its boot: QEMU has paused it, for a read of disk `s` has failed with EIO.")
  t:assert(os.time() - began < 20)
  vm = provium:vm("reset", "peios")
  local disk = vm:attach_disk({ id = "d", scratch = "1M", rerror = "stop" })
  vm:boot()
  disk:fault_inject("error op=read")
  t:assert_contains(raised(t, function() vm:reset() end), "QEMU has paused the guest, for a read of disk `d` has failed with EIO")
  t:assert_eq(vm:wait_io_error().disk, "d")
end)

test("a disk that is plugged in is there for a guest which QEMU has paused for its first request", function(t)
  local vm = provium:vm("v", "peios")
  vm:boot()
  local disk = vm:attach_disk({ id = "s", scratch = "1M", rerror = "stop", faults = { { action = "error", op = "read" } } })
  t:assert_eq(vm:wait_io_error().disk, "s")
  disk:clear_faults()
  vm:resume()
  local device = disk:device()
  vm:run("until [ -e " .. device .. " ]; do sleep 0.05; done"):assert_ok()
  read(vm, device):assert_ok()
end)

test("a disk that is resized has another size in the guest and on the host", function(t)
  local vm = provium:vm("v", "peios")
  local path = image.new(2048)
  local record = vm:attach_disk({ id = "record" })
  record:resize("1M")
  t:assert_eq(record:size(), 1048576)
  vm:boot()
  for _, bus in ipairs({ "virtio-blk", "virtio-scsi" }) do
    local disk = vm:attach_disk({ id = bus, path = path, bus = bus })
    for _, size in ipairs({ 4194304, 1048576 }) do
      disk:resize(size)
      t:assert_eq(disk:size(), size)
      t:assert_eq(vm:run("blockdev --getsize64 " .. disk:device()).stdout, size .. "\n")
    end
    t:assert_contains(raised(t, function() disk:resize(1000) end), "a size is a multiple of 512 bytes, and not 1000")
    disk:detach()
  end
  local disk = vm:attach_disk({ id = "n", path = path, bus = "nvme" })
  t:assert_contains(raised(t, function() disk:resize("2M") end), "QEMU's nvme does not tell the guest of a new size")
  t:assert_eq(disk:size(), 1048576)
end)

test("a disk is pulled out of a guest that has it mounted, with a request that hangs", function(t)
  local vm = provium:vm("v", "peios")
  vm:boot()
  for _, bus in ipairs(HOT) do
    local disk = vm:attach_disk({ id = bus, scratch = "16M", bus = bus })
    local device = disk:device()
    vm:run("mkfs.ext4 -q " .. device .. " && mount " .. device .. " /mnt && echo x > /mnt/file"):assert_ok()
    disk:fault_inject("hang op=read at=20000+8")
    vm:run_async("dd if=" .. device .. " of=/dev/null bs=4096 skip=2500 count=1 iflag=direct")
    disk:wait_fired("hang op=read at=20000+8", 1, 60)
    vm:unplug(bus)
    t:assert(disk:is_detached())
    t:assert(not vm:run("test -e " .. device):ok(), bus .. " is still there")
    t:assert(not vm:run("echo y > /mnt/other && sync /mnt/other"):ok(), bus .. " is still written")
    vm:run("umount /mnt")
  end
  t:assert_contains(raised(t, function() vm:unplug("x") end), "vm `v` has no disk `x`")
end)
