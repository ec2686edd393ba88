-- The Lua calls around the disk, one by one. One guest for the whole file. The tests are independent, except one
-- that says so.
local image = require("image")
local page_says = require("page_says")
local vm = provium:vm("g", "peios", { kernel_cmdline = "made=1" }):boot()

-- Returns the error of `fn`, without the `file:line: ` in front.
local function raised(fn)
  local ok, err = pcall(fn)
  assert(not ok, "expected to raise")
  return (err:gsub("^[^:]+:%d+: ", ""))
end

local function sleepers(seconds)
  return require("sleepers")(vm, seconds)
end

local function await_sleepers(seconds, count)
  local function counted() return sleepers(seconds) == count end
  wait_until(counted, { desc = ("%d x `sleep %d`"):format(count, seconds) })
end

---------------------------------------------------------------------------------------------------
-- test, wait_until, json

local twice, duplicate = "test(name, fn) refuses a name that its file has already", nil
test(twice, function(t)
  page_says([[``test: duplicate name `X` in this file``]])
  t:assert_eq(duplicate, "test: duplicate name `" .. twice .. "` in this file")
end)
duplicate = raised(function() test(twice, print) end)

local wrong = { {}, { "x" }, { "x", {} }, { 7, print }, { print }, { "x", "meta", print }, { "x", print, {} } }
local refused = {}
for _, args in ipairs(wrong) do
  table.insert(refused, raised(function() test(table.unpack(args)) end))
end
test("test(name, [meta,] fn) refuses other arguments", function(t)
  t:assert_eq(#refused, #wrong)
  for _, message in ipairs(refused) do
    t:assert_eq(message, "test(name, [meta,] fn): bad arguments")
  end
end)

test("test with meta.skip = true is left out", { skip = true }, function() error("it ran") end)

test("test with a reason in meta.skip is left out", { skip = "for this reason" }, function() error("it ran") end)

local owner = { name = "somebody" }
local meta = { tags = { "api", "quick" }, timeout = "30s", slow = false, ticket = 17, owner = owner }
test("t.meta has every key that the file gives", meta, function(t)
  t:assert_eq(table.concat(t.meta.tags, ","), "api,quick")
  t:assert_eq(t.meta.timeout, "30s")
  t:assert_eq(t.meta.slow, false)
  t:assert_eq(t.meta.ticket, 17)
  t:assert_eq(t.meta.owner, owner)
end)

test("t.meta is an empty table when the file gives none", function(t)
  page_says("`t.meta` is empty without one")
  t:assert_eq(next(t.meta), nil)
end)

test("t.name is the name of the test", function(t)
  t:assert_eq(t.name, "t.name is the name of the test")
end)

test("wait_until returns the first truthy value", function(t)
  local calls = 0
  local function third()
    calls = calls + 1
    return calls == 3 and "third"
  end
  t:assert_eq(wait_until(third, { interval = "1ms" }), "third")
  t:assert_eq(calls, 3)
end)

test("wait_until says what was not met within which time", function(t)
  page_says([[`wait_until: DESC not met within Ns`]])
  page_says([[desc="condition"]])
  local function never() end
  local options = { timeout = "100ms", interval = "10ms", desc = "the light" }
  t:assert_eq(raised(function() wait_until(never, options) end), "wait_until: the light not met within 0.1s")
  t:assert_eq(raised(function() wait_until(never, { timeout = 0.2 }) end), "wait_until: condition not met within 0.2s")
end)

test("wait_until lets through what its predicate raises", function(t)
  page_says([[errors of `pred` |]])
  local mine = { code = 5 }
  t:assert_eq(t:assert_raises(function() wait_until(function() error(mine) end) end), mine)
end)

test("json.encode and json.decode keep 64-bit integers exact", function(t)
  page_says([[A signed 64-bit integer stays exact]])
  for _, number in ipairs({ math.maxinteger, math.mininteger, (1 << 53) + 1, 0, -1 }) do
    t:assert_eq(json.encode(number), tostring(number))
    t:assert_eq(json.decode(tostring(number)), number)
    t:assert_eq(math.type(json.decode(tostring(number))), "integer")
  end
end)

test("json.encode gives back the text that json.decode was given", function(t)
  for _, text in ipairs({ '[1,2.5,"three",true,[]]', '{"a":{"b":[{"c":-7}]}}', [["\"\\\n\t\u0000ä"]] }) do
    t:assert_eq(json.encode(json.decode(text)), text)
  end
end)

test("json.decode refuses what is not JSON, json.encode what JSON cannot say", function(t)
  t:assert_contains(raised(function() json.decode("{") end), "json.decode: ")
  t:assert_contains(raised(function() json.decode("[1,]") end), "json.decode: ")
  t:assert_contains(raised(function() json.encode({ print }) end), "json.encode: ")
end)

---------------------------------------------------------------------------------------------------
-- t. A failed assertion fails its test even in a pcall, so these tests use a `t` of their own.

test("t:assert says `assertion failed`, or its message", function(t)
  page_says([[`assertion failed`]])
  t:assert(0)
  t:assert("")
  t:assert_eq(raised(function() t.assert({}, nil) end), "assertion failed")
  t:assert_eq(raised(function() t.assert({}, false, "my message") end), "my message")
end)

test("t:assert_eq and t:assert_neq compare raw", function(t)
  page_says([[`assert_eq failed: A ~= B`]])
  page_says([[`assert_neq failed: A == B`]])
  page_says('1 equals 1.0, but not `"1"`')
  local always = { __eq = function() return true end }
  local one, other = setmetatable({}, always), setmetatable({}, always)
  t:assert_eq(one, one)
  t:assert_neq(one, other)
  t:assert_eq(raised(function() t.assert_eq({}, "a", "b") end), "assert_eq failed: a ~= b")
  t:assert_eq(raised(function() t.assert_eq({}, 1, "1") end), 'assert_eq failed: 1 ~= "1"')
  t:assert_eq(1, 1.0)
  t:assert_eq(raised(function() t.assert_eq({}, "nil", nil) end), 'assert_eq failed: "nil" ~= nil')
  t:assert_eq(raised(function() t.assert_neq({}, nil, nil) end), "assert_neq failed: nil == nil")
end)

test("t:assert_eq and t:assert_neq put their message before the colon", function(t)
  page_says([[`message` replaces the text, or the part of the text before its colon]])
  t:assert_eq(raised(function() t.assert_eq({}, 1, 2, "the sum") end), "the sum: 1 ~= 2")
  t:assert_eq(raised(function() t.assert_neq({}, 2, 2, "the sum") end), "the sum: 2 == 2")
end)

test("t:assert_contains finds plain text", function(t)
  page_says([[`assert_contains failed: N not found in: H`]])
  t:assert_contains("100 % a.b", "% a.")
  local err = raised(function() t.assert_contains({}, "abc", "a.c") end)
  t:assert_eq(err, "assert_contains failed: a.c not found in: abc")
  t:assert_contains(42, 4)
  t:assert_contains(setmetatable({}, { __tostring = function() return "like this" end }), "like")
end)

test("t:assert_contains names an argument that has no text", function(t)
  local wrong = "t:assert_contains: argument %s: expected string or number, got %s"
  t:assert_eq(raised(function() t:assert_contains({}, "0x") end), wrong:format("1 (haystack)", "a table"))
  t:assert_eq(raised(function() t:assert_contains("x") end), wrong:format("2 (needle)", "nil"))
end)

test("t:assert_raises returns the error value", function(t)
  page_says([[`assert_raises: expected to raise`]])
  local mine = {}
  t:assert_eq(t:assert_raises(function() error(mine) end), mine)
  t:assert_eq(raised(function() t.assert_raises({}, function() end) end), "assert_raises: expected to raise")
end)

test("t:fail says that it was meant, or its message", function(t)
  page_says([[`explicit failure (t:fail)`]])
  t:assert_eq(raised(function() t.fail({}) end), "explicit failure (t:fail)")
  t:assert_eq(raised(function() t.fail({}, "worn out") end), "worn out")
end)

test("t:skip ends the test there", function(t)
  page_says([[ends the test as skipped]])
  t:skip("for this reason")
  error("it went on")
end)

test("t:log takes any values and returns nothing", function(t)
  t:log("several", 7, nil)
  for _, value in ipairs({ "text", 7, true, {} }) do
    t:assert_eq(select("#", t:log(value)), 0)
  end
  t:log(nil)
end)

test("an error begins with the file and the line of the call", function(t)
  page_says("An error is a string. It has file and line of the call, the name of the call, and the problem")
  local line = debug.getinfo(1, "l").currentline + 1
  local err = t:assert_raises(function() vm:run(7) end)
  t:assert_contains(err, "calls.test.lua:" .. line .. ": vm:run: ")
end)

---------------------------------------------------------------------------------------------------
-- provium:vm and the life of a VM

test("provium:vm(name, profile) creates a VM", function(t)
  local own = provium:vm("own", "peios")
  t:assert_eq(own:name(), "own")
  t:assert_eq(own:profile(), "peios")
  t:assert_eq(own:state(), "created")
  t:assert_contains(raised(function() provium:vm("own", "peios") end), "vm `own`")
end)

test("provium:vm(name) looks up a VM of the test or of the file", function(t)
  provium:vm("own", "peios")
  t:assert_eq(provium:vm("own"):state(), "created")
  t:assert_eq(provium:vm("g"):run("echo the same").stdout, "the same\n")
  t:assert_contains(raised(function() provium:vm("nobody") end), "vm `nobody`")
end)

test("provium:vm(name, profile, opts) keeps opts for the boot", function(t)
  t:assert_contains(vm:run("cat /proc/cmdline").stdout, " made=1")
end)

local left
test("a VM made inside a test lives as long as the test", function(t)
  left = provium:vm("left", "peios")
  t:assert_eq(left:state(), "created")
end)

test("a VM made inside a test is closed at its end", function(t)
  if not left then t:skip("needs the test before it") end
  t:assert_eq(left:state(), "shutdown")
  t:assert_contains(raised(function() provium:vm("left") end), "vm `left`")
end)

test("vm:name(), vm:profile() and vm:state() of a booted VM", function(t)
  t:assert_eq(vm:name(), "g")
  t:assert_eq(vm:profile(), "peios")
  t:assert_eq(vm:state(), "booted")
end)

test("vm:boot gives up after agent_timeout", function(t)
  page_says([[the time limit of the whole boot]])
  local expected, err, seconds, mute = nil, "", 0.5, nil
  repeat -- QEMU itself may take long to start.
    seconds = 2 * seconds
    mute = provium:vm("own" .. seconds, "mute")
    err = raised(function() mute:boot({ agent_timeout = seconds .. "s" }) end)
    expected = ("vm:boot: no guest agent answered within %gs: "):format(seconds)
  until err:find(expected, 1, true) or seconds > 60
  t:assert_contains(err, expected)
  t:assert_eq(mute:state(), "dead")
end)

test("vm:boot refuses an option that it does not know", function(t)
  t:assert_contains(raised(function() provium:vm("own", "peios"):boot({ memroy = "1G" }) end), "`memroy`")
end)

-- The calls that need a running guest.
local calls = {
  ["vm:run"] = function(v) v:run("true") end,
  ["vm:run_async"] = function(v) v:run_async("true") end,
  ["vm:pause"] = function(v) v:pause() end,
  ["vm:resume"] = function(v) v:resume() end,
  ["vm:reset"] = function(v) v:reset() end,
  ["vm:power_button"] = function(v) v:power_button() end,
  ["vm:read_file"] = function(v) v:read_file("/x") end,
  ["vm:write_file"] = function(v) v:write_file("/x", "") end,
  ["vm:push_file"] = function(v) v:push_file("calls.test.lua", "/x") end,
  ["vm:stat"] = function(v) v:stat("/") end,
  ["vm:listdir"] = function(v) v:listdir("/") end,
  ["vm:mkdir"] = function(v) v:mkdir("/x") end,
  ["vm:unlink"] = function(v) v:unlink("/x") end,
  ["vm:rename"] = function(v) v:rename("/x", "/y") end,
  ["console:expect"] = function(v) v:console():expect("x", 0) end,
  ["clock:get"] = function(v) v:clock():get() end,
  ["clock:get_ns"] = function(v) v:clock():get_ns() end,
  ["clock:set"] = function(v) v:clock():set(0) end,
  ["clock:advance"] = function(v) v:clock():advance(1) end,
}

-- The part of `call`'s error that names the state.
local function state_error(call, v)
  return raised(function() calls[call](v) end):match("^(.- is %a+)")
end

test("every call that needs a running guest names the state created", function(t)
  page_says([[A call in the wrong state raises an error that names the state]])
  local own = provium:vm("own", "peios")
  for call in pairs(calls) do
    t:assert_eq(state_error(call, own), call .. ": vm `own` is created")
  end
end)

test("every call that needs a running guest names the state shutdown, and that it was closed", function(t)
  local own = provium:vm("own", "peios")
  own:close()
  for call, make in pairs(calls) do
    t:assert_eq(state_error(call, own), call .. ": vm `own` is shutdown")
    t:assert_contains(raised(function() make(own) end), "(not booted: it was closed)")
  end
end)

test("vm:boot() and vm:resume() of a booted VM name its state", function(t)
  t:assert_eq(raised(function() vm:boot() end):match("^(.- is %a+)"), "vm:boot: vm `g` is booted")
  t:assert_eq(state_error("vm:resume", vm), "vm:resume: vm `g` is booted")
end)

test("vm:pause() and vm:resume() stop the guest and let it go on", function(t)
  local function uptime() return tonumber(vm:read_file("/proc/uptime"):match("%S+")) end
  local passed, state, run, pause
  local took = image.time(function()
    local before = uptime()
    vm:pause()
    state, run, pause = vm:state(), state_error("vm:run", vm), state_error("vm:pause", vm)
    vm:clock():sleep("800ms")
    vm:resume()
    t:assert_eq(vm:state(), "booted")
    passed = uptime() - before
  end)
  t:assert(passed <= took - 0.75, "the guest went on")
  t:assert_eq(state, "paused")
  t:assert_eq(run, "vm:run: vm `g` is paused")
  t:assert_eq(pause, "vm:pause: vm `g` is paused")
end)

test("vm:reset() returns when the agent answers again", function(t)
  vm:write_file("/tmp/before", "")
  vm:reset()
  t:assert_eq(vm:state(), "booted")
  t:assert_eq(vm:run("test -e /tmp/before").exit_code, 1)
end)

test("vm:shutdown() ends one VM, provium:shutdown() and provium:boot() reach all of the scope", function(t)
  local own = provium:vm("own", "peios")
  local function states() return own:state() .. ", " .. vm:state() end
  provium:boot()
  local up = own:run("echo up").stdout
  own:shutdown()
  local one = states()
  provium:shutdown()
  local all, run, resume = states(), state_error("vm:run", own), state_error("vm:resume", own)
  own:close()
  provium:boot()
  local again = states()
  vm:boot() -- for the other tests
  t:assert_eq(up, "up\n")
  t:assert_eq(one, "shutdown, booted")
  t:assert_eq(all, "shutdown, shutdown")
  t:assert_eq(run, "vm:run: vm `own` is shutdown")
  t:assert_eq(resume, "vm:resume: vm `own` is shutdown")
  t:assert_eq(again, "shutdown, shutdown")
end)

test("vm:close() ends a VM for good, and does so twice", function(t)
  local own = provium:vm("own", "peios")
  own:close()
  own:close()
  t:assert_eq(own:state(), "shutdown")
  t:assert_eq(raised(function() own:boot() end):match("^(.- is %a+)"), "vm:boot: vm `own` is shutdown")
end)

---------------------------------------------------------------------------------------------------
-- vm:run and RunResult

test("vm:run(cmd) gives the string to sh -c", function(t)
  t:assert_eq(vm:run("echo $((6 * 7)) | tr 4 x").stdout, "x2\n")
end)

test("vm:run(cmd, {argv}) passes its arguments as they are", function(t)
  t:assert_eq(vm:run("printf", { "%s|", "two  words", "$HOME", "*", "", "a'b" }).stdout, "two  words|$HOME|*||a'b|")
end)

test("vm:run(cmd, {args, env, cwd, stdin}) sets what it names", function(t)
  local options = { args = { "-c", "cat; echo $WHO; pwd" }, env = { WHO = "me" }, cwd = "/proc", stdin = "typed\n" }
  t:assert_eq(vm:run("sh", options).stdout, "typed\nme\n/proc\n")
  t:assert_eq(vm:run("cat", { stdin = "\0\255" }).stdout, "\0\255")
end)

test("vm:run rejects a first argument that is not a string", function(t)
  for _, first in ipairs({ 7, {}, true }) do
    t:assert_eq(raised(function() vm:run(first) end), "vm:run: first argument must be a string")
  end
  t:assert_eq(raised(function() vm:run() end), "vm:run: first argument must be a string")
end)

test("RunResult has the exit code and the output of a command that exits", function(t)
  local result = vm:run("echo out; echo err >&2; exit 3")
  t:assert_eq(result.exit_code, 3)
  t:assert_eq(result.stdout, "out\n")
  t:assert_eq(result.stderr, "err\n")
  t:assert_eq(result.status, "exited")
  t:assert_eq(result.timed_out, false)
  t:assert_eq(result.signal, nil)
  t:assert_eq(result:ok(), false)
  t:assert_eq(vm:run("true"):ok(), true)
end)

test("RunResult has -1 and the signal of a command that was signalled", function(t)
  page_says([[-1 when a signal ended the command, -2 when its time was up]])
  local result = vm:run("kill -9 $$")
  t:assert_eq(result.exit_code, -1)
  t:assert_eq(result.signal, 9)
  t:assert_eq(result.timed_out, false)
  t:assert_eq(result:ok(), false)
end)

test("RunResult has -2 for a command that timed out, which is gone in the guest", function(t)
  local result = vm:run("sleep", { args = { "61" }, timeout = "200ms" })
  t:assert_eq(result.exit_code, -2)
  t:assert_eq(result.timed_out, true)
  t:assert_eq(result:ok(), false)
  t:assert_eq(sleepers(61), 0)
end)

test("RunResult:assert_ok() raises what the command said", function(t)
  page_says([[`` `COMMAND`: command failed: status=exited code=3 stdout="..." stderr="..." ``]])
  vm:run("true"):assert_ok()
  local result = vm:run([[echo out; echo 'a "b"' >&2; exit 3]])
  t:assert_eq(raised(function() result:assert_ok() end),
    [[`echo out; echo 'a "b"' >&2; exit 3`: command failed: status=exited code=3 stdout="out\n" stderr="a \"b\"\n"]])
end)

---------------------------------------------------------------------------------------------------
-- vm:run_async and Process

test("vm:run_async(...) takes the arguments of vm:run", function(t)
  t:assert_eq(vm:run_async("echo $((6 * 7))"):wait().stdout, "42\n")
  t:assert_eq(vm:run_async("echo", { "$HOME" }):wait().stdout, "$HOME\n")
  local options = { args = { "-c", "cat; echo $WHO; pwd" }, env = { WHO = "me" }, cwd = "/proc", stdin = "typed\n" }
  t:assert_eq(vm:run_async("sh", options):wait("20s").stdout, "typed\nme\n/proc\n")
end)

test("vm:run_async refuses a timeout", function(t)
  page_says([[A `timeout` is an error here]])
  t:assert_eq(raised(function() vm:run_async("true", { timeout = 1 }) end),
    "vm:run_async: `timeout` is not honoured here; pass it to `proc:wait(timeout)` instead")
end)

test("proc:wait() returns the RunResult, as often as it is asked", function(t)
  local proc = vm:run_async("echo out; exit 4")
  t:assert_eq(proc:wait().exit_code, 4)
  t:assert_eq(proc:wait().stdout, "out\n")
end)

test("proc:wait(timeout) kills a process that takes longer", function(t)
  local proc = vm:run_async("echo begun; sleep 60; echo over")
  await_sleepers(60, 1)
  local result = proc:wait("200ms")
  t:assert_eq(result.exit_code, -2)
  t:assert_eq(result.timed_out, true)
  t:assert_eq(result.stdout, "begun\n")
  t:assert_eq(sleepers(60), 0)
end)

test("proc:kill() sends TERM, proc:kill(sig) that signal", function(t)
  page_says([[`process:kill(signal="TERM")`]])
  for sig, number in pairs({ TERM = 15, KILL = 9, HUP = 1, SIGINT = 2, [10] = 10, ["12"] = 12 }) do
    local proc = vm:run_async("exec sleep 62")
    proc:kill(sig)
    t:assert_eq(proc:wait("50s").signal, number)
  end
  local proc = vm:run_async("exec sleep 62")
  t:assert_eq(raised(function() proc:kill("SIGNOPE") end),
    "process:kill: there is no signal `NOPE` (a name with or without SIG, as TERM or SIGINT, or a number)")
  proc:kill()
  t:assert_eq(proc:wait("50s").signal, 15)
end)

test("proc:pid() is the number of the process in the guest", function(t)
  local proc = vm:run_async("echo $$")
  t:assert_eq(proc:wait().stdout, proc:pid() .. "\n")
end)

test("proc:status() is running until the process ends", function(t)
  local proc = vm:run_async("until test -e /tmp/goes; do sleep 0.1; done")
  t:assert_eq(proc:status(), "running")
  vm:run("touch /tmp/goes")
  proc:wait()
  t:assert_eq(proc:status(), "exited")
end)

test("proc:close() ends the process, and does so twice", function(t)
  local proc = vm:run_async("sleep 63; true")
  await_sleepers(63, 1)
  proc:close()
  await_sleepers(63, 0)
  proc:close()
end)

---------------------------------------------------------------------------------------------------
-- files in the guest

test("vm:write_file and vm:read_file move any bytes", function(t)
  local data = ("\0\1\n\r\255"):rep(100000) -- more than one message to the agent
  vm:write_file("/tmp/data", data)
  t:assert(vm:read_file("/tmp/data") == data, "the bytes changed on their way")
  vm:write_file("/tmp/data", "short")
  t:assert_eq(vm:read_file("/tmp/data"), "short")
  t:assert_contains(raised(function() vm:read_file("/no/such") end), "No such file or directory")
  t:assert_contains(raised(function() vm:write_file("/no/such", "") end), "No such file or directory")
end)

test("vm:push_file(host, guest) begins at the folder of the calling file", function(t)
  vm:push_file("calls.test.lua", "/tmp/relative")
  local path = debug.getinfo(1, "S").source:sub(2)
  t:assert(vm:read_file("/tmp/relative") == io.open(path):read("a"), "it is not this file")
  t:assert_contains(raised(function() vm:push_file("no-such", "/tmp/x") end), "No such file or directory")
end)

test("vm:push_file(host, guest) takes an absolute path as it is", function(t)
  local path = image.new(1)
  vm:push_file(path, "/tmp/absolute")
  os.remove(path)
  t:assert_eq(vm:read_file("/tmp/absolute"), ("\0"):rep(512))
end)

test("vm:stat has the size, the mode and the kind, of what a link leads to", function(t)
  vm:run("printf 12345 > /tmp/stat && chmod 640 /tmp/stat && ln -sf nowhere /tmp/link"):assert_ok()
  local stat = vm:stat("/tmp/stat")
  t:assert_eq(stat.size, 5)
  t:assert_eq(stat.mode, tonumber("640", 8))
  t:assert_eq(stat.kind, "file")
  t:assert_eq(vm:stat("/tmp").kind, "dir")
  t:assert_contains(raised(function() vm:stat("/tmp/link") end), "No such file or directory")
  t:assert_eq(vm:stat("/dev/null").kind, "other")
  t:assert_contains(raised(function() vm:stat("/no/such") end), "No such file or directory")
end)

test("vm:listdir has the names, hidden ones too, but for . and ..", function(t)
  vm:run("rm -rf /tmp/list && mkdir /tmp/list && cd /tmp/list && touch b .hidden 'a b' && mkdir c"):assert_ok()
  local names = {}
  for _, entry in ipairs(vm:listdir("/tmp/list")) do table.insert(names, entry.name) end
  t:assert_eq(table.concat(names, "|"), ".hidden|a b|b|c")
  t:assert_contains(raised(function() vm:listdir("/no/such") end), "No such file or directory")
end)

test("vm:mkdir(p, {parents, perm}) makes those above it, with this mode", function(t)
  vm:run("rm -rf /tmp/up")
  t:assert_contains(raised(function() vm:mkdir("/tmp/up/down") end), "No such file or directory")
  vm:mkdir("/tmp/up/down", { parents = true, perm = tonumber("2750", 8) })
  t:assert_eq(vm:stat("/tmp/up/down").mode, tonumber("2750", 8))
  vm:mkdir("/tmp/up/beside")
  t:assert_eq(vm:stat("/tmp/up/beside").kind, "dir")
  t:assert_contains(raised(function() vm:mkdir("/tmp/up/beside") end), "File exists")
end)

test("vm:unlink removes a file, and no folder with something in it", function(t)
  vm:write_file("/tmp/-f", "")
  vm:unlink("/tmp/-f")
  t:assert_contains(raised(function() vm:unlink("/tmp/-f") end), "No such file or directory")
  vm:mkdir("/tmp/full/in", { parents = true })
  t:assert_contains(raised(function() vm:unlink("/tmp/full") end), "Directory not empty")
end)

test("vm:rename moves a file over another", function(t)
  vm:write_file("/tmp/from", "new")
  vm:write_file("/tmp/to", "old")
  vm:rename("/tmp/from", "/tmp/to")
  t:assert_eq(vm:read_file("/tmp/to"), "new")
  t:assert_contains(raised(function() vm:rename("/tmp/from", "/tmp/to") end), "No such file or directory")
end)

---------------------------------------------------------------------------------------------------
-- disks of a VM

test("vm:attach_disk{image} plugs a disk into a booted VM", function(t)
  local path = image.new(2048)
  local disk = vm:attach_disk({ id = "data", image = path })
  t:assert_eq(vm:run("blockdev --getsize64 /dev/disk/by-id/virtio-data").stdout, "1048576\n")
  t:assert_eq(vm:disk("data"):size(), 1048576)
  disk:detach()
  os.remove(path)
end)

test("vm:attach_disk{} without an image is a record on the host", function(t)
  local disk = vm:attach_disk({ id = "record", size = 512 * 1024 })
  t:assert_eq(disk:size(), 512 * 1024)
  t:assert_eq(vm:run("ls /sys/block | grep -c vd").stdout, "0\n")
  disk:detach()
end)

test("vm:attach_disk says how many disks a VM may have", { timeout = "3m" }, function(t)
  page_says("A VM has room for 49 disks with an image. The first 24 of them, including those of the boot, have slots of their own")
  page_says("A running guest takes up to 24 disks", "docs/testing.md")
  page_says([[`a running guest takes 24 disks, and has as many`]])
  local many = provium:vm("many", "peios")
  local paths = {}
  for n = 1, 50 do paths[n] = image.new(1) end
  for n = 1, 49 do many:attach_disk({ id = "d" .. n, image = paths[n] }) end
  local one_more = { id = "d50", image = paths[50] }
  t:assert_eq(raised(function() many:attach_disk(one_more) end),
    "vm:attach_disk: vm `many` has 49 disks with an image, and a machine has room for no more")
  many:boot()
  t:assert_eq(many:run("ls /sys/block | grep -c vd").stdout, "49\n")
  many:disk("d49"):detach()
  t:assert_eq(raised(function() many:attach_disk(one_more) end),
    "vm:attach_disk: a running guest takes 24 disks, and has as many")
  for n = 1, 50 do os.remove(paths[n]) end
end)

test("vm:attach_disk names an image that is missing", function(t)
  t:assert_contains(raised(function() vm:attach_disk({ id = "data", image = "/no/such.img" }) end), "/no/such.img")
end)

test("vm:disk(id) says which disk the VM has not", function(t)
  page_says([[``vm:disk: no disk `ID` attached to vm `NAME` ``]])
  t:assert_eq(raised(function() vm:disk("nope") end), "vm:disk: no disk `nope` attached to vm `g`")
  vm:attach_disk({ id = "gone" }):detach()
  t:assert_eq(raised(function() vm:disk("gone") end), "vm:disk: no disk `gone` attached to vm `g`")
end)

---------------------------------------------------------------------------------------------------
-- vm:spawn_worker

test("vm:spawn_worker() runs commands as the VM does", function(t)
  local worker = vm:spawn_worker()
  t:assert_eq(worker:run("echo here").stdout, "here\n")
  t:assert_eq(worker:run("echo", { "$HOME" }).stdout, "$HOME\n")
  t:assert_eq(worker:run_async("exit 5"):wait().exit_code, 5)
  worker:close()
end)

test("worker:join() waits for all that the worker started", function(t)
  local worker = vm:spawn_worker()
  vm:run("rm -f /tmp/one /tmp/two")
  worker:run_async("sleep 0.3; echo 1 > /tmp/one")
  worker:run_async("sleep 0.3; echo 2 > /tmp/two")
  worker:join()
  t:assert_eq(vm:run("cat /tmp/one /tmp/two").stdout, "1\n2\n")
  worker:close()
end)

test("worker:kill() and worker:close() end all that the worker started, and nothing else", function(t)
  local worker, other = vm:spawn_worker(), vm:run_async("exec sleep 64")
  local one, two = worker:run_async("exec sleep 65"), worker:run_async("exec sleep 65")
  worker:kill()
  t:assert_eq(one:wait("50s").signal, 15)
  t:assert_eq(two:wait("50s").signal, 15)
  worker:run_async("sleep 66; true")
  await_sleepers(66, 1)
  worker:close()
  await_sleepers(66, 0)
  t:assert_eq(raised(function() worker:run("true") end), "worker:run: the worker is closed")
  t:assert_eq(raised(function() worker:run_async("true") end), "worker:run_async: the worker is closed")
  t:assert_eq(other:status(), "running")
  other:close()
end)

---------------------------------------------------------------------------------------------------
-- vm:console and vm:clock

test("vm:console():read_log() has all so far", function(t)
  vm:run("echo something to read > /dev/ttyS0")
  vm:console():expect("something to read")
  t:assert_contains(vm:console():read_log(), "Linux version")
  t:assert_contains(vm:console():read_log(), "something to read")
end)

test("vm:console():expect(p) returns the match, plain text, and consumes it", function(t)
  local console = vm:console()
  vm:run("echo 'one (1.*) two' > /dev/ttyS0")
  t:assert_eq(console:expect("(1.*)"), "(1.*)")
  t:assert_eq(console:expect("two", "50s"), "two")
  t:assert_raises(function() console:expect("(1.*)", 0.1) end)
end)

test("vm:console():expect says what it timed out waiting for", function(t)
  local waited = image.time(function()
    local err = raised(function() vm:console():expect("no such text", "200ms") end)
    local text = "console:expect timed out waiting for `no such text`\nthe guest's console ends with:\n"
    t:assert_eq(err:sub(1, #text), text)
  end)
  t:assert(waited >= 0.2 and waited < 30, waited)
end)

test("vm:clock():get() and get_ns() are the guest's seconds and nanoseconds", function(t)
  page_says("seconds as a float, nanoseconds as an integer")
  local clock = vm:clock()
  local seconds, nanoseconds, date = clock:get(), clock:get_ns(), tonumber(vm:run("date +%s").stdout)
  local later = clock:get()
  t:assert_eq(math.type(seconds), "float")
  t:assert_eq(math.type(nanoseconds), "integer")
  t:assert(seconds <= nanoseconds / 1e9 and nanoseconds / 1e9 <= later, "they are not the same time")
  t:assert(seconds - 1 <= date and date <= later, "it is not the guest's time")
end)

test("vm:clock():set(s) sets the guest's time, fractions too", function(t)
  local passed
  local took = image.time(function()
    vm:clock():set(1000000000.5)
    passed = vm:clock():get_ns() - 1000000000500000000
  end)
  t:assert(passed >= 0 and passed < (5 + 2 * took) * 1e9, passed)
  t:assert_eq(vm:run("date -u +%F").stdout, "2001-09-09\n")
end)

test("vm:clock():advance(dur) moves the guest's time on", function(t)
  local clock = vm:clock()
  for duration, seconds in pairs({ ["5s"] = 5, ["2m"] = 120, ["500ms"] = 0.5, [30] = 30, [10.5] = 10.5 }) do
    local before, passed = clock:get_ns()
    local took = image.time(function()
      clock:advance(duration)
      passed = (clock:get_ns() - before) / 1e9
    end)
    t:assert(passed >= seconds and passed < seconds + 2 + 2 * took, passed)
  end
end)

test("vm:clock():sleep(dur) takes that long", function(t)
  for _, duration in ipairs({ 0.3, "300ms", "0.3s" }) do
    local took = image.time(function() vm:clock():sleep(duration) end)
    t:assert(took >= 0.3 and took < 30, took)
  end
end)

---------------------------------------------------------------------------------------------------
-- durations

-- Calls that take a duration.
local takes_duration = {
  ["clock:sleep"] = function(d) vm:clock():sleep(d) end,
  ["vm:run"] = function(d) vm:run("true", { timeout = d }) end,
  ["process:wait"] = function(d) vm:run_async("true"):wait(d) end,
  ["console:expect"] = function(d) vm:console():expect("", d) end,
  ["wait_until timeout"] = function(d) wait_until(function() return true end, { timeout = d }) end,
  ["wait_until interval"] = function(d) wait_until(function() return true end, { interval = d }) end,
  ["vm:boot"] = function(d) provium:vm("own" .. math.random(1 << 40), "peios"):boot({ agent_timeout = d }) end,
}

local function assert_no_duration(t, wrong)
  for call, fn in pairs(takes_duration) do
    local err = t:assert_raises(function() fn(wrong) end, ("%s took %s"):format(call, wrong))
    t:assert_contains(err, "duration", call)
  end
end

test("a duration that is NaN, infinite or negative is an error", function(t)
  page_says([[A negative, infinite or NaN duration is an error]])
  for _, wrong in ipairs({ 0 / 0, 1 / 0, -1 / 0, -1, -0.1, "-1s" }) do
    assert_no_duration(t, wrong)
  end
end)

test("a duration without its unit, or with an unknown one, is an error", function(t)
  for _, wrong in ipairs({ "", "5", "s", "5 parsecs", {}, true }) do
    assert_no_duration(t, wrong)
  end
end)

---------------------------------------------------------------------------------------------------
-- wrong arguments

-- Wrong calls, and their errors.
local duration = 'expected duration (seconds, 0 or more, or a text such as "50ms", "5s", "2m"), got '
local wrong_calls = {
  ["vm:read_file: argument 1 (path): expected string, got nil"] = function() vm:read_file() end,
  ["vm:write_file: argument 2 (data): expected string, got nil"] = function() vm:write_file("/tmp/x") end,
  ["vm:run: argument 2 (options): expected table of arguments or options, got 7"] = function() vm:run("x", 7) end,
  ["vm:mkdir: argument 2 (options): expected table of options, got true"] = function() vm:mkdir("/tmp/x", true) end,
  ["vm:mkdir: `parents` expects true or false, not \"x\""] = function() vm:mkdir("/tmp/x", { parents = "x" }) end,
  ["vm:boot: disks[1]: `readonly` expects true or false, not \"yes\""] = function()
    provium:vm("own", "peios"):boot({ disks = { { scratch = "1M", readonly = "yes" } } })
  end,
  ["vm:run: `env` expects a table of strings, not 7"] = function() vm:run("x", { env = 7 }) end,
  ["provium:vm: argument 1 (name): expected string, got nil"] = function() provium:vm() end,
  ["console:expect: argument 1 (text): expected string, got nil"] = function() vm:console():expect() end,
  ["clock:sleep: argument 1 (duration): " .. duration .. "-1"] = function() vm:clock():sleep(-1) end,
  ["clock:sleep: argument 1 (duration): " .. duration .. "NaN"] = function() vm:clock():sleep(0 / 0) end,
  ["clock:sleep: argument 1 (duration): " .. duration .. '"5"'] = function() vm:clock():sleep("5") end,
  ["json.decode: argument 1 (text): expected string, got nil"] = function() json.decode() end,
  ["wait_until: argument 1 (pred): expected function, got nil"] = function() wait_until() end,
  ["wait_until: unknown option `timeouts` (known: timeout, interval, desc)"] = function()
    wait_until(print, { timeouts = 1 })
  end,
  ["vm:boot: `files` expects a list of tables: {{...}, {...}}, not a table"] = function()
    provium:vm("own3", "peios"):boot({ files = { { path = "/x", content = "" }, mode = "0644" } })
  end,
  ["disk:fault_inject: `op` expects a list, and nothing but its items in it"] = function()
    provium:vm("own4", "peios"):attach_disk():fault_inject({ action = "error", op = { "read", also = "write" } })
  end,
  ["disk:fault_inject: argument 1 (rule): expected string or table, got nil"] = function()
    provium:vm("own2", "peios"):attach_disk():fault_inject()
  end,
}

test("a wrong argument is an error that names the call, the argument and what was expected", function(t)
  page_says([[`vm:read_file: argument 1 (path): expected string, got nil`]])
  for expected, call in pairs(wrong_calls) do
    t:assert_eq(raised(call), expected)
  end
end)

---------------------------------------------------------------------------------------------------
-- Boot options, files and disks at boot; typing into the console; truncated output; faults that begin later

test("vm:boot(opts) returns the VM with all opts in place, vm:power_button() has it power down", function(t)
  page_says([[`mode` may also be an octal string, as `"0755"`]])
  local data, locked = image.new(2048), image.new(8)
  local own = provium:vm("own", "peios"):boot({
    memory = "192M",
    kernel_cmdline = "added=1",
    agent_timeout = "50s",
    files = {
      { path = "/tmp/binary", content = "\0\255\n" },
      { path = "/tmp/script", content = "#!/bin/sh\necho it runs\n", mode = "0755" },
      { path = "/tmp/secret", content = "", mode = tonumber("600", 8) },
    },
    disks = {
      { path = data, id = "data" },
      { path = locked, id = "locked", readonly = true },
      { scratch = "4M", id = "scratch" },
    },
  })
  t:assert_eq(own:name(), "own")
  t:assert_contains(own:run("cat /proc/cmdline").stdout, " added=1")
  local memory = tonumber(own:run("awk '/MemTotal/ { print $2 }' /proc/meminfo").stdout)
  t:assert(memory > 100 * 1024 and memory < 192 * 1024, memory)

  t:assert_eq(own:read_file("/tmp/binary"), "\0\255\n")
  t:assert_eq(own:run("/tmp/script").stdout, "it runs\n")
  t:assert_eq(own:stat("/tmp/script").mode, tonumber("755", 8))
  t:assert_eq(own:stat("/tmp/secret").mode, tonumber("600", 8))

  local function blockdev(what)
    return own:run("cd /dev/disk/by-id && blockdev " .. what .. " virtio-data virtio-locked virtio-scratch").stdout
  end
  t:assert_eq(blockdev("--getsize64"), "1048576\n4096\n4194304\n")
  t:assert_eq(blockdev("--getro"), "0\n1\n0\n")

  local function write(id)
    return own:run("printf hello | dd conv=fsync of=/dev/disk/by-id/virtio-" .. id):ok()
  end
  t:assert_eq(write("data"), true)
  t:assert_eq(image.read(data, 0, 1):sub(1, 6), "hello\0")
  t:assert_eq(write("locked"), false)
  t:assert_eq(image.read(locked, 0, 8), ("\0"):rep(8 * 512))

  local scratch = own:disk("scratch")
  t:assert_eq(scratch:size(), 4 << 20)
  t:assert_eq(scratch:read_sectors(8191, 1), ("\0"):rep(512))
  scratch:write_sectors(8191, "the end")
  t:assert_eq(own:run("tail -c 512 /dev/disk/by-id/virtio-scratch | head -c 7").stdout, "the end")

  local disks = io.open(image.mount(scratch) .. "/ctl/disks"):read("a")
  local path = disks:match("scratch 4194304 rw ([^\n ]+)")
  wait_until(function() return own:run("pidof acpid"):ok() end, { desc = "what hears the power button" })
  own:power_button()
  wait_until(function() return own:state() == "shutdown" end, { desc = "the state shutdown" })
  t:assert_eq(image.read(path, 8191, 1):sub(1, 7), "the end")
  own:close()
  t:assert_eq(io.open(path), nil, "the scratch image is still there")
  os.remove(data)
  os.remove(locked)
end)

test("vm:boot{files} refuses a mode that is none", function(t)
  local own = provium:vm("own", "peios")
  for _, mode in ipairs({ "rwx", "0888", -1, {} }) do
    local files = { { path = "/tmp/x", content = "", mode = mode } }
    t:assert_contains(raised(function() own:boot({ files = files }) end), "`mode`")
  end
  t:assert_eq(own:state(), "created")
end)

test("vm:boot{disks} takes exactly one of path, scratch and template", function(t)
  local own = provium:vm("own", "peios")
  for _, disk in ipairs({ { id = "a" }, { path = "/x", scratch = "1M" }, { scratch = "much" } }) do
    t:assert_contains(raised(function() own:boot({ disks = { disk } }) end), "`scratch`")
  end
  t:assert_contains(raised(function() own:boot({ disks = { { path = "/no/such.img" } } }) end), "/no/such.img")
end)

test("vm:console():write(text) types into the guest's console", function(t)
  local console = vm:console()
  console:write("echo it was ty''ped\n")
  t:assert_eq(console:expect("it was typed", "20s"), "it was typed")
  t:assert_eq(raised(function() provium:vm("own", "peios"):console():write("x") end):match("^(.- is %a+)"),
    "console:write: vm `own` is created")
end)

test("RunResult.truncated is true when the agent kept only the first 16 MiB", function(t)
  page_says("| 16 MiB | the output of a command; the result says so |", "docs/security.md")
  page_says([[kept only the first 16 MiB of `stdout` or `stderr`]])
  local result = vm:run("head -c 16777217 /dev/zero")
  t:assert_eq(result.truncated, true)
  t:assert_eq(#result.stdout, 16 << 20)
  t:assert_eq(vm:run("head -c 100000 /dev/zero").truncated, false)
end)

test("disk:fault_inject(mode, {after}) takes effect that long after it was armed", function(t)
  local path = image.new(8)
  local disk = provium:vm("own", "peios"):attach_disk({ image = path })
  disk:fault_inject("eio_read", { after = "1h" })
  t:assert_eq(#disk:read_sectors(0, 1), 512)
  disk:clear_faults()
  local took = image.time(function()
    disk:fault_inject("eio_read", { after = "500ms" })
    wait_until(function() return not pcall(disk.read_sectors, disk, 0, 1) end)
  end)
  t:assert(took >= 0.5, took)
  t:assert_eq(raised(function() disk:read_sectors(0, 1) end), "disk:read_sectors: EIO (fault_inject)")
  disk:clear_faults()
  t:assert_eq(#disk:read_sectors(0, 1), 512)
  os.remove(path)
end)

test("disk:fault_inject(mode, {after}) takes effect in the middle of a slow read", function(t)
  local path = image.new(8)
  local disk = provium:vm("own", "peios"):attach_disk({ image = path })
  disk:fault_inject("slow")
  disk:fault_inject("eio_read", { after = "25ms" })
  t:assert_eq(raised(function() disk:read_sectors(0, 1) end), "disk:read_sectors: EIO (fault_inject)")
  os.remove(path)
end)

test("disk:fault_inject(mode, {after}) expects a duration", function(t)
  local disk = provium:vm("own", "peios"):attach_disk({ id = "record" })
  for _, after in ipairs({ -1, 0 / 0, 1 / 0, "soon" }) do
    t:assert_raises(function() disk:fault_inject("slow", { after = after }) end)
  end
  t:assert_eq(#disk:active_faults(), 0)
end)
