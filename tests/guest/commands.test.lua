-- Commands in the guest: their arguments, their results, their ends. One guest for the whole file.
local page_says = require("page_says")
local vm = provium:vm("g", "peios"):boot()

local function raised(fn)
  local ok, err = pcall(fn)
  assert(not ok, "expected to raise")
  return (err:gsub("^[^:]+:%d+: ", ""))
end

-- Returns the output of a shell in the guest for this call.
local function printed(...)
  return vm:run(...):assert_ok().stdout
end

test("a result has the output and the exit code of its command", function(t)
  local r = vm:run("echo out; echo err >&2; exit 3")
  t:assert_eq(r.exit_code, 3)
  t:assert_eq(r.stdout, "out\n")
  t:assert_eq(r.stderr, "err\n")
  t:assert_eq(r.status, "exited")
  t:assert(not r:ok())
  local err = t:assert_raises(function() r:assert_ok() end)
  t:assert_contains(err, [[: command failed: status=exited code=3 stdout="out\n" stderr="err\n"]])
  t:assert_eq(vm:run("cat", { stdin = "piped" }).stdout, "piped")
  t:assert_eq(vm:run("echo", { "two  words", "$HOME" }).stdout, "two  words $HOME\n")
  local with = vm:run("sh", { args = { "-c", "echo $WHO; pwd" }, env = { WHO = "me" }, cwd = "/proc" })
  t:assert_eq(with.stdout, "me\n/proc\n")
  local killed = vm:run("kill -9 $$")
  t:assert_eq(killed.exit_code, -1)
  t:assert_eq(killed.signal, 9)
  t:assert_contains(t:assert_raises(function() vm:run(7) end), "vm:run: first argument must be a string")
  t:assert_eq(vm:run("no-such-program", { args = {} }).exit_code, 127)
end)

test("a command that takes too long is killed, in the guest too", function(t)
  local r = vm:run("sleep", { args = { "61" }, timeout = "200ms" })
  t:assert_eq(r.exit_code, -2)
  t:assert(r.timed_out)
  t:assert_eq(r.status, "timed_out")
  t:assert_eq(require("sleepers")(vm, 61), 0)
end)

test("options without arguments leave the text to the shell", function(t)
  t:assert_eq(printed("echo $A | tr x y", { env = { A = "x1" } }), "y1\n")
  t:assert_eq(printed("pwd; cat", { cwd = "/proc", stdin = "typed" }), "/proc\ntyped")
  t:assert_eq(printed("cat", { stdin = "\0\255" }), "\0\255")
  t:assert_eq(printed("echo $((6 * 7))", {}), "42\n")
  t:assert_eq(vm:run_async("echo $A", { env = { A = "async" } }):wait().stdout, "async\n")
end)

test("args or list items start the program itself", function(t)
  t:assert_eq(printed("printf", { "%s|", "$HOME", "a b", 3 }), "$HOME|a b|3|")
  t:assert_eq(printed("printf", { args = { "%s|", "$HOME" } }), "$HOME|")
  t:assert_eq(printed("pwd", { args = {}, cwd = "/sys" }), "/sys\n")
end)

test("list items and named options in one table both count", function(t)
  t:assert_eq(printed("sh", { "-c", "echo $A; pwd; cat", env = { A = "a" }, cwd = "/dev", stdin = "in" }), "a\n/dev\nin")
  local slow = vm:run("sleep", { "61", timeout = "200ms" })
  t:assert_eq(slow.status, "timed_out")
  t:assert_eq(vm:run("sleep", { "61", timeout_ms = 200 }).status, "timed_out")
  t:assert_eq(vm:run("sleep 61; true", { timeout_ms = 200 }).exit_code, -2)
  t:assert_eq(vm:run_async("sh", { "-c", "echo $A", env = { A = "b" } }):wait().stdout, "b\n")
end)

test("an option of vm:run that is unknown or given twice is an error", function(t)
  local wrong = {
    ["vm:run: unknown option `tiemout` (known: args, env, env_clear, cwd, stdin, timeout, timeout_ms)"] = { "x", tiemout = 1 },
    ["vm:run: give the arguments in `args` or in the table itself, not in both"] = { "x", args = { "y" } },
    ["vm:run: give either `timeout` or `timeout_ms`"] = { timeout = 1, timeout_ms = 1 },
    ["vm:run: `timeout_ms` expects a whole number of milliseconds, 0 or more, not -1"] = { timeout_ms = -1 },
    ["vm:run: `args` expects a list, each a string in UTF-8 without zeros, not a table"] = { args = { "x", key = "y" } },
    ["vm:run: item 2 of the list is missing"] = { "x", nil, "z" },
    ["vm:run: each argument is a string in UTF-8 without zeros"] = { "\255" },
    ["vm:run: `env` expects strings for names and values"] = { env = { "x" } },
    ["vm:run: `env_clear` expects true or false, not 1"] = { env_clear = 1 },
  }
  for expected, options in pairs(wrong) do
    t:assert_eq(raised(function() vm:run("true", options) end), expected)
  end
  t:assert_eq(raised(function() vm:run("true", { "a\0b" }) end), "vm:run: each argument is a string in UTF-8 without zeros")
  t:assert_eq(raised(function() vm:run("a\0b") end), "vm:run: the command is not a string in UTF-8 without zeros")
  local refused = "vm:run_async: `timeout` is not honoured here; pass it to `proc:wait(timeout)` instead"
  t:assert_eq(raised(function() vm:run_async("true", { "x", timeout = 1 }) end), refused)
  t:assert_eq(raised(function() vm:run_async("true", { timeout_ms = 1 }) end), refused)
end)

test("env is added to the agent's environment, and with env_clear is all of it", function(t)
  page_says([[added to the environment of the guest's agent]])
  local own = vm:run("env", { args = {} }).stdout
  t:assert_contains(own, "PATH=")
  local with = vm:run("env", { args = {}, env = { ["a-b"] = "x=y", PATH = "/bin:/usr/bin" } }).stdout
  t:assert_contains("\n" .. with, "\na-b=x=y\n")
  t:assert_contains("\n" .. with, "\nPATH=/bin:/usr/bin\n")
  for entry in own:gmatch("[^\n]+") do
    if not entry:match("^PATH=") then t:assert_contains("\n" .. with, "\n" .. entry .. "\n") end
  end
  t:assert_eq(printed("env", { args = {}, env = { A = "a" }, env_clear = true }), "A=a\n")
  t:assert_eq(printed("env", { args = {}, env_clear = true }), "")
  t:assert_eq(printed("env", { args = {}, env_clear = false }), own)
end)

test("a program that is not there is exit code 127, however it is said", function(t)
  page_says([[A missing program or a missing `cwd` gives exit code 127]])
  local ways = { {}, { "x" }, { args = {} }, { "x", cwd = "/" }, { cwd = "/" }, { args = {}, env = { A = "a" } },
    { "x", env_clear = true } }
  for at, options in ipairs(ways) do
    local result = vm:run("no-such-program", options)
    t:assert_eq(result.exit_code, 127, at)
    t:assert_contains(result.stderr, "no-such-program")
  end
  local process = vm:run_async("no-such-program", { "x" })
  t:assert_eq(process:wait().exit_code, 127)
  t:assert(process:pid() > 1)
  t:assert_eq(vm:run("/proc/version", { "x" }).exit_code, 126)
  t:assert_eq(vm:run("true", { args = {}, cwd = "/no/such" }).exit_code, 127)
end)

test("a result says signalled for a signal, and assert_ok says which", function(t)
  page_says([[after a signal `status=signalled signal=9`, after a time-out `status=timed_out`]])
  local killed = vm:run("echo out; kill -9 $$")
  t:assert_eq(killed.status, "signalled")
  t:assert_eq(killed.signal, 9)
  t:assert_eq(killed.exit_code, -1)
  t:assert_eq(raised(function() killed:assert_ok() end),
    [[`echo out; kill -9 $$`: command failed: status=signalled signal=9 stdout="out\n" stderr=""]])
  local late, limit = nil, 0.3
  repeat
    late = vm:run("echo out; sleep 61", { timeout = limit })
    limit = 2 * limit
  until late.stdout ~= "" or limit > 50
  t:assert_eq(raised(function() late:assert_ok() end), [[`echo out; sleep 61`: command failed: status=timed_out stdout="out\n" stderr=""]])
  local failed = vm:run("exit 3")
  t:assert_eq(raised(function() failed:assert_ok() end), [[`exit 3`: command failed: status=exited code=3 stdout="" stderr=""]])
  t:assert_eq(vm:run("true"):assert_ok():ok(), true)
end)

test("assert_ok names the command, with its arguments and as it was started, and the end of what it printed", function(t)
  local program = vm:run("/bin/sh", { "-c", "exit 4", "a b" })
  t:assert_contains(raised(function() program:assert_ok() end), [[`/bin/sh -c 'exit 4' 'a b'`: command failed: ]])
  local started = vm:run_async("exit 5"):wait()
  t:assert_contains(raised(function() started:assert_ok() end), [[`exit 5`: command failed: status=exited code=5]])
  local long = vm:run("head -c 10000 /dev/zero | tr '\\0' x >&2; echo why >&2; false")
  local err = raised(function() long:assert_ok() end)
  t:assert_contains(err, [[stderr="... (5908 bytes left out) ...xxx]])
  t:assert_contains(err, [[xwhy\n"]])
end)

test("a signal is named in any case, with SIG and without, or numbered", function(t)
  page_says([[the signal with this name (`"INT"`, `"sigint"`) or number]])
  for signal, number in pairs({ kill = 9, SigTerm = 15, USR1 = 10, sigint = 2, [1] = 1 }) do
    local process = vm:run_async("exec sleep 62")
    process:signal(signal)
    t:assert_eq(process:wait("5s").signal, number)
    t:assert_eq(process:status(), "signalled")
  end
  local process = vm:run_async("exec sleep 62")
  t:assert_eq(raised(function() process:signal("nope") end),
    "process:signal: there is no signal `NOPE` (a name with or without SIG, as TERM or SIGINT, or a number)")
  process:kill("Hup")
  t:assert_eq(process:wait("5s").signal, 1)
end)

test("a signal to what has ended does nothing", function(t)
  page_says("Does nothing once it has ended")
  local process = vm:run_async("exit 3")
  t:assert_eq(process:wait("20s").exit_code, 3)
  process:kill()
  process:signal(9)
  process:close()
  t:assert_eq(process:status() .. process:wait().exit_code, "exited3")
end)

test("a command has ended when nothing holds its output open", function(t)
  page_says("So a process in the background counts, unless it redirects its output")
  vm:run("(sleep 0.4; touch /tmp/late) & true"):assert_ok()
  t:assert_eq(vm:run("test -e /tmp/late").exit_code, 0)
  local took = require("image").time(function() vm:run("sleep 62 > /dev/null 2>&1 & true"):assert_ok() end)
  t:assert(took < 20, took)
  vm:run("killall sleep")
end)

test("worker:join returns the results in the order of the starts", function(t)
  page_says([[Returns their results, in the order in which they were started]])
  local worker = vm:spawn_worker()
  t:assert_eq(#worker:join(), 0)
  worker:run_async("sleep 0.3; exit 4")
  worker:run_async("printf", { "%s", "two" })
  local results = worker:join("20s")
  t:assert_eq(#results, 2)
  t:assert_eq(results[1].exit_code, 4)
  t:assert_eq(results[2]:assert_ok().stdout, "two")
  t:assert_eq(worker:join()[1].exit_code, 4)
  worker:run_async("sleep 61")
  t:assert_eq(worker:join("200ms")[3].timed_out, true)
  worker:close()
end)

test("an error of a worker's call has the place of the call", function(t)
  local worker = vm:spawn_worker()
  local line = debug.getinfo(1, "l").currentline + 1
  local err = t:assert_raises(function() worker:run_async("true", { timeout = 1 }) end)
  t:assert_contains(err, ("commands.test.lua:%d: worker:run_async: `timeout` is not honoured here"):format(line))
  t:assert_contains(t:assert_raises(function() worker:run(7) end), ("commands.test.lua:%d: worker:run: "):format(line + 2))
  worker:close()
  t:assert_contains(t:assert_raises(function() worker:run("true") end), ("commands.test.lua:%d: worker:run: the worker is closed"):format(line + 4))
end)

test("an argument that a call does not take is an error that says what it takes", function(t)
  page_says([[A surplus argument is an error]])
  local console, clock, worker, process = vm:console(), vm:clock(), vm:spawn_worker(), vm:run_async("true")
  local more = {
    ["vm:spawn_worker: argument 1 is one too many: vm:spawn_worker takes none, got a table"] = function() vm:spawn_worker({}) end,
    ["console:write: argument 2 is one too many: console:write takes (text), got a table"] = function() console:write("", {}) end,
    ["vm:run: argument 3 is one too many: vm:run takes (program, options), got 1"] = function() vm:run("true", {}, 1) end,
    ["vm:unlink: argument 2 is one too many: vm:unlink takes (path), got true"] = function() vm:unlink("/x", true) end,
    ["clock:get: argument 1 is one too many: clock:get takes none, got 1"] = function() clock:get(1) end,
    ["process:wait: argument 2 is one too many: process:wait takes (timeout), got 2"] = function() process:wait(1, 2) end,
    ["worker:close: argument 1 is one too many: worker:close takes none, got 1"] = function() worker:close(1) end,
    ["RunResult:ok: argument 1 is one too many: RunResult:ok takes none, got 1"] = function() process:wait():ok(1) end,
    ["provium:boot: argument 1 is one too many: provium:boot takes none, got a table"] = function() provium:boot({}) end,
    ["provium:vm: argument 4 is one too many: provium:vm takes (name, profile, options), got 4"] = function()
      provium:vm("x", "peios", {}, 4)
    end,
    ["json.encode: argument 2 is one too many: json.encode takes (value), got 1"] = function() json.encode({}, 1) end,
    ["wait_until: argument 3 is one too many: wait_until takes (pred, options), got 1"] = function()
      wait_until(print, {}, 1)
    end,
    ["vm:name: argument 1 is one too many: vm:name takes none, got 1"] = function() vm:name(1) end,
  }
  for expected, call in pairs(more) do
    t:assert_eq(raised(call), expected)
  end
  t:assert_eq(vm:run("echo nil says nothing", nil, nil).exit_code, 0)
  t:assert(("x"):find("(x)"))
end)

test("provium.NAME is a VM of the scope, vm.name its name", function(t)
  page_says([[does nothing: no resources are reserved]])
  t:assert_eq(provium.g:run("echo same").stdout, "same\n")
  t:assert_eq(provium.nobody, nil)
  local own = provium:vm("own", "peios")
  t:assert_eq(provium.own.name, "own")
  t:assert_eq(own.profile, "peios")
  t:assert_eq(own:name() .. own:profile(), "ownpeios")
  t:assert_eq(tostring(own), "vm `own`, created")
  t:assert_contains(raised(function() return own.name() end), "attempt to call a string value")
  t:assert_contains(raised(function() return ("other")(own) end), "attempt to call a string value")
  t:assert_eq(provium:claim({ memory_bytes = 1 << 20, cpus = 1 }), nil)
end)
