-- A slow disk is only slow: all written data arrive.
local scratch = require("scratch")

test("writes complete despite slowness", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })

  disk:fault_inject("slow")
  local started = os.time()
  vm:run("dd if=/dev/zero bs=512 count=24 oflag=direct | tr '\\0' x | dd of=/dev/vda bs=512 count=24 iflag=fullblock oflag=direct")
    :assert_ok()
  t:assert(os.time() - started >= 1, "24 writes of 50 ms each take 1.2 s")
  t:assert_eq(scratch.stat(disk, "write_delayed"), 24)

  disk:clear_faults()
  t:assert_eq(disk:read_sectors(0, 24), ("x"):rep(24 * 512))
  os.remove(image)
end)
