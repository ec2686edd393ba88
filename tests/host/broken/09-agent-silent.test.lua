local vm = require("broken").guest()

test("agent silent", { timeout = 4 }, function(t)
  vm:run("kill -STOP $(pidof qemu-ga)"):assert_ok()
end)
