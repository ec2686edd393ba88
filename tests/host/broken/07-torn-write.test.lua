local vm, disk, dev = require("broken").guest()

test("torn write", function(t)
  disk:fault_inject("tear op=write at=0+8 keep=3")
  vm:run("tr '\\0' A < /dev/zero | dd of=" .. dev .. " bs=4k count=1 iflag=fullblock oflag=direct"):assert_ok()
  t:assert_eq(disk:read_sectors(0, 8), ("A"):rep(4096), "what was written")
end)
