local vm = require("broken").guest()

test("reboot", function(t)
  vm:run("echo about to reboot > /dev/console; echo b > /proc/sysrq-trigger; sleep 1"):assert_ok()
end)
