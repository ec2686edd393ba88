-- What RAID, multipath and file systems in a guest make of faults: the storage guest, once for the whole file.
local image = require("image")

local vm = provium:vm("g", "storage"):boot({ agent_timeout = "3m" })

-- Attaches a disk; returns it and its device in the guest.
local function disk(options)
  local attached = vm:attach_disk(options)
  local device = vm:run("readlink -f /dev/disk/by-id/virtio-" .. attached:id()):assert_ok().stdout
  return attached, (device:gsub("%s+$", ""))
end

local function read_number(path)
  return tonumber(vm:read_file(path):match("%d+"))
end

local function dmesg()
  return vm:run("dmesg").stdout
end

test("md reads from the other leg, and repairs the sectors that could not be read", { timeout = 300 }, function(t)
  local one, left = disk({ id = "leg1", scratch = "24M" })
  local other, right = disk({ id = "leg2", scratch = "24M" })
  vm:run(("mdadm --create /dev/md0 --run --assume-clean --level=1 --raid-devices=2 --bitmap=none %s --write-mostly %s")
    :format(left, right)):assert_ok()
  vm:run("dd if=/dev/urandom of=/tmp/data bs=1M count=20 && dd if=/tmp/data of=/dev/md0 bs=1M oflag=direct"):assert_ok()
  -- The members' own sectors lie before this.
  local range = ("%d+%d"):format(read_number("/sys/block/md0/md/rd0/offset"), 20 * 2048)
  one:fault_inject(("eio_read sectors=50 heal=write seed=3 at=%s tag=bad"):format(range))
  local function rule()
    return one:rules()[1]
  end
  t:assert_eq(rule().healed, 0)

  -- Plain reads repair what they meet, a check all else.
  vm:run("dd if=/dev/md0 of=/dev/null bs=64k count=160 iflag=direct"):assert_ok()
  t:assert(rule().healed > 0 and rule().healed < 50, rule().healed)
  vm:run("echo check > /sys/block/md0/md/sync_action; mdadm --wait /dev/md0")
  t:assert_eq(#rule().bad, 0)
  t:assert_eq(rule().healed, 50)
  t:assert_contains(dmesg(), "read error corrected")
  t:assert_contains(vm:read_file("/proc/mdstat"), "[UU]")
  t:assert_eq(read_number("/sys/block/md0/md/degraded"), 0)
  vm:run("dd if=/dev/md0 bs=1M count=20 iflag=direct | cmp - /tmp/data"):assert_ok()

  vm:run("mdadm --stop /dev/md0; rm /tmp/data"):assert_ok()
  one:detach()
  other:detach()
end)

-- The numbers of the sectors that `provium fault --show-sectors` lists of a disk.
local function sectors_shown(drawn)
  -- The shell's parent is this program.
  local pipe = io.popen(('"$(readlink /proc/$PPID/exe)" fault "%s" --show-sectors'):format(drawn:path()))
  local sectors = {}
  for line in pipe:lines() do
    local start, count = line:match("^(%d+) (%d+)$")
    for sector = tonumber(start), start + count - 1 do
      table.insert(sectors, sector)
    end
  end
  pipe:close()
  return sectors
end

-- 3,000 on a disk of 32 MiB are the long form, which takes a minute.
local DRAWN = math.tointeger(tonumber(os.getenv("PROVIUM_DRAWN_SECTORS") or "")) or 150

test("ddrescue in a guest finds the sectors that were drawn, and no others", { timeout = 1800 }, function(t)
  local drawn, device = disk({ id = "drawn", scratch = DRAWN > 150 and "32M" or "8M" })
  drawn:fault_inject(("eio_read sectors=%d seed=9 tag=drawn"):format(DRAWN))
  vm:run("ddrescue -q -d -b 512 -r 0 " .. device .. " /dev/null /tmp/map --force", { timeout = "25m" })
  local found = {}
  for start, size in vm:read_file("/tmp/map"):gmatch("0x(%x+) +0x(%x+) +%-") do
    for sector = 0, tonumber(size, 16) // 512 - 1 do
      table.insert(found, tonumber(start, 16) // 512 + sector)
    end
  end
  local expected = sectors_shown(drawn)
  t:assert_eq(#expected, DRAWN)
  t:assert_eq(table.concat(found, " "), table.concat(expected, " "))
  drawn:detach()
end)

test("dm-multipath takes the other path when a rule fails one", function(t)
  local path = image.new(32768)
  local one, left = disk({ id = "path1", path = path, share = true })
  local other, right = disk({ id = "path2", path = path, share = true })
  local group = "service-time 0 1 2 %s 1 1"
  local groups = group:format(left) .. " " .. group:format(right)
  vm:run(("dmsetup create mp --table '0 32768 multipath 0 0 2 1 %s'"):format(groups)):assert_ok()
  local function states()
    local status = vm:run("dmsetup status mp").stdout
    local states = {}
    for state in status:gmatch("%d+:%d+ ([AF]) ") do table.insert(states, state) end
    return table.concat(states)
  end
  local write = "echo %s | dd of=/dev/mapper/mp bs=4096 conv=sync oflag=direct"
  local read = "dd if=/dev/mapper/mp bs=4096 count=1 iflag=direct"
  vm:run(write:format("before")):assert_ok()
  t:assert_eq(states(), "AA")

  one:fault_inject("error op=all")
  t:assert_eq(vm:run(read):assert_ok().stdout:match("^%w+"), "before")
  vm:run(write:format("after")):assert_ok()
  t:assert_eq(states(), "FA")
  t:assert_eq(image.read(path, 0, 1):match("^%w+"), "after")

  -- With both failing, so does the device.
  other:fault_inject("error op=all")
  t:assert_contains(vm:run(read).stderr, "Input/output error")
  t:assert_eq(states(), "FF")
  one:clear_faults()
  vm:run("dmsetup message mp 0 reinstate_path " .. left):assert_ok()
  t:assert_eq(vm:run(read):assert_ok().stdout:match("^%w+"), "after")
  t:assert_eq(states(), "AF")

  vm:run("dmsetup remove mp"):assert_ok()
  one:detach()
  other:detach()
  os.remove(path)
end)

test("multipathd maps two paths of one image, and takes a path back that has failed", function(t)
  local path = image.new(32768)
  local function add(id)
    return vm:attach_disk({ id = id, path = path, share = true, bus = "virtio-scsi", serial = "lun0" })
  end
  local one, other = add("mpd1"), add("mpd2")
  vm:run("start-multipathd"):assert_ok()
  local map = "/dev/mapper/0QEMU_QEMU_HARDDISK_lun0"
  -- The states that multipathd shows of the paths, in the order in which they came.
  local function states()
    return (vm:run("multipathd show paths raw format '%i %t %T'").stdout:gsub("%d+:0:0:0 ", ""):gsub("\n", ";"))
  end
  local function wait_for(expected)
    wait_until(function() return states() == expected end, { timeout = 100, desc = expected })
  end
  local write = "echo %s | dd of=" .. map .. " bs=4096 conv=sync oflag=direct"
  wait_for("active ready;active ready;")
  vm:run(write:format("before")):assert_ok()

  one:fault_inject("error op=all")
  vm:run(write:format("after")):assert_ok()
  wait_for("failed faulty;active ready;")
  t:assert_eq(image.read(path, 0, 1):match("^%w+"), "after")

  one:clear_faults()
  wait_for("active ready;active ready;")
  other:fault_inject("error op=all")
  vm:run(write:format("back")):assert_ok()
  wait_for("active ready;failed faulty;")
  t:assert_eq(image.read(path, 0, 1):match("^%w+"), "back")

  -- A path that comes later joins, and one that goes leaves.
  local third = add("mpd3")
  wait_for("active ready;failed faulty;active ready;")
  other:detach()
  wait_for("active ready;active ready;")
  vm:run("multipath -F; multipathd shutdown; udevadm control --exit")
  one:detach()
  third:detach()
  os.remove(path)
end)

-- Returns all sectors of the disk but those of the log of its file system.
local function all_but_the_log(path, sectors)
  -- The shell's parent is this program.
  local pipe = io.popen(('"$(readlink /proc/$PPID/exe)" sectors "%s" journal'):format(path))
  local start, count = pipe:read("a"):match("^(%d+)%+(%d+)\n$")
  pipe:close()
  local after = tonumber(start) + tonumber(count)
  return ("0+%d,%d+%d"):format(tonumber(start), after, sectors - after)
end

-- A mounted xfs that wants to write metadata which its disk, except for the log, takes no more: the disk, its device,
-- and the process that waits for the writes.
local function xfs_that_cannot_write(id, max_retries)
  local xfs, device = disk({ id = id, scratch = "320M" })
  vm:run(("mkfs.xfs -q -f %s && mount %s /mnt"):format(device, device)):assert_ok()
  local name = device:match("[^/]+$")
  vm:write_file("/sys/fs/xfs/" .. name .. "/error/metadata/EIO/max_retries", tostring(max_retries))
  vm:run("sync"):assert_ok()
  local at = all_but_the_log(xfs:path(), 320 * 2048)
  xfs:fault_inject("eio_write", { at = at, tag = "home" })
  vm:run("mkdir /mnt/kept; sync")
  return xfs, device, vm:run_async("mount -o remount,ro /mnt")
end

test("xfs shuts down when metadata cannot be written after three retries", { timeout = 300 }, function(t)
  local xfs, _, remount = xfs_that_cannot_write("three", 3)
  wait_until(function()
    return dmesg():find("ilesystem has been shut down", 1, true) or dmesg():find("Shutting down filesystem", 1, true)
  end, { timeout = 200, desc = "the shutdown" })
  remount:wait("100s")
  t:assert(not vm:run("mkdir /mnt/more"):ok())
  vm:run("umount /mnt"):assert_ok()
  xfs:clear_faults()
  xfs:detach()
end)

test("xfs with endless retries goes on when the disk takes writes again", { timeout = 300 }, function(t)
  vm:run("dmesg -C")
  local xfs, device, remount = xfs_that_cannot_write("endless", -1)
  xfs:wait_fired("home", 12, "200s")
  t:assert_eq(remount:status(), "running")
  t:assert(not dmesg():lower():find("shut"))
  xfs:clear_faults()
  remount:wait("100s"):assert_ok()
  vm:run("mount -o remount,rw /mnt && mkdir /mnt/more && umount /mnt"):assert_ok()
  vm:run("xfs_repair -n " .. device):assert_ok()
  vm:run(("mount -o ro %s /mnt && ls -d /mnt/kept /mnt/more && umount /mnt"):format(device)):assert_ok()
  xfs:detach()
end)

test("btrfs scrubs what a disk has corrupted from the other one", { timeout = 300 }, function(t)
  local one, left = disk({ id = "btrfs1", scratch = "128M" })
  local other, right = disk({ id = "btrfs2", scratch = "128M" })
  vm:run(("mkfs.btrfs -q -d raid1 -m raid1 %s %s && mount %s /mnt"):format(left, right, left)):assert_ok()
  one:fault_inject("corrupt op=write how=flip p=0.5 seed=1 size=64K.. tag=flip")
  vm:run("dd if=/dev/urandom of=/tmp/data bs=1M count=24 && cp /tmp/data /mnt/data; sync"):assert_ok()
  one:clear_faults()
  t:assert(#one:damage() > 0)
  local function scrub()
    local raw = vm:run("btrfs scrub start -B -R /mnt").stdout
    local function value(name) return tonumber(raw:match(name .. ": (%d+)")) end
    return value("csum_errors"), value("corrected_errors"), value("uncorrectable_errors")
  end
  local found, corrected, lost = scrub()
  t:assert(found > 0, found)
  t:assert_eq(corrected, found)
  t:assert_eq(lost, 0)
  t:assert_eq(table.concat({ scrub() }, " "), "0 0 0")
  vm:run("umount /mnt && mount " .. left .. " /mnt && cmp /mnt/data /tmp/data && umount /mnt && rm /tmp/data"):assert_ok()
  one:detach()
  other:detach()
end)
