local vm = require("broken").guest()

test("time-out", { timeout = 4 }, function(t)
  wait_until(function()
    return vm:run("test -e /run/ready"):ok()
  end, { timeout = 60, desc = "/run/ready" })
end)
