-- Faults combine: a slow disk that fails waits first, then fails.
local scratch = require("scratch")

test("slow EIO is still EIO", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })

  disk:fault_inject("slow")
  disk:fault_inject("eio_read")
  t:assert_eq(table.concat(disk:active_faults(), " "), "slow eio_read")

  local failed = vm:run("dd if=/dev/vda of=/dev/null bs=512 count=1 iflag=direct")
  t:assert_contains(failed.stderr, "Input/output error")
  t:assert(scratch.stat(disk, "read_delayed") > 0, "it should have waited first")
  t:assert_eq(scratch.stat(disk, "read_delayed"), scratch.stat(disk, "read_errors_injected"))
  os.remove(image)
end)

test("EIO injected during a slow read still fires", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("host only", "peios") -- not booted: the host can use the disk anyway
  local disk = vm:attach_disk({ id = "vda", image = image })
  local mount = disk:path():match("^(.*)/vda$")

  disk:fault_inject("slow")
  -- Another process arms the fault 25 ms after the start of the read, which takes 50 ms.
  os.execute(("(sleep 0.025; echo eio_read >> %s/ctl/vda/faults) &"):format(mount))
  local err = t:assert_raises(function() disk:read_sectors(0, 1) end)
  t:assert_contains(err, "EIO (fault_inject)")
  os.remove(image)
end)
