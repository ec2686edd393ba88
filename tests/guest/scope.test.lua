-- The scope of processes, VMs and settings: a test, or its file.
local page_says = require("page_says")
local vm = provium:vm("g", "peios"):boot()
provium.timeout = "45s"
local of_file = vm:run_async("sleep", { "1001" })

-- `scope.test.lua:LINE: `, of the line from which this is called.
local function here()
  return ("scope.test.lua:%d: "):format(debug.getinfo(2, "l").currentline)
end

-- Returns the number of running `sleep SECONDS` in the guest.
local function sleepers(seconds)
  local all = vm:run("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '").stdout
  return select(2, all:gsub("sleep " .. seconds .. " ", ""))
end

test("processes that a test starts on a VM of the file run until its end", function(t)
  local process = vm:run_async("sleep", { "1002" })
  vm:run_async("/bin/sh", { "-c", "sleep $1 & sleep $1; true", "sh", "1003" })
  local worker = vm:spawn_worker()
  worker:run_async("sleep", { "1004" })
  t:assert_eq(process:status(), "running")
  wait_until(function()
    return sleepers(1002) == 1 and sleepers(1003) == 2 and sleepers(1004) == 1
  end, { desc = "all sleepers" })
end)

test("processes of the test before have ended, and those of the file go on", function(t)
  for _, seconds in ipairs({ 1002, 1003, 1004 }) do
    t:assert_eq(sleepers(seconds), 0)
  end
  t:assert_eq(sleepers(1001), 1)
  t:assert_eq(of_file:status(), "running")
end)

test("a process is started on a VM that the test leaves paused", function(t)
  vm:run_async("sleep", { "1005" })
  vm:pause()
end)

test("a process of the test before is there when its paused VM goes on", function(t)
  page_says([[is killed at the end of the test too, unless that VM is paused at that time]])
  vm:resume()
  t:assert_eq(sleepers(1005), 1)
end)

test("a VM of a test is created", function(t)
  provium:vm("own", "peios")
end)

test("a VM of the test before has ended, and its name is free", function(t)
  t:assert_contains(t:assert_raises(function() provium:vm("own") end), "no vm `own`")
end)

test("assert_raises takes the failures of t in its function, which fail nothing", function(t)
  local place
  local err = t:assert_raises(function() place = here() t:assert_eq(1, 2, "sum") end)
  t:assert_contains(err, place .. "sum: 1 ~= 2")
  t:assert_raises(function() t:fail("on purpose") end)
  local function nothing() end
  t:assert_contains(t:assert_raises(function() t:assert_raises(nothing) end), "assert_raises: expected to raise")
  t:assert_contains(t:assert_raises(function() t:assert_raises(nothing, "msg") end), "msg: expected to raise")
end)

test("settings of a file are made while it is read, and unknown ones are errors", function(t)
  page_says([[Setting anything else is an error]])
  local place
  local function set(key, value)
    return t:assert_raises(function() place = here() provium[key] = value end)
  end
  t:assert_eq(provium.timeout, "45s")
  local late = set("timeout", 1)
  t:assert_contains(late, place .. "provium.timeout: set it at file level; the tests run already")
  t:assert_contains(set("timeuot", 1), "provium: `timeuot` cannot be set (known: reset_between_tests, timeout)")
  t:assert_contains(set("reset_between_tests", true), "provium.reset_between_tests: set it at file level")
end)

test("null in JSON is nil, and a hole where an array has one", function(t)
  page_says([[`null` becomes nil: a missing key, or a hole in an array]])
  local decoded = json.decode('{"a":null,"list":[1,null,3],"none":[]}')
  t:assert_eq(decoded.a, nil)
  t:assert_eq(decoded.list[2], nil)
  t:assert_eq(decoded.list[3], 3)
  t:assert_eq(json.encode(decoded), '{"list":[1,null,3],"none":[]}')
  t:assert_eq(json.encode({ 1, json.null }), "[1,null]")
  t:assert_eq(json.decode("null"), nil)
end)
