local vm, disk, dev = require("broken").guest()

test("held read", { timeout = 4 }, function(t)
  disk:fault_inject("hang op=read at=2048+8")
  vm:run("dd if=" .. dev .. " of=/dev/null bs=4k count=512 iflag=direct"):assert_ok()
end)
