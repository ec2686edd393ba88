-- Bad sectors: a copy that continues after errors loses these sectors only.
local scratch = require("scratch")

test("a rescue copy loses the bad sectors only", function(t)
  local image = scratch.image(600 * 512)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })
  disk:write_sectors(0, ("good"):rep(600 * 128))

  disk:fault_inject("eio_read at=100+2,500+1")
  local copy = vm:run("dd if=/dev/vda of=/tmp/copy bs=512 iflag=direct conv=noerror,sync")
  t:assert_contains(copy.stderr, "Input/output error")
  t:assert_contains(copy.stderr, "597+3 records in")

  -- Unreadable sectors are zeros in the copy.
  local copied = vm:read_file("/tmp/copy")
  for sector = 0, 599 do
    local lost = sector == 100 or sector == 101 or sector == 500
    t:assert_eq(copied:sub(sector * 512 + 1, sector * 512 + 4), lost and "\0\0\0\0" or "good", "sector " .. sector)
  end
  os.remove(image)
end)
