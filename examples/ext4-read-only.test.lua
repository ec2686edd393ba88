-- ext4 with errors=remount-ro rejects writes when it cannot write its journal.
local scratch = require("scratch")

test("filesystem goes read-only after persistent EIO", function(t)
  local image = scratch.image(32 * 1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })
  vm:run("mkfs.ext4 -q /dev/vda && mkdir -p /mnt/test && mount -o errors=remount-ro /dev/vda /mnt/test")
    :assert_ok()
  vm:run("echo before > /mnt/test/file && sync"):assert_ok()

  disk:fault_inject("eio_write")
  vm:run("echo data > /mnt/test/file") -- might succeed or fail: it is in the page cache
  vm:run("sync") -- now it has to reach the disk

  -- The fault is gone, but ext4 stays read-only. A failed write proves it. The mount options do not
  -- prove it: errors=remount-ro contains "ro".
  disk:clear_faults()
  local write = vm:run("echo after > /mnt/test/other")
  t:assert_contains(write.stderr, "Read-only file system")
  t:assert_contains(vm:run("dmesg").stdout, "EXT4-fs")
  os.remove(image)
end)
