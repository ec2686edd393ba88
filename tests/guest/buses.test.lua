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
