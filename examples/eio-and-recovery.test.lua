-- A read error appears in the guest while the fault is armed, and is gone when it is cleared.
local scratch = require("scratch")
local DD = "dd if=/dev/vda of=/dev/null bs=512 count=1 iflag=direct"

test("guest sees EIO and recovers after clear", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })

  vm:run(DD):assert_ok()
  t:assert_eq(#disk:read_sectors(0, 1), 512)

  disk:fault_inject("eio_read")
  local failed = vm:run(DD)
  t:assert(not failed:ok(), "the guest's read should fail")
  t:assert_contains(failed.stderr, "Input/output error")
  t:assert_contains(vm:run("dmesg").stdout, "I/O error, dev vda, sector 0")

  -- Every client of the disk meets the fault, also this test.
  local err = t:assert_raises(function() disk:read_sectors(0, 1) end)
  t:assert_contains(err, "disk:read_sectors: EIO (fault_inject)")

  disk:clear_faults()
  vm:run(DD):assert_ok()
  t:assert_eq(#disk:read_sectors(0, 1), 512)
  os.remove(image)
end)
