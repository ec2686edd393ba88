-- Relative paths of the host start at the folder of the test file, in every call that takes one.
local image = require("image")
local page_says = require("page_says")

local here = debug.getinfo(1, "S").source:sub(2):match("(.*/)[^/]*$") or ""

-- A name for a file that is not there, relative and as io takes it.
local function new_name(ending)
  local name = ("paths-%x%s"):format(math.random(1 << 40), ending)
  return name, here .. name
end

-- An image of 8 sectors beside this file.
local function new_image()
  local name, path = new_name(".img")
  local from = image.new(8)
  assert(os.execute(("mv %s %s"):format(from, path)))
  return name, path
end

local function missing(t, fn)
  local err = t:assert_raises(fn)
  t:assert_contains(err, here .. "no-such")
end

test("attached disks and boot disks, whatever the key", function(t)
  page_says("A relative one starts at the folder of the test file")
  local name, path = new_image()
  local vm = provium:vm("v", "peios")
  for key in ("path image template"):gmatch("%a+") do
    local disk = vm:attach_disk({ id = key, [key] = name })
    t:assert_eq(disk:size(), 8 * 512)
    disk:detach()
    missing(t, function() vm:attach_disk({ [key] = "no-such.img" }) end)
    missing(t, function() vm:boot({ disks = { { [key] = "no-such.img" } } }) end)
    local defaults = provium:vm("defaults-" .. key, "peios", { disks = { { [key] = "no-such.img" } } })
    missing(t, function() defaults:boot() end)
  end
  os.remove(path)
end)

test("calls through pcall, in a coroutine and without a line of their own", function(t)
  local name, path = new_image()
  local vm = provium:vm("v", "peios")
  local ok, disk = pcall(vm.attach_disk, vm, { id = "a", image = name })
  t:assert(ok, disk)
  disk:detach()
  coroutine.wrap(function() vm:attach_disk({ id = "b", image = name }):detach() end)()
  coroutine.wrap(vm.attach_disk)(vm, { id = "c", image = name }):detach()
  os.remove(path)
end)

test("a call in a module of another folder, too", function(t)
  local paths = dofile((here == "" and "./" or here) .. "elsewhere/paths.lua")
  local name, path = new_image()
  local vm = provium:vm("v", "peios")
  t:assert_eq(paths.attach(vm, { image = name }):size(), 8 * 512)
  missing(t, function() paths.attach(vm, { id = "b", image = "no-such.img" }) end)
  os.remove(path)
end)

test("write logs, states and their base", function(t)
  page_says("Relative paths, also that of `base`, start at the folder of the test file")
  local name, path = new_image()
  local log, log_path = new_name(".log")
  local disk = provium:vm("v", "peios"):attach_disk({ image = name })
  disk:record(log)
  disk:write_sectors(0, ("x"):rep(512))
  disk:record_stop()
  t:assert(io.open(log_path), "the log lies elsewhere")
  local function count(next)
    local states = 0
    for _ in next do states = states + 1 end
    return states
  end
  t:assert_eq(count(provium:states(log)), 2)
  t:assert_eq(count(provium:states(log, { base = "none" })), 2)
  t:assert_eq(count(provium:states(log, { base = name })), 1, "the image has what was written")
  t:assert_eq(count(disk:states({ base = name })), 1)
  t:assert_crash_safe(log, { check = "true" })
  missing(t, function() provium:states("no-such.log") end)
  missing(t, function() provium:states(log, { base = "no-such.img" }) end)
  missing(t, function() t:assert_crash_safe("no-such.log", { check = "true" }) end)
  missing(t, function() provium:vm("v"):try_states("no-such.log", {}, print) end)
  os.remove(path)
  os.remove(log_path)
  os.remove(log_path .. ".base")
end)
