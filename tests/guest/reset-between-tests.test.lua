-- After each test, the VMs of the file go back to what they were when the first one began. Both tests do the same, so the
-- one that runs second proves it.
provium.reset_between_tests = true

local vm = provium:vm("shared", "peios"):boot({ disks = { { scratch = "2M", id = "a" } } })
local disk = vm:disk("a")
local process = vm:run_async("sleep 1000")
vm:write_file("/run/marker", "of the file")

for _, name in ipairs({ "one", "other" }) do
  test(name .. " test finds what the file has left", function(t)
    t:assert_eq(vm:state(), "booted")
    t:assert_eq(vm:read_file("/run/marker"), "of the file")
    t:assert_eq(process:status(), "running")
    t:assert_eq(#disk:rules(), 0)
    t:assert_eq(vm:run("head -c 4 /dev/vda").stdout, ("\0"):rep(4))

    vm:write_file("/run/marker", "of a test")
    vm:run("echo mine | dd of=/dev/vda conv=notrunc,fsync"):assert_ok()
    disk:fault_inject("error op=read")
    process:kill("KILL")
    vm:power_cut()
  end)
end
