local vm, disk, dev = require("broken").guest()

test("lost write", function(t)
  disk:fault_inject("lose op=write at=8+8 times=1")
  vm:run("tr '\\0' A < /dev/zero | dd of=" .. dev .. " bs=4k count=4 iflag=fullblock oflag=direct"):assert_ok()
  local other = vm:run("dd if=" .. dev .. " bs=4k count=4 iflag=direct | tr -d A | wc -c")
  t:assert_eq(tonumber(other.stdout), 0, "bytes that are not what was written")
end)
