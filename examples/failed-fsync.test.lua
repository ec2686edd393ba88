-- A failed fsync reports its error once. Afterwards the page cache shows data that the disk never got. A database
-- that trusts the next successful fsync has lost data.
local scratch = require("scratch")

test("after a failed fsync the cache and the disk differ", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })

  -- Keep the device open, as a database does: its cache is dropped when its last user closes it.
  local commit = "yes committed | dd of=/dev/vda bs=4096 count=1 iflag=fullblock conv=fsync,notrunc"
  disk:fault_inject("error op=write errno=EIO times=1")
  local r = vm:run("exec 3< /dev/vda; " .. commit .. "; " .. [[
    sync /dev/vda && echo a later sync succeeds
    head -c 9 /dev/vda; echo " says the cache"
  ]])
  t:assert_contains(r.stderr, "Input/output error")
  t:assert_contains(r.stdout, "a later sync succeeds")
  t:assert_contains(r.stdout, "committed says the cache")

  t:assert_eq(disk:read_sectors(0, 8), ("\0"):rep(4096))
  os.remove(image)
end)
