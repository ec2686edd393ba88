local vm = require("broken").guest()

test("missing disk", function(t)
  vm:run("dd if=/dev/vdb of=/dev/null bs=4k count=1"):assert_ok()
end)
