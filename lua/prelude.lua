-- The globals of every test file, where Lua is simpler than Rust.
-- Called with the table of natives; returns the functions that Rust calls.
local native = ...

-- A native returns true and its results, or false and a message. The error that a test sees is
-- that message as a string, with the file and the line of the call.
local function finish(ok, ...)
  if ok then
    return ...
  end
  error((...), 2)
end

local function wrap(call)
  return function(...)
    return finish(call(...))
  end
end

-- The `t` of a test. `failed` remembers a failed assertion even when a pcall swallows its error.
local T = {}
T.__index = T

local debug = debug -- a test may replace the global

-- `file:line: ` of the nearest line of Lua at `level` or above it: a pcall has none.
local function place(level)
  repeat
    level = level + 1
    local info = debug.getinfo(level, "Sl")
    if info and info.currentline > 0 then
      return ("%s:%d: "):format(info.short_src, info.currentline)
    end
  until not info
  return ""
end

local running -- the `t` of the test that runs

local function fail(t, message)
  message = place(3) .. tostring(message)
  t.failed = t.failed or message
  error(message, 0)
end

local function quoted(text)
  local escapes = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }
  return '"' .. text:gsub('[\n\t\r"\\]', escapes) .. '"'
end

-- Two values, as an error shows them: a text with quotes if it could be taken for the other value.
local function both(a, b)
  local x, y = tostring(a), tostring(b)
  if x == y and type(a) ~= type(b) then
    x = type(a) == "string" and quoted(x) or x
    y = type(b) == "string" and quoted(y) or y
  end
  return native.short(x), native.short(y)
end

-- Where two long texts differ.
local function difference(a, b)
  if type(a) ~= "string" or type(b) ~= "string" or math.max(#a, #b) < 200 then
    return ""
  end
  local at, piece = 1, 4096
  while a:sub(at, at + piece - 1) == b:sub(at, at + piece - 1) do
    at = at + piece
  end
  while a:byte(at) == b:byte(at) do
    at = at + 1
  end
  return (" (%d and %d bytes; byte %d is the first that differs: offset %d of sector %d)"):format(
    #a, #b, at, (at - 1) % 512, (at - 1) // 512)
end

-- The text of an argument that has to have one.
local function text(position, value)
  local kind = type(value)
  local has_text = kind == "string" or kind == "number" or (debug.getmetatable(value) or {}).__tostring
  if not has_text then
    error(native.wrong_argument("t:assert_contains", position, "string or number", value), 3)
  end
  return tostring(value)
end

-- Assertions ignore further arguments: an expression may have several results, as in
-- `t:assert(text:find("(x)"))`.
function T:assert(condition, message)
  if not condition then
    fail(self, message or "assertion failed")
  end
  return condition
end

function T:assert_eq(a, b, message)
  if not rawequal(a, b) then
    local x, y = both(a, b)
    fail(self, ("%s: %s ~= %s%s"):format(message or "assert_eq failed", x, y, difference(a, b)))
  end
end

function T:assert_neq(a, b, message)
  if rawequal(a, b) then
    fail(self, ("%s: %s == %s"):format(message or "assert_neq failed", both(a, b)))
  end
end

function T:assert_contains(haystack, needle, message)
  haystack, needle = text(1, haystack), text(2, needle)
  if not haystack:find(needle, 1, true) then
    message = message or "assert_contains failed"
    fail(self, ("%s: %s not found in: %s"):format(message, native.short(needle), native.short(haystack)))
  end
end

-- An assertion of `t` that fails in `fn` is raised like any error, and does not fail the test.
function T:assert_raises(fn, message)
  local failed = self.failed
  local ok, err = pcall(fn)
  self.failed = failed
  if ok then
    fail(self, ("%s: expected to raise"):format(message or "assert_raises"))
  end
  return err
end

-- Checks each state that a power cut may have left, by the disk's write log.
function T:assert_crash_safe(disk, options, ...)
  local ok, why = native.crash_safe(self, disk, options, ...)
  if not ok then
    error(why, 2)
  elseif why then
    fail(self, "assert_crash_safe: " .. why)
  end
end

-- Runs `fn` once for each request that it makes, and each time another one fails.
function T:sweep(disk, options, fn, ...)
  local ok, result, why = native.sweep(self, disk, options, fn, ...)
  if not ok then
    error(result, 2)
  elseif why then
    fail(self, "sweep: " .. why)
  end
  return result
end

function T:fail(message)
  fail(self, message or "explicit failure (t:fail)")
end

function T:skip(reason)
  self.skipped = tostring(reason or "skipped")
  self.skip_error = "skipped: " .. self.skipped
  error(self.skip_error, 2)
end

function T:log(...)
  local texts = {}
  for place = 1, math.max(select("#", ...), 1) do
    texts[place] = tostring((select(place, ...)))
  end
  native.log(table.concat(texts, "\t"))
end

-- The end of what a command printed: the reason of a failure stands there.
local function ending(text)
  local most = 4096
  if #text <= most then
    return text
  end
  return ("... (%d bytes left out) ..."):format(#text - most) .. text:sub(-most)
end

-- The result of a command in the guest.
local Result = {}
Result.__index = Result

local function reject_surplus(call, ...)
  local message = native.surplus(call, ...)
  if message then
    error(message, 3)
  end
end

function Result:ok(...)
  reject_surplus("RunResult:ok", ...)
  return self.exit_code == 0
end

-- The registry has the classes of objects, for completion.
debug.getregistry().runresult = Result

function Result:assert_ok(...)
  reject_surplus("RunResult:assert_ok", ...)
  if self.exit_code ~= 0 then
    local detail = ""
    if self.signal then
      detail = " signal=" .. self.signal
    elseif not self.timed_out then
      detail = " code=" .. self.exit_code
    end
    error(("`%s`: command failed: status=%s%s stdout=%s stderr=%s"):format(
      self.command, self.status, detail, quoted(ending(self.stdout)), quoted(ending(self.stderr))), 2)
  end
  return self
end

test = wrap(native.test)

todo = wrap(native.todo)

json = { encode = wrap(native.json_encode), decode = wrap(native.json_decode), null = native.json_null }

-- Calls `pred` until it returns something true, which becomes the result.
function wait_until(pred, ...)
  local ok, timeout, interval, desc = native.wait_options(pred, ...)
  if not ok then
    error(timeout, 2)
  end
  local deadline = native.now() + timeout
  while true do
    local value = pred()
    if value then
      return value
    end
    local left = deadline - native.now()
    if left <= 0 then
      error(("wait_until: %s not met within %gs"):format(desc, timeout), 2)
    end
    local slept, why = native.sleep(math.min(interval, left))
    if not slept then
      error(("%s (it waited for: %s)"):format(why, desc), 2)
    end
  end
end

-- The settings of a file. They are kept apart from `provium`, so that `__newindex` sees each assignment.
local settings = {}

-- `provium` is an object so that its calls read like those of a VM. Its fields are the VMs and the settings.
provium = setmetatable({
  vm = wrap(native.provium_vm),
  boot = wrap(native.provium_boot),
  shutdown = wrap(native.provium_shutdown),
  claim = wrap(native.provium_claim),
  states = wrap(native.provium_states),
  replay = wrap(native.provium_replay),
}, {
  __index = function(_, name)
    if settings[name] ~= nil then
      return settings[name]
    end
    return native.find_vm(name)
  end,
  __newindex = function(_, key, value)
    local ok, why = native.provium_set(key, value)
    if not ok then
      error(why, 2)
    end
    settings[key] = value
  end,
})

-- What tells a function from others: its code, and the values that it refers to now.
local function key_of(fn)
  local info = debug.getinfo(fn, "Su")
  local key = { n = info.nups, code = info.what == "Lua" and string.dump(fn) or fn }
  for at = 1, info.nups do
    key[at] = select(2, debug.getupvalue(fn, at))
  end
  return key
end

local function same_key(a, b)
  local same = a.n == b.n and rawequal(a.code, b.code)
  for at = 1, same and a.n or 0 do
    same = same and rawequal(a[at], b[at])
  end
  return same
end

-- Gives each state to a guest, as a disk. The number of the latest one, by the name of the VM: the guest may be slow to
-- remove the link to a disk that is gone.
local numbers = {}

-- Ends the guest without asking it: a paused one is switched off.
local function switch_off(vm)
  pcall(vm.pause, vm)
  vm:shutdown()
end

local function try_states(vm, disk, options, fn, ...)
  local ok, states, boot = native.try_states(vm, disk, options, fn, ...)
  if not ok then
    error(states, 2)
  end
  -- What changes from state to state: the state, its disk in the guest, and the path of the disk's file.
  local now = {}
  local function unplug()
    if now.disk then
      now.disk:detach()
      native.state_unplugged(states)
      now.disk, now.path = nil, nil
    end
  end
  local function plug(path)
    local name = vm:name()
    numbers[name] = (numbers[name] or 0) + 1
    local id = "state-" .. numbers[name]
    now.disk, now.path = vm:attach_disk({ id = id, path = path }), path
    now.device = "/dev/disk/by-id/virtio-" .. id
    native.state_plugged(states)
  end
  -- It refers to the same values for each state, so that what it reads decides which states are alike.
  local function try(path)
    local is_up = not boot and vm:state() == "booted"
    if not is_up then
      switch_off(vm)
    end
    -- The guest may have the disk already: with the content of this state in place of the last one's.
    if not is_up or now.path ~= path then
      unplug()
    end
    if not is_up and not boot then
      vm:boot()
    end
    if not now.disk then
      plug(path)
    end
    local good, err = pcall(function()
      if boot then
        vm:boot()
      end
      return fn(vm, now.device, now.state)
    end)
    if boot then
      switch_off(vm)
    end
    local known, let_go
    if not boot then
      known, let_go = native.state_let_go(states, now.disk)
    end
    if not (known and let_go) then
      unplug()
    end
    if not good then
      error(err, 0)
    end
    return err
  end
  local result = { good = 0, bad = {} }
  for state in states do
    now.state = state
    local good, why = state:check(try)
    if good then
      result.good = result.good + 1
    else
      table.insert(result.bad, { id = state.id, error = why, lost = state.lost })
    end
  end
  unplug()
  return result
end

-- `vm.name` is a text, and `vm:name()` calls it.
debug.getmetatable("").__call = function(text, object, ...)
  if not native.is_name_of(text, object) then
    error("attempt to call a string value", 2)
  end
  reject_surplus("vm:name", ...)
  return text
end

-- While tests are only listed, a stand-in that takes every call and starts nothing.
if native.listing then
  local void = {}
  local function same()
    return void
  end
  local function nothing() end
  local function empty()
    return ""
  end
  local function zero()
    return 0
  end
  setmetatable(void, {
    -- It has no items, so that loops over it end.
    __index = function(_, key)
      if key == "replay" then
        return wrap(native.provium_replay)
      elseif key == "gmatch" or key == "states" then
        return function() return nothing end
      end
      return type(key) ~= "number" and void or nil
    end,
    __call = same, __concat = empty, __tostring = empty, __len = zero,
    __add = zero, __sub = zero, __mul = zero, __div = zero, __mod = zero, __unm = zero, __idiv = zero,
    __lt = function() return false end, __le = function() return true end,
  })
  provium, wait_until, json.decode = void, same, same
end

return {
  wrap = wrap,
  xpcall = xpcall,
  traceback = debug.traceback,
  tostring = tostring,
  new_t = function(name, meta)
    running = setmetatable({ name = name, meta = meta }, T)
    return running
  end,
  failed = function()
    return running and running.failed
  end,
  set_failed = function(failed)
    if running then
      running.failed = failed
    end
  end,
  key_of = key_of,
  same_key = same_key,
  parameters_of = function(fn)
    return debug.getinfo(fn, "u").nparams
  end,
  try_states = try_states,
  new_result = function(fields)
    return setmetatable(fields, Result)
  end,
}
