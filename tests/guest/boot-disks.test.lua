-- The disks of a boot, and their lifetime.
local image = require("image")
local page_says = require("page_says")

local function raised(t, fn)
  return (t:assert_raises(fn):gsub("^[^:]+:%d+: ", ""))
end

local function sizes(vm, ...)
  local devices = table.concat({ ... }, " ")
  return vm:run("cd /dev/disk/by-id && blockdev --getsize64 " .. devices).stdout
end

test("a disk has exactly one source", function(t)
  page_says([[A disk has exactly one of `path`, `image`, `template` and `scratch`. - `cache` and `mediated` that disagree are an error]])
  local vm = provium:vm("v", "peios")
  local function message(disk)
    return raised(t, function() vm:boot({ disks = { { scratch = "1M" }, disk } }) end)
  end
  local wanted = "vm:boot: disks[2]: a disk has exactly one of `path`, `image`, `template` and `scratch`; given: "
  t:assert_eq(message({ id = "a" }), wanted .. "none")
  t:assert_eq(message({ path = "/x", scratch = "1M" }), wanted .. "`path` and `scratch`")
  t:assert_eq(message({ path = "/x", template = "/x" }), wanted .. "`path` and `template`")
  t:assert_contains(message({ scratch = -1 }), "`scratch` expects a size such as \"256M\", or a number of bytes, not -1")
  local disagree = "`cache = \"off\"` and `mediated = true` disagree: give one of them"
  t:assert_contains(message({ scratch = 512, cache = "off", mediated = true }), "disks[2]: " .. disagree)
  t:assert_eq(raised(t, function() vm:attach_disk({ cache = "off", mediated = true }) end), "vm:attach_disk: " .. disagree)
  t:assert_eq(raised(t, function() vm:attach_disk({ cache = "on" }) end), "vm:attach_disk: `cache` expects \"volatile\" or \"off\", not \"on\"")
  t:assert_eq(vm:state(), "created")
end)

test("disks of the profile, disks attached before and disks of the boot are all there", function(t)
  page_says([[Disks of the profile come first in the list]])
  page_says([[Those of a profile and of `vm:boot` are `boot0`, `boot1` and so on: the number is the place in the list]])
  page_says([[units are powers of 1024]])
  local mine, template = image.new(8), image.new(16)
  local vm = provium:vm("v", "with-disks")
  vm:attach_disk({ id = "mine", image = mine, readonly = true })
  local file = io.open(template, "r+b")
  file:write("a template")
  file:close()
  vm:boot({
    memory = 201326592,
    kernel_cmdline_append = "appended=1",
    disks = { { scratch = "1MiB" }, { template = template, id = "copy" }, { template = template } },
  })
  t:assert_contains(vm:run("cat /proc/cmdline").stdout, " appended=1")
  local kib = tonumber(vm:run("awk '/MemTotal/ { print $2 }' /proc/meminfo").stdout)
  t:assert(kib > 100 * 1024 and kib < 192 * 1024, kib)
  local devices = { "virtio-boot0", "virtio-mine", "virtio-boot1", "virtio-copy", "virtio-boot3" }
  t:assert_eq(sizes(vm, table.unpack(devices)), "2097152\n4096\n1048576\n8192\n8192\n")
  t:assert_eq(vm:run("cat /sys/block/vda/serial; echo; cat /sys/block/vdb/serial").stdout, "boot0\nmine")
  t:assert_eq(vm:run("blockdev --getro /dev/vdb").stdout, "1\n")

  vm:run("printf changed | dd of=/dev/disk/by-id/virtio-copy conv=notrunc,fsync"):assert_ok()
  t:assert_eq(vm:disk("boot3"):read_sectors(0, 1):sub(1, 10), "a template")
  t:assert_eq(image.read(template, 0, 1):sub(1, 10), "a template")
  t:assert_eq(vm:disk("copy"):read_sectors(0, 1):sub(1, 10), "changedate")

  vm:shutdown()
  vm:boot()
  t:assert_eq(vm:disk("copy"):read_sectors(0, 1):sub(1, 10), "changedate", "a shutdown keeps its disks")
  t:assert_eq(sizes(vm, table.unpack(devices)), "2097152\n4096\n1048576\n8192\n8192\n")
  os.remove(mine)
  os.remove(template)
end)

test("two disks of a boot that are alike are two disks, and are there again", function(t)
  local vm = provium:vm("v", "peios")
  for _ = 1, 2 do
    vm:boot({ disks = { { scratch = "1M" }, { scratch = "1M" } } })
    t:assert_eq(sizes(vm, "virtio-boot0", "virtio-boot1"), "1048576\n1048576\n")
    t:assert_eq(vm:run("ls /dev/vd*").stdout, "/dev/vda\n/dev/vdb\n")
    vm:shutdown()
  end
end)

test("a disk is plugged in read-only, and into a paused guest", function(t)
  local vm = provium:vm("v", "peios"):boot()
  local path = image.new(8)
  vm:pause()
  local disk = vm:attach_disk({ id = "late", image = path, readonly = true })
  t:assert_eq(vm:state(), "paused")
  vm:resume()
  local link = "/dev/disk/by-id/virtio-late"
  wait_until(function() return vm:run("test -e " .. link):ok() end, { desc = "the disk" })
  t:assert(not vm:run("echo x > " .. link):ok())
  t:assert_raises(function() disk:write_sectors(0, "x") end)
  t:assert_eq(image.read(path, 0, 1), ("\0"):rep(512))
  vm:shutdown()
  os.remove(path)
end)

test("a boot that fails leaves none of its disks attached", function(t)
  page_says([[A boot that fails leaves none of its `disks` attached]])
  local path = image.new(8)
  local vm = provium:vm("v", "peios")
  vm:attach_disk({ id = "kept" })
  local function boot(options)
    options.disks = { { path = path, id = "good" }, options.bad }
    options.bad = nil
    return raised(t, function() vm:boot(options) end)
  end
  t:assert_contains(boot({ bad = { path = "/no/such.img" } }), "/no/such.img")
  t:assert_eq(vm:state(), "created")
  t:assert_contains(raised(t, function() vm:disk("good") end), "no disk `good` attached to vm `v`")
  t:assert_contains(boot({ memory = "900T" }), "memory")
  t:assert_eq(vm:state(), "dead")
  t:assert_contains(raised(t, function() vm:disk("good") end), "no disk `good` attached to vm `v`")
  t:assert_eq(vm:disk("kept"):id(), "kept")
  provium:vm("w", "peios"):attach_disk({ id = "free", image = path })
  os.remove(path)
end)

test("a time-out is one, whatever is attached", function(t)
  local function attempt(n)
    local vm = provium:vm("m" .. n, "mute")
    vm:attach_disk({ id = "a", scratch = "4K" })
    local before = os.time()
    t:assert_contains(raised(t, function() vm:boot({ agent_timeout = "4s" }) end), "no guest agent answered within 4s")
    return os.time() - before
  end
  -- A busy machine may take longer, but not each time.
  local took, n = math.huge, 0
  while took > 7 and n < 5 do
    n = n + 1
    took = attempt(n)
  end
  t:assert(took <= 7, "it took two time-outs")
end)
