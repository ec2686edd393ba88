-- `vm:extents`: the sectors of a file, in the default guest and in the storage guest.
local profiles = { default = "peios", storage = "storage" }

-- Returns what the disk has in the sectors `at`.
local function content(disk, at)
  local parts = {}
  for start, count in at:gmatch("(%d+)%+(%d+)") do
    table.insert(parts, disk:read_sectors(tonumber(start), tonumber(count)))
  end
  return table.concat(parts)
end

local function read(vm, path)
  return vm:run("dd if=" .. path .. " of=/dev/null bs=64k iflag=direct")
end

-- A mounted file system with two files, one of which fails.
local function fails_alone(t, vm, disk, folder)
  vm:run(("for n in 1 2; do yes $n | head -c 300000 > %s/$n; done; sync"):format(folder)):assert_ok()
  local at, id = vm:extents(folder .. "/1")
  t:assert_eq(id, disk:id())
  local found = content(disk, at)
  t:assert_eq(found:sub(1, 300000), ("1\n"):rep(150000))
  t:assert(#found - 300000 < 4096, #found)

  disk:fault_inject("eio_read", { at = at })
  t:assert_contains(read(vm, folder .. "/1").stderr, "Input/output error")
  read(vm, folder .. "/2"):assert_ok()
  disk:clear_faults()
  read(vm, folder .. "/1"):assert_ok()
end

test("a rule on the extents of a file fails this file alone", function(t)
  local vm = provium:vm("d", profiles.default):boot({ disks = { { id = "data", scratch = "16M" } } })
  vm:run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt"):assert_ok()
  fails_alone(t, vm, vm:disk("data"), "/mnt")
  vm:run(": > /mnt/empty"):assert_ok()
  t:assert_contains(t:assert_raises(function() vm:extents("/mnt/empty") end), "vm:extents: /mnt/empty has no sectors")
  t:assert_contains(t:assert_raises(function() vm:extents("/tmp") end), "is in tmpfs, which is on no disk")
  t:assert_contains(t:assert_raises(function() vm:extents("/mnt/none") end), "No such file or directory")
  vm:close()
end)

-- Returns what `provium sectors` prints of the disk.
local function sectors(disk, words)
  -- The shell's parent is this program.
  local pipe = io.popen(('"$(readlink /proc/$PPID/exe)" sectors "%s" %s'):format(disk:path(), words))
  local printed = pipe:read("a")
  pipe:close()
  return (printed:gsub("\n", ""))
end

-- Returns what filefrag says of the file, whose file system begins at `first`, as `at=` takes it.
local function filefrag(vm, path, first)
  local ranges = {}
  local line = "%d+: *%d+%.%. *%d+: *(%d+)%.%. *(%d+):"
  for from, to in vm:run("filefrag -b512 -v " .. path .. "").stdout:gmatch(line) do
    table.insert(ranges, { first + from, to - from + 1 })
  end
  table.sort(ranges, function(a, b) return a[1] < b[1] end)
  for n, range in ipairs(ranges) do ranges[n] = ("%d+%d"):format(range[1], range[2]) end
  return table.concat(ranges, ","), #ranges
end

test("sectors in logical partitions are those that filefrag says, of a file in many pieces too", { timeout = 300 }, function(t)
  local vm = provium:vm("l", profiles.storage):boot({ agent_timeout = "3m", disks = { { id = "parts", scratch = "400M" } } })
  local disk = vm:disk("parts")
  vm:run("printf ',4M,83\n,,5\n,8M,83\n,,83\n' | sfdisk -q /dev/vda && mkfs.ext4 -q /dev/vda5 && mkfs.xfs -q /dev/vda6"):assert_ok()
  vm:run("mkdir /tmp/e /tmp/x && mount /dev/vda5 /tmp/e && mount /dev/vda6 /tmp/x && mkdir /tmp/x/a"):assert_ok()
  -- Every second block is given back: more extents than an inode of xfs has room for.
  local pieces = 200
  local holes = ("for n in $(seq 1 2 %d); do echo fpunch $((n * 4))k 4k; done"):format(2 * pieces - 2)
  local make = "head -c %dk /dev/urandom > %s && sync && (%s) | xfs_io %s > /dev/null && sync"
  for partition, path in pairs({ [5] = "/tmp/e/file", [6] = "/tmp/x/a/file" }) do
    vm:run(make:format(8 * pieces - 4, path, holes, path), { timeout = "2m" }):assert_ok()
    local start = tonumber(vm:read_file("/sys/class/block/vda" .. partition .. "/start"))
    local expected, count = filefrag(vm, path, start)
    t:assert(count >= pieces - 1, count)
    t:assert_eq(vm:extents(path), expected)
  end
  fails_alone(t, vm, disk, "/tmp/e")
  fails_alone(t, vm, disk, "/tmp/x")
  local in_ext, in_xfs = vm:extents("/tmp/e/file"), vm:extents("/tmp/x/a/file")
  vm:run("umount /tmp/e /tmp/x"):assert_ok()
  t:assert_eq(sectors(disk, "file:/file --partition 5"), in_ext)
  t:assert_eq(sectors(disk, "file:/a/file --partition 6"), in_xfs)
  vm:close()
end)

test("extents are sectors of the disk, also in a partition and with xfs", function(t)
  local vm = provium:vm("s", profiles.storage):boot({
    agent_timeout = "3m",
    disks = { { id = "parts", scratch = "64M" }, { id = "xfs", scratch = "400M" }, { id = "btrfs", scratch = "128M" } },
  })
  vm:run("printf '2048,20480\\n22528,\\n' | sfdisk -q /dev/vda && mkfs.ext4 -q /dev/vda2"):assert_ok()
  vm:run("mkdir /tmp/p /tmp/x /tmp/b && mount /dev/vda2 /tmp/p"):assert_ok()
  fails_alone(t, vm, vm:disk("parts"), "/tmp/p")
  t:assert(tonumber(vm:extents("/tmp/p/1"):match("%d+")) > 22528)

  vm:run("mkfs.xfs -q /dev/vdb && mount /dev/vdb /tmp/x"):assert_ok()
  fails_alone(t, vm, vm:disk("xfs"), "/tmp/x")
  -- The same as filefrag says.
  local ranges = {}
  for from, to in vm:run("filefrag -b512 -v /tmp/x/2").stdout:gmatch("%d+: *%d+%.%. *%d+: *(%d+)%.%. *(%d+):") do
    table.insert(ranges, ("%d+%d"):format(from, to - from + 1))
  end
  t:assert_eq(vm:extents("/tmp/x/2"), table.concat(ranges, ","))

  vm:run("dmsetup create whole --table '0 20480 linear /dev/vda1 0' && mkfs.ext4 -q /dev/mapper/whole"):assert_ok()
  vm:run("mount /dev/mapper/whole /mnt && echo x > /mnt/x"):assert_ok()
  t:assert_contains(t:assert_raises(function() vm:extents("/mnt/x") end), "none of the disks of the VM")
  vm:run("mkfs.btrfs -q /dev/vdc && mount /dev/vdc /tmp/b && echo x > /tmp/b/x"):assert_ok()
  t:assert_contains(t:assert_raises(function() vm:extents("/tmp/b/x") end), "addresses of its own")
  vm:close()
end)
