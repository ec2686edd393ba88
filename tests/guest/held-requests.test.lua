-- Requests that a rule holds block neither the end nor the boot of a guest.
local image = require("image")
local page_says = require("page_says")

local function clock()
  local now = io.open("/proc/uptime"):read("n")
  return now
end

-- Fails unless `fn` returns within 45 seconds: what it must not wait for takes minutes, or has no end.
local function quick(t, what, fn)
  local before = clock()
  fn()
  t:assert(clock() - before < 45, ("%s took %.1f s"):format(what, clock() - before))
end

-- Starts one command per disk in the guest. A rule of its disk holds each command.
local function hold(vm, disks)
  disks.a:fault_inject("hang op=write")
  disks.b:fault_inject("delay op=read by=5m times=1")
  disks.c:fault_inject("hang op=flush")
  vm:run_async("head -c 512 /dev/zero | tr '\\0' x | dd of=/dev/disk/by-id/virtio-a oflag=direct")
  vm:run_async("dd if=/dev/disk/by-id/virtio-b of=/dev/null bs=512 count=1 iflag=direct")
  vm:run_async("dd if=/dev/zero of=/dev/disk/by-id/virtio-c bs=512 count=1 conv=fsync")
  for _, disk in pairs(disks) do
    wait_until(function() return disk:inflight()[1] and disk:inflight()[1].rule end, { desc = "a held request" })
  end
end

local paths = { a = image.new(2048), b = image.new(2048), c = image.new(2048) }
local vm = provium:vm("g", "peios")
local disks = {}
for _, id in ipairs({ "a", "b", "c" }) do disks[id] = vm:attach_disk({ id = id, image = paths[id] }) end
vm:boot()

local function clear()
  for _, disk in pairs(disks) do disk:clear_faults() end
end

test("a pause says what is held, the guest runs on, and a process that waits is timed out", function(t)
  page_says([[| `vm:pause()`, `vm:snapshot()` | raises an error that names the request, and the guest runs on |]])
  hold(vm, disks)
  quick(t, "pause", function()
    local err = t:assert_raises(function() vm:pause() end)
    t:assert_contains(err, "vm:pause: `write 0 1` of disk `a` waits for `hang op=write")
  end)
  t:assert_eq(vm:state(), "booted")
  local args = { "if=/dev/zero", "of=/dev/disk/by-id/virtio-a", "count=1", "oflag=direct" }
  local result = vm:run("dd", { args = args, timeout = "200ms" })
  t:assert_eq(result.status, "timed_out")
  t:assert_eq(result.timed_out, true)
  t:assert_eq(result.exit_code, -2)
  clear()
  vm:pause()
  vm:resume()
end)

test("a reset drops what is held, and the rules stay", function(t)
  page_says([[| `vm:reset()`, `vm:restore()`, `vm:shutdown()`, `vm:close()` | They are dropped]])
  vm:run("dd if=/dev/zero of=/dev/disk/by-id/virtio-a count=1 oflag=direct"):assert_ok()
  hold(vm, disks)
  vm:reset()
  t:assert_eq(#disks.a:inflight() + #disks.b:inflight() + #disks.c:inflight(), 0)
  t:assert_eq(image.read(paths.a, 0, 1), ("\0"):rep(512))
  t:assert_contains(disks.a:active_faults()[1], "hang op=write")
  vm:run("test -e /dev/disk/by-id/virtio-c"):assert_ok()
  clear()
  vm:run("dd if=/dev/disk/by-id/virtio-b of=/dev/null count=1 iflag=direct"):assert_ok()
end)

test("a shutdown drops what is held, and leaves the images to others", function(t)
  page_says("No call of a VM waits for a request that a rule holds. A reset, a shutdown or a close drops the request. A pause raises an error. A boot continues without the disk", "docs/testing.md")
  page_says("If another program has taken an image meanwhile, the boot is an error")
  hold(vm, disks)
  quick(t, "shutdown", function() vm:shutdown() end)
  t:assert_eq(vm:state(), "shutdown")
  t:assert_eq(image.read(paths.a, 0, 1), ("\0"):rep(512))
  local other = provium:vm("other", "peios"):attach_disk({ id = "theirs", image = paths.a })
  t:assert_contains(t:assert_raises(function() disks.a:read_sectors(0, 1) end), "busy")
  t:assert_contains(t:assert_raises(function() vm:boot() end), "vm:boot: image " .. paths.a .. " of disk `a` is in use")
  other:detach()
  t:assert_eq(disks.a:read_sectors(0, 1), ("\0"):rep(512))
end)

test("a close drops what is held", function(t)
  local own = provium:vm("own", "peios")
  local disk = own:attach_disk({ id = "a", image = paths.b })
  own:boot()
  disk:fault_inject("hang op=write max=10m then=ok")
  own:run_async("dd if=/dev/urandom of=/dev/disk/by-id/virtio-a bs=512 count=1 oflag=direct")
  disk:wait_fired("hang op=write max=10m then=ok")
  quick(t, "close", function() own:close() end)
  t:assert_eq(own:state(), "shutdown")
  t:assert_eq(image.read(paths.b, 0, 1), ("\0"):rep(512))
end)

-- The errors of a disk that the guest's kernel has logged.
local function errors(vm, device)
  local _, count = vm:run("dmesg").stdout:gsub("I/O error, dev " .. device .. ",", "")
  return count
end

local function read(vm, id)
  return vm:run("dd of=/dev/null count=1 iflag=direct if=/dev/disk/by-id/virtio-" .. id):ok()
end

for cold, word in pairs({ [true] = "cold", [false] = "warm" }) do
  test("rules that are armed before a " .. word .. " boot meet the guest alone, and a hang does not keep it from its end", function(t)
    page_says("QEMU's own probes of the disk do not meet rules", "docs/testing.md")
    local own = provium:vm("own", "peios")
    local scratch, armed = {}, {}
    for n, id in ipairs({ "few", "many", "stuck" }) do
      scratch[n] = image.new(2048)
      armed[id] = own:attach_disk({ id = id, image = scratch[n] })
    end
    armed.few:fault_inject("eio_read times=1")
    armed.many:fault_inject("eio_read times=4")
    armed.stuck:fault_inject("hang op=read tag=stuck")
    own:boot({ cold = cold, disks = { { scratch = "1M", id = "behind" } } })
    t:assert_eq(errors(own, "vda"), 1)
    t:assert_eq(errors(own, "vdb"), armed.many:rules()[1].fired)
    t:assert(read(own, "few"))
    while not read(own, "many") do end
    t:assert_eq(errors(own, "vdb"), 4)
    t:assert_contains(armed.stuck:inflight()[1].rule, "hang op=read")
    armed.stuck:clear_faults()
    wait_until(function() return read(own, "stuck") and read(own, "behind") end, { desc = "the other disks" })
    own:close()
    for _, path in ipairs(scratch) do os.remove(path) end
  end)
end
