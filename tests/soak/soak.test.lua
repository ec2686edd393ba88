-- Guests, faults, kills and hot-plugs at random from a seed, checked against a model after each step.
-- `mnt-helpers/dev/soak MINUTES [SEED]` runs it; the environment says how long and from which seed.

local minutes = tonumber(os.getenv("PROVIUM_SOAK_MINUTES") or "") or 0.2
local seed = math.tointeger(tonumber(os.getenv("PROVIUM_SOAK_SEED") or "")) or os.time()
local schedule_path = os.getenv("PROVIUM_SOAK_SCHEDULE")

local SECTORS = 256 -- of each disk

-- The schedule is drawn from the seed alone: nothing that happens changes what is drawn next.
local state = seed
local function draw(n)
  -- SplitMix64.
  state = state + 0x9e3779b97f4a7c15
  local z = state
  z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
  z = (z ~ (z >> 27)) * 0x94d049bb133111eb
  return math.ult(0, n) and ((z ~ (z >> 31)) >> 1) % n or 0
end

local function one_of(list) return list[draw(#list) + 1] end

-- A disk: its image on the host, and what each sector should hold.
local Model = {}
Model.__index = Model

function Model.new(id)
  local path = os.tmpname()
  os.execute("truncate -s " .. SECTORS * 512 .. " " .. path)
  local self = setmetatable({ id = id, path = path, letters = {} }, Model)
  for n = 0, SECTORS - 1 do self.letters[n] = "\0" end
  return self
end

-- An empty disk again, whatever it held.
function Model:reset()
  io.open(self.path, "w"):close()
  os.execute("truncate -s " .. SECTORS * 512 .. " " .. self.path)
  self:set(0, SECTORS, "\0")
end

function Model:set(sector, count, letter)
  for n = sector, sector + count - 1 do self.letters[n] = letter end
end

-- Compares the image, byte for byte.
function Model:check(t, what)
  local file <close> = assert(io.open(self.path, "rb"))
  local found = file:read("a")
  for n = 0, SECTORS - 1 do
    local sector = found:sub(n * 512 + 1, n * 512 + 512)
    if sector ~= self.letters[n]:rep(512) then
      t:fail(("%s: sector %d of %s holds %q, not %q"):format(what, n, self.id, sector:sub(1, 4), self.letters[n]))
    end
  end
end

local MOST_ANOMALIES = 20 -- It ends with so many.

local taken, fired, anomalies, steps = {}, {}, {}, 0
local function add(counts, what, n) counts[what] = (counts[what] or 0) + n end
local function list(t, title, counts)
  local keys = {}
  for key in pairs(counts) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do t:log(("%-6s %-12s %d"):format(title, key, counts[key])) end
end

test("guests, faults, kills and hot-plugs at random leave what a model says", { timeout = minutes * 60 + 300 }, function(t)
  t:log(("PROVIUM_SOAK_SEED=%d runs this again"):format(seed))
  local schedule = schedule_path and assert(io.open(schedule_path, "w"))
  local vda, vdb = Model.new("vda"), Model.new("vdb")
  local vm, disk, other
  local generation = 0

  local function start()
    generation = generation + 1
    vm = provium:vm("soak" .. generation, "default"):boot()
    disk = vm:attach_disk({ id = "vda", image = vda.path })
    other = nil
  end

  local function dev(id) return "/dev/disk/by-id/virtio-" .. id end

  -- A write of the guest: whether it was told that all is well, and what it was told.
  local function write(id, sector, count, letter)
    local done = vm:run(("head -c %d /dev/zero | tr '\\0' %s | dd of=%s bs=%d count=1 seek=%d oflag=direct,seek_bytes iflag=fullblock 2>&1")
      :format(count * 512, letter, dev(id), count * 512, sector * 512))
    return done:ok(), done.stdout
  end

  local function read(id, sector)
    return vm:run(("dd if=%s bs=512 count=1 skip=%d iflag=direct 2>/dev/null"):format(dev(id), sector))
  end

  local function server()
    local point = disk:path():match("^(.*)/")
    local pipe <close> = io.popen("cat /proc/self/mountinfo")
    for line in pipe:lines() do
      local pid = line:find(" " .. point .. " ", 1, true) and line:match("provium:(%d+)")
      if pid then return pid end
    end
    error("no server serves " .. point)
  end

  -- The process of this VM's QEMU: it has the disk open.
  local function qemu()
    local look = [[for p in /proc/[0-9]*; do
      grep -q ^qemu-system $p/comm && ls -l $p/fd | grep -qF "$1" && echo ${p#/proc/}
    done 2>/dev/null]]
    local pipe <close> = io.popen(("sh -c '%s' sh '%s'"):format(look, disk:path()))
    return assert(pipe:read("l"), "no QEMU has " .. disk:path())
  end

  local function again()
    vm:close()
    start()
  end

  -- Each gets a place, a length and a letter.
  local actions = {
    write = function(sector, n, letter)
      t:assert(write("vda", sector, n, letter), "a write without a fault fails")
      vda:set(sector, n, letter)
    end,
    read = function(sector)
      t:assert_eq(read("vda", sector).stdout, vda.letters[sector]:rep(512))
    end,
    error = function(sector, n, letter)
      disk:fault_inject(("error op=write errno=EIO at=%d+1"):format(sector))
      t:assert(not write("vda", sector, n, letter), "a write with an error succeeds")
      local beside = (sector + n) % SECTORS
      t:assert_eq(read("vda", beside).stdout, vda.letters[beside]:rep(512))
    end,
    lose = function(sector, n, letter)
      disk:fault_inject("lose op=write")
      t:assert(write("vda", sector, n, letter), "a lost write is not acknowledged")
    end,
    tear = function(sector, n, letter)
      disk:fault_inject("tear keep=1")
      t:assert(write("vda", sector, n, letter), "a torn write is not acknowledged")
      vda:set(sector, 1, letter)
    end,
    misdirect = function(sector, n, letter)
      local by = sector >= 128 and -100 or 100
      disk:fault_inject(("misdirect op=write by=%+d"):format(by))
      t:assert(write("vda", sector, n, letter), "a misdirected write is not acknowledged")
      vda:set(sector + by, n, letter)
    end,
    corrupt = function(sector)
      disk:fault_inject("corrupt op=read how=fill byte=0x7a")
      t:assert_eq(read("vda", sector).stdout, ("z"):rep(512))
    end,
    stale = function(sector, n, letter)
      local old = vda.letters[sector]
      disk:fault_inject("stale")
      t:assert(write("vda", sector, n, letter), "a write beside a stale rule fails")
      vda:set(sector, n, letter)
      t:assert_eq(read("vda", sector).stdout, old:rep(512))
    end,
    hang = function(sector)
      disk:fault_inject("hang op=read tag=stuck")
      local dd = vm:run_async(("exec dd if=%s of=/dev/null bs=512 count=1 skip=%d iflag=direct"):format(dev("vda"), sector))
      disk:wait_fired("stuck")
      disk:release("stuck", "EIO")
      t:assert(not dd:wait("10s"):ok(), "a read that was released with an error succeeds")
    end,
    plug = function(sector, n, letter)
      other = vm:attach_disk({ id = "vdb", image = vdb.path })
      disk:fault_inject("eio_write")
      local ok, told = write("vdb", sector, n, letter)
      t:assert(ok, "a fault of one disk is felt on another: " .. told)
      vdb:set(sector, n, letter)
      other:detach()
      other = nil
    end,
    kill_qemu = function(sector, n, letter)
      t:assert(write("vda", sector, n, letter), "a write without a fault fails")
      vda:set(sector, n, letter)
      os.execute("kill -9 " .. qemu())
      t:assert(not pcall(function() for _ = 1, 100 do vm:run("true") end end), "a killed QEMU answers")
      again()
    end,
    kill_server = function(sector, n, letter)
      t:assert(write("vda", sector, n, letter), "a write without a fault fails")
      vda:set(sector, n, letter)
      os.execute("kill -9 " .. server())
      t:assert(not read("vda", sector):ok(), "a read without a server succeeds")
      vm:run("true"):assert_ok()
      again()
    end,
  }
  local names = {}
  for name in pairs(actions) do names[#names + 1] = name end
  table.sort(names)

  -- What the armed rules have done since they were armed.
  local function count_fired()
    for _, rule in ipairs(disk:rules()) do
      if rule.fired > 0 then add(fired, rule.rule:match("%S+"), rule.fired) end
    end
  end

  local function step(name, sector, n, letter)
    actions[name](sector, n, letter)
    count_fired()
    disk:clear_faults()
    vda:check(t, "afterwards")
  end

  start()
  local deadline = os.time() + minutes * 60
  while os.time() < deadline and #anomalies < MOST_ANOMALIES do
    steps = steps + 1
    local name = one_of(names)
    -- Killing takes a boot: the others get more turns.
    if name:find("kill") and draw(4) > 0 then name = "write" end
    local n = draw(8) + 1
    local sector, letter = draw(SECTORS - n - 1), string.char(97 + draw(25))
    local what = ("%d %s %d+%d %s"):format(steps, name, sector, n, letter)
    if schedule then schedule:write(what, "\n") end
    local ok, err = pcall(step, name, sector, n, letter)
    add(taken, name, 1)
    if not ok then
      anomalies[#anomalies + 1] = ("step %s: %s"):format(what, err)
      -- With new disks and a new guest, so that the next steps say something again.
      pcall(vm.close, vm)
      vda:reset()
      vdb:reset()
      start()
    end
  end
  vdb:check(t, "at the end")
  if schedule then schedule:close() end
  list(t, "step", taken)
  list(t, "fired", fired)
  for _, anomaly in ipairs(anomalies) do t:log("anomaly " .. anomaly) end
  t:log(("%d steps, %d anomalies"):format(steps, #anomalies))
  t:assert_eq(#anomalies, 0)
  os.remove(vda.path)
  os.remove(vdb.path)
end)
