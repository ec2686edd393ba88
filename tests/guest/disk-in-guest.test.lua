-- Faults as a real guest's kernel meets them. One guest for the whole file.
local image = require("image")
local vm = provium:vm("g", "peios"):boot()

local function dd(name, how)
  return vm:run(("dd if=/dev/%s of=/dev/null bs=512 count=1 iflag=direct %s"):format(name, how or ""))
end

local function write(name, sector)
  return vm:run(("dd if=/dev/zero of=/dev/%s bs=512 count=1 oflag=direct seek=%d"):format(name, sector))
end

test("faults armed by the shell change what dd in the guest does, at once and both ways", function(t)
  local paths = { image.new(2048), image.new(2048) }
  local d = vm:attach_disk({ id = "vda", image = paths[1] })
  local other = vm:attach_disk({ id = "vdb", image = paths[2] })
  local faults = image.mount(d) .. "/ctl/vda/faults"
  dd("vda"):assert_ok()

  assert(os.execute("echo eio_read > " .. faults))
  t:assert_contains(dd("vda", "skip=123").stderr, "Input/output error")
  t:assert_contains(vm:run("dmesg").stdout, "I/O error, dev vda, sector 123 op 0x0:(READ)")
  write("vda", 5):assert_ok()
  dd("vdb"):assert_ok()

  assert(os.execute("echo eio_write >> " .. faults))
  t:assert_contains(write("vda", 77).stderr, "Input/output error")
  t:assert_contains(vm:run("dmesg").stdout, "I/O error, dev vda, sector 77 op 0x1:(WRITE)")
  write("vdb", 77):assert_ok()

  assert(not os.execute("echo bogus > " .. faults .. " 2>/dev/null"))
  t:assert(not dd("vda"):ok(), "the set should be unchanged")

  assert(os.execute(": > " .. faults))
  dd("vda"):assert_ok()
  write("vda", 77):assert_ok()
  t:assert_eq(#other:active_faults(), 0)
  d:detach()
  other:detach()
  for _, path in ipairs(paths) do os.remove(path) end
end)

test("a guest's sector write is one sector long in the image", function(t)
  local path = image.new(2048)
  local d = vm:attach_disk({ id = "vda", image = path })
  d:write_sectors(0, ("a"):rep(1024 * 512))
  write("vda", 9):assert_ok()
  t:assert_eq(image.read(path, 8, 3), ("a"):rep(512) .. ("\0"):rep(512) .. ("a"):rep(512))
  local stats = io.open(image.mount(d) .. "/ctl/vda/stats"):read("a")
  t:assert_eq(tonumber(stats:match("write_requests (%d+)")), 2) -- one request of the host, one of the guest
  t:assert_eq(tonumber(stats:match("write_bytes (%d+)")), 1024 * 512 + 512)
  d:detach()
  os.remove(path)
end)

test("a guest's flush and discard arrive as such", function(t)
  local path = image.new(2048)
  local d = vm:attach_disk({ id = "vda", image = path })
  local function stat(key)
    return tonumber(io.open(image.mount(d) .. "/ctl/vda/stats"):read("a"):match(key .. " (%d+)"))
  end
  d:write_sectors(0, ("a"):rep(2048 * 512))
  vm:run("blkdiscard -o 65536 -l 65536 /dev/vda"):assert_ok()
  t:assert(stat("discard_requests") >= 1)
  t:assert_eq(image.read(path, 128, 128), ("\0"):rep(65536))
  t:assert_eq(image.read(path, 127, 1), ("a"):rep(512))
  local flushes = stat("flush_requests")
  vm:run("dd if=/dev/zero of=/dev/vda bs=4096 count=1 conv=fsync"):assert_ok()
  t:assert(stat("flush_requests") > flushes)
  d:detach()
  os.remove(path)
end)

test("detach takes the device from the guest, also while it is faulty and slow", function(t)
  local path = image.new(2048)
  local d = vm:attach_disk({ id = "vda", image = path })
  local mount = image.mount(d)
  d:fault_inject("slow")
  d:fault_inject("eio_write")
  d:detach()
  t:assert(not vm:run("test -e /sys/block/vda"):ok(), "the guest still has it")
  t:assert(not os.execute("test -e " .. mount .. "/vda"), "the mount still has it")
  os.remove(path)
end)

test("a disk is found in the guest by its id", function(t)
  local path = image.new(2048)
  local d = vm:attach_disk({ id = "my-data.1", image = path })
  t:assert_eq(vm:run("readlink -f /dev/disk/by-id/virtio-my-data.1").stdout, "/dev/vda\n")
  t:assert_eq(vm:run("blockdev --getss --getsize64 /dev/vda").stdout, "512\n1048576\n")
  d:detach()
  os.remove(path)
end)

test("a disk that comes back is found by its id however late the guest's links are", function(t)
  local path = image.new(2048)
  local mdev = vm:run("pidof mdev").stdout:match("%d+")
  local d = vm:attach_disk({ id = "back", image = path })
  vm:run("kill -STOP " .. mdev):assert_ok()
  d:detach()
  d = vm:attach_disk({ id = "back", image = path })
  -- Only now the guest notices that the disk was removed and added.
  vm:run("kill -CONT " .. mdev .. [[; n=0; while [ $n -lt 20000 ]; do
    [ -e /dev/disk/by-id/virtio-back ] || exit 1
    n=$((n + 1))
  done]]):assert_ok()
  d:detach()
  os.remove(path)
end)
