-- A bad sector is good again once it is written, as a drive replaces it.
local scratch = require("scratch")

test("rewriting the bad sectors of a disk repairs it", function(t)
  local image = scratch.image(64 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })
  disk:fault_inject({ action = "error", op = "read", sectors = 3, seed = 9, heal = "write" })

  local copy = "dd if=/dev/vda of=/tmp/copy bs=512 iflag=direct conv=noerror,sync"
  t:assert_contains(vm:run(copy).stderr, "125+3 records in")

  -- What cannot be read is written anew, as a RAID does with the data of another disk.
  for _, range in ipairs(disk:rules()[1].bad) do
    vm:run(("dd if=/dev/zero of=/dev/vda bs=512 oflag=direct seek=%d count=%d"):format(range.sector, range.sectors)):assert_ok()
  end
  t:assert_contains(vm:run(copy).stderr, "128+0 records in")
  t:assert_eq(disk:rules()[1].healed, 3)
  os.remove(image)
end)
