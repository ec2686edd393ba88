local vm = require("broken").guest()

test("panic", function(t)
  vm:run("echo about to crash > /dev/console; echo c > /proc/sysrq-trigger"):assert_ok()
end)
