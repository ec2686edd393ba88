-- Guests that resume one saved state are independent, and behave like booted guests.
local image = require("image")
local page_says = require("page_says")

-- The first VM saves the state from which the others go on.
provium:vm("first", "peios"):boot():close()

local function boot(name, options)
  return provium:vm(name, "peios"):boot(options)
end

local function draw(vm)
  return vm:run("for i in 1 2 3 4; do cat /proc/sys/kernel/random/uuid; done").stdout
end

test("two guests from one state draw different random numbers", function(t)
  page_says("its random numbers differ from those of every other guest", "docs/testing.md")
  local one, other = draw(boot("one")), draw(boot("other"))
  t:assert_eq(#one, 4 * 37)
  for uuid in one:gmatch("%S+") do
    t:assert(not other:find(uuid, 1, true), uuid .. " came twice")
  end
end)

test("a guest has the host's time", function(t)
  page_says("its clock is set to the host's time", "docs/testing.md")
  for i = 1, 3 do
    local vm = boot("v" .. i)
    local before = os.time()
    local now = vm:clock():get()
    t:assert(now > before - 1 and now < os.time() + 2, ("%.3f at %d"):format(now, before))
  end
end)

test("disks that were attached before the boot are there, in that order", function(t)
  page_says("`/dev/vda`, `/dev/vdb` and so on follow the order in which disks were attached", "docs/testing.md")
  local vm = provium:vm("v", "peios")
  local paths = {}
  for i, id in ipairs({ "zeta", "alpha", "mid" }) do
    paths[i] = image.new(2048 * i)
    vm:attach_disk({ id = id, image = paths[i] })
  end
  vm:disk("alpha"):fault_inject("eio_read")
  vm:boot({ disks = { { scratch = "4M", id = "last" } } })
  for i, letter in ipairs({ "a", "b", "c", "d" }) do
    local sectors = vm:run("cat /sys/block/vd" .. letter .. "/size").stdout
    t:assert_eq(tonumber(sectors), 2048 * (i == 4 and 4 or i))
  end
  t:assert_eq(vm:run("cat /sys/block/vdb/serial").stdout:match("%w+"), "alpha")
  t:assert(not vm:run("dd if=/dev/vdb of=/dev/null count=1 iflag=direct"):ok())
  vm:run("dd if=/dev/vdc of=/dev/null count=1 iflag=direct"):assert_ok()
  for _, path in ipairs(paths) do os.remove(path) end
end)

test("files from the boot's options are there, and in no other guest", function(t)
  local vm = boot("v", { files = { { path = "/etc/mine", content = "mine\n", mode = "0640" } } })
  t:assert_eq(vm:read_file("/etc/mine"), "mine\n")
  t:assert(not boot("other"):run("test -e /etc/mine"):ok())
end)

test("the console has the messages of the boot, is expected and typed into", function(t)
  page_says("Its console has the messages of the boot that was saved", "docs/testing.md")
  local console = boot("v"):console()
  t:assert_contains(console:read_log(), "Linux version")
  console:expect("Run /init")
  console:expect("provium-guest:~#")
  console:write("echo typed $((40 + 2))\n")
  console:expect("typed 42", "10s")
end)

test("a guest is reset, and boots for real", function(t)
  page_says("`vm:reset()`, which never resumes a state", "docs/testing.md")
  local vm = boot("v")
  vm:write_file("/tmp/before", "x")
  vm:reset()
  t:assert(not vm:run("test -e /tmp/before"):ok())
  vm:run("true"):assert_ok()
end)

test("a guest is shut down and boots again", function(t)
  local vm = boot("v")
  vm:write_file("/tmp/before", "x")
  vm:shutdown()
  vm:boot()
  t:assert(not vm:run("test -e /tmp/before"):ok())
  t:assert_contains(vm:console():read_log(), "Power down")
end)

test("a guest is paused, resumed, and notices the power button", function(t)
  local vm = boot("v")
  vm:pause()
  vm:resume()
  vm:run("true"):assert_ok()
  vm:power_button()
  wait_until(function() return vm:state() == "shutdown" end, { timeout = 50 })
end)

test("a panic is told at once", function(t)
  local vm = boot("v")
  local err = t:assert_raises(function() vm:run("echo c > /proc/sysrq-trigger") end)
  t:assert_contains(err, "vm:run: the guest's kernel panicked: ")
end)

test("a cold boot has nothing of the saved one", function(t)
  page_says("| of one guest | `vm:boot({cold = true})`", "docs/testing.md")
  local vm = boot("v", { cold = true })
  t:assert(not vm:run("test -e /run/provium-wake"):ok())
  t:assert(boot("w"):run("test -e /run/provium-wake"):ok())
end)
