-- Checkpoints of a disk, without a guest and in one.
local image = require("image")
local page_says = require("page_says")

local function sector(byte)
  return byte:rep(512)
end

test("a disk goes back to its checkpoints, with its rules if asked", function(t)
  page_says([[makes the disk what it was, any number of times]])
  local path = image.new(8)
  local disk = provium:vm("v", "peios"):attach_disk({ id = "vda", image = path, cache = "volatile" })
  disk:write_sectors(0, sector("a"))
  t:assert_eq(disk:save_checkpoint("clean"), nil)
  disk:fault_inject("error op=read at=1+1 times=1")
  disk:save_checkpoint("armed", { faults = true })
  t:assert_eq(table.concat(disk:checkpoints(), " "), "clean armed")
  for _ = 1, 2 do
    t:assert_contains(t:assert_raises(function() disk:read_sectors(1, 1) end), "(fault_inject)")
    t:assert_eq(disk:read_sectors(1, 1), sector("\0"))
    disk:write_sectors(0, sector("b"))
    t:assert_eq(#disk:pending(), 2)
    disk:restore_checkpoint("armed")
    t:assert_eq(#disk:pending(), 1)
    t:assert_eq(disk:read_sectors(0, 1), sector("a"))
  end
  disk:drop_checkpoint("armed")
  disk:restore_checkpoint("clean")
  disk:drop_checkpoint("clean")
  t:assert_eq(#disk:checkpoints(), 0)
  t:assert_contains(t:assert_raises(function() disk:restore_checkpoint("clean") end), "no checkpoint `clean` (saved: none)")
  t:assert_contains(t:assert_raises(function() disk:save_checkpoint("a/b") end), "bad checkpoint name `a/b`")
  t:assert_contains(t:assert_raises(function() disk:save_checkpoint("a", { fault = true }) end), "fault")
  os.remove(path)
end)

test("a guest finds its disk as it was, and its template is untouched", function(t)
  local template = image.new(2048)
  local vm = provium:vm("v", "peios")
  vm:boot({ disks = { { id = "data", template = template, size = "2M" } } })
  local disk = vm:disk("data")
  vm:run("printf before | dd of=/dev/vda conv=notrunc,fsync oflag=direct conv=sync bs=512"):assert_ok()
  disk:save_checkpoint("before")
  vm:run("printf after | dd of=/dev/vda conv=fsync oflag=direct conv=sync bs=512 && sync"):assert_ok()
  disk:restore_checkpoint("before")
  t:assert_eq(vm:run("dd if=/dev/vda iflag=direct bs=512 count=1 2>/dev/null | head -c 6").stdout, "before")
  t:assert_eq(vm:run("blockdev --getsize64 /dev/vda").stdout, "2097152\n")
  t:assert_eq(image.read(template, 0, 2048), ("\0"):rep(2048 * 512))
  os.remove(template)
end)

test("ten VMs have one template at once, each with changes of its own", function(t)
  local template = image.new(8)
  local disks = {}
  for n = 1, 10 do
    disks[n] = provium:vm("v" .. n, "peios"):attach_disk({ id = "vda", template = template })
    disks[n]:write_sectors(3, sector(string.char(64 + n)))
  end
  for n = 1, 10 do
    t:assert_eq(disks[n]:read_sectors(2, 2), sector("\0") .. sector(string.char(64 + n)))
  end
  t:assert_eq(image.read(template, 0, 8), ("\0"):rep(8 * 512))
  os.remove(template)
end)
