-- Successful and failed boots. A failed boot reports its cause, with the end of the console.

local page_says = require("page_says")
test("shutdown and boot again keep the disks", function(t)
  local path = require("image").new(2048)
  local vm = provium:vm("v", "peios")
  local d = vm:attach_disk({ id = "vda", image = path })
  vm:boot({ memory = "192M", cpus = 2, kernel_cmdline = "added=1" })
  t:assert_contains(vm:run("cat /proc/cmdline").stdout, "added=1")
  t:assert_eq(vm:run("nproc").stdout, "2\n")
  d:fault_inject("eio_read")
  t:assert(not vm:run("dd if=/dev/vda of=/dev/null count=1 iflag=direct"):ok())
  vm:shutdown()
  t:assert_eq(vm:state(), "shutdown")
  d:clear_faults()
  vm:boot()
  vm:run("dd if=/dev/vda of=/dev/null count=1 iflag=direct"):assert_ok()
  os.remove(path)
end)

test("a kernel that panics while it boots is told at once, with its panic", function(t)
  page_says("The error then has the end of the guest's console")
  local vm = provium:vm("p", "panics")
  local err = t:assert_raises(function() vm:boot() end)
  t:assert_contains(err, "vm:boot: the guest's kernel panicked: ")
  t:assert_contains(err, "Kernel panic - not syncing")
  t:assert_contains(err, "the guest's console ends with:")
  t:assert_eq(vm:state(), "dead")
end)

test("a guest whose agent never answers fails at the deadline, with its console", function(t)
  local limit, err = 4, nil
  repeat -- On a busy machine a guest prints late.
    local vm = provium:vm("m" .. limit, "mute")
    err = t:assert_raises(function() vm:boot({ agent_timeout = limit }) end)
    local says = "vm:boot: no guest agent answered within %ds: the guest has not opened the virtio-serial port"
    t:assert_contains(err, says:format(limit))
    limit = 2 * limit
  until err:find("the guest's console ends with:", 1, true) or limit > 20
  t:assert_contains(err, "the guest's console ends with:")
end)

test("a port of which only a change tells the name is found", function(t)
  local vm = provium:vm("v", "peios"):boot()
  local link = "/dev/virtio-ports/org.qemu.guest_agent.0"
  vm:run("rm " .. link .. "; echo change > /sys/class/virtio-ports/vport1p1/uevent"):assert_ok()
  wait_until(function() return vm:run("test -c " .. link):ok() end, { desc = "the port" })
end)

test("a QEMU that does not start says why", function(t)
  local vm = provium:vm("q", "peios")
  local err = t:assert_raises(function() vm:boot({ memory = "900T" }) end)
  t:assert_contains(err, "vm:boot: QEMU exited with exit status: 1")
  t:assert_contains(err, "memory")
  t:assert_eq(vm:state(), "dead")
end)

test("a kernel that is not there is named", function(t)
  local err = t:assert_raises(function() provium:vm("n", "nowhere"):boot() end)
  t:assert_contains(err, "kernel ")
  t:assert_contains(err, "no-such-kernel of profile `nowhere` does not exist")
end)

test("a guest that panics in a command is told at once", function(t)
  page_says([[The state becomes `dead` when]])
  local vm = provium:vm("v", "peios"):boot()
  local before = os.time()
  local err = t:assert_raises(function() vm:run("echo c > /proc/sysrq-trigger") end)
  t:assert(os.time() - before <= 15, "it took too long to notice") -- without word of it: 20 s
  t:assert_contains(err, "vm:run: the guest's kernel panicked: ")
  t:assert_eq(vm:state(), "dead")
  t:assert_contains(t:assert_raises(function() vm:run("true") end), "vm:run: vm `v` is dead")
end)

test("memory and processors that no guest can have are refused before anything starts", function(t)
  page_says([[a size, 16M or more: `"256M"`, or a number of bytes]])
  page_says([[the number of processors: 1 to 255]])
  local vm = provium:vm("v", "peios")
  local memory = "vm:boot: `memory` expects a size of 16M or more with a unit, such as \"256M\", or a number of bytes, not "
  for wrong, shown in pairs({ lots = '"lots"', [5] = "5", ["512"] = '"512"', ["5M"] = '"5M"' }) do
    t:assert_contains(t:assert_raises(function() vm:boot({ memory = wrong }) end), memory .. shown)
  end
  for wrong, shown in pairs({ [0] = "0", [-1] = "-1", [1.5] = "1.5", [256] = "256", many = '"many"' }) do
    local err = t:assert_raises(function() vm:boot({ cpus = wrong }) end)
    t:assert_contains(err, "vm:boot: `cpus` expects a whole number from 1 to 255, not " .. shown)
  end
  t:assert_eq(vm:state(), "created")
end)

test("an unknown boot option is named with the known ones", function(t)
  page_says([[An unknown option is an error that names the known ones]])
  local err = t:assert_raises(function() provium:vm("v", "peios"):boot({ memroy = "1G" }) end)
  t:assert_contains(err, "vm:boot: unknown option `memroy` (known: memory, cpus, kernel_cmdline, kernel_cmdline_append, files, disks, agent_timeout, cold)")
end)
