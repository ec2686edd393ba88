local vm, disk, dev = require("broken").guest()

test("assertion", function(t)
  vm:run("printf hello | dd of=" .. dev .. " bs=512 conv=sync,fsync"):assert_ok()
  t:assert_eq(disk:read_sectors(0, 1):sub(1, 5), "HELLO", "the first sector")
end)
