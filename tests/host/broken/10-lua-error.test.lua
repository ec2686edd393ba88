local vm, disk = require("broken").guest()

test("Lua error", function(t)
  disk:fault_inject("eio_raed")
  disk:read_sectors(0, 1)
end)
