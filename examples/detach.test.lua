-- A detached disk is gone from the guest, and its handle says so.
local scratch = require("scratch")

test("detach removes the disk from the guest", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })
  vm:run("test -b /dev/vda"):assert_ok()

  disk:detach()
  t:assert(disk:is_detached())
  t:assert(not vm:run("test -b /dev/vda"):ok(), "the guest still has it")
  local err = t:assert_raises(function() disk:read_sectors(0, 1) end)
  t:assert_contains(err, "disk:read_sectors: disk is detached")
  t:assert_contains(t:assert_raises(function() vm:disk("vda") end), "no disk `vda` attached to vm `v`")

  -- The name is free again.
  vm:attach_disk({ id = "vda", image = image })
  vm:run("test -b /dev/vda"):assert_ok()
  os.remove(image)
end)
