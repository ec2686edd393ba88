-- Reads at the end of a disk return the existing sectors. No guest.
local image = require("image")
local page_says = require("page_says")

local function disk_of(sectors)
  local path = image.new(sectors)
  return provium:vm("v" .. math.random(1 << 40), "peios"):attach_disk({ id = "vda", image = path }), path
end

test("a read that reaches past the end gives what is there", function(t)
  page_says([[It is shorter at the end of the disk, and empty past it]])
  local disk, path = disk_of(8)
  disk:write_sectors(7, ("x"):rep(512))
  t:assert_eq(disk:read_sectors(7, 4), ("x"):rep(512))
  for _, n in ipairs({ 100, 1 << 20, 1 << 50, math.maxinteger }) do
    t:assert_eq(#disk:read_sectors(6, n), 1024, n)
  end
  t:assert_eq(disk:read_sectors(8, 1), "")
  t:assert_eq(disk:read_sectors(1 << 40, 1), "")
  t:assert_eq(disk:read_sectors(1 << 40, 1 << 40), "")
  os.remove(path)
end)

test("a read gives half a sector where an image ends there", function(t)
  local disk, path = disk_of(2)
  os.execute("truncate -s 700 " .. path)
  t:assert_eq(#disk:read_sectors(0, 2), 700)
  t:assert_eq(#disk:read_sectors(1, 1), 188)
  os.remove(path)
end)

test("a fault is met past the end too", function(t)
  local disk, path = disk_of(8)
  disk:fault_inject("eio_read")
  local err = t:assert_raises(function() disk:read_sectors(8, 1) end)
  t:assert_contains(err, "disk:read_sectors: EIO (fault_inject)")
  os.remove(path)
end)
