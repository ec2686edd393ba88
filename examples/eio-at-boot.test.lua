-- A disk that fails while the guest boots must not bring the guest down.
local scratch = require("scratch")

test("EIO across a reset does not panic", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })

  disk:fault_inject("eio_read")
  vm:reset() -- returns when the guest's agent answers again
  t:assert_eq(vm:state(), "booted")

  local log = vm:console():read_log():lower()
  t:assert(not log:find("kernel panic", 1, true), "the guest panicked")
  t:assert_contains(log, "i/o error, dev vda, sector 0") -- it did try to read its partitions

  -- The fault survived the reset, because it belongs to the disk.
  t:assert_eq(disk:active_faults()[1], "eio_read")
  disk:clear_faults()
  vm:run("dd if=/dev/vda of=/dev/null bs=512 count=1 iflag=direct"):assert_ok()
  os.remove(image)
end)
