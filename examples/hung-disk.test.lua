-- A hung disk blocks its own readers until it is released. Other disks work.
local scratch = require("scratch")

test("a hung disk holds its reader and nobody else", function(t)
  local stuck_image, well_image = scratch.image(1024 * 1024), scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local stuck = vm:attach_disk({ id = "stuck", image = stuck_image })
  vm:attach_disk({ id = "well", image = well_image })
  local read = "exec dd if=/dev/disk/by-id/virtio-%s of=/dev/null bs=512 count=1 iflag=direct"

  stuck:fault_inject("hang op=read tag=controller")
  local reader = vm:run_async(read:format("stuck"))
  stuck:wait_fired("controller")
  t:assert_eq(stuck:inflight()[1].op, "read")
  vm:run(read:format("well")):assert_ok()
  t:assert_eq(reader:status(), "running")

  stuck:release("controller")
  reader:wait("10s"):assert_ok()
  os.remove(stuck_image)
  os.remove(well_image)
end)
