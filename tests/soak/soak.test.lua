-- Guests, faults, kills, power cuts and hot-plugs at random from a seed, checked against a model after each step.
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

-- A disk: its image on the host, what each sector of that should hold, and the writes that are pending in its cache.
local Model = {}
Model.__index = Model

function Model.new(id)
  local path = os.tmpname()
  os.execute("truncate -s " .. SECTORS * 512 .. " " .. path)
  local self = setmetatable({ id = id, path = path, letters = {}, pending = {}, cache = "off" }, Model)
  for n = 0, SECTORS - 1 do self.letters[n] = "\0" end
  return self
end

-- An empty disk again, whatever it held.
function Model:reset()
  io.open(self.path, "w"):close()
  os.execute("truncate -s " .. SECTORS * 512 .. " " .. self.path)
  self:store({ sector = 0, count = SECTORS, letter = "\0" })
  self.pending = {}
end

function Model:store(write)
  for n = write.sector, write.sector + write.count - 1 do self.letters[n] = write.letter end
end

-- A write was answered.
function Model:set(sector, count, letter)
  local write = { sector = sector, count = count, letter = letter }
  if self.cache == "off" then self:store(write) else table.insert(self.pending, write) end
end

-- What a client reads from a sector.
function Model:seen(sector)
  for n = #self.pending, 1, -1 do
    local write = self.pending[n]
    if write.sector <= sector and sector < write.sector + write.count then return write.letter end
  end
  return self.letters[sector]
end

-- Of what is pending, the writes for which `survives` holds are durable, and the others are gone.
function Model:settle(survives)
  local kept, lost = 0, 0
  for n, write in ipairs(self.pending) do
    if survives(n) then
      self:store(write)
      kept = kept + 1
    else
      lost = lost + 1
    end
  end
  self.pending = {}
  return kept, lost
end

function Model:flush() self:settle(function() return true end) end

function Model:lose() self:settle(function() return false end) end

-- The letters in the image. Each sector is full of one.
function Model:image(t)
  local file <close> = assert(io.open(self.path, "rb"))
  local found, letters = file:read("a"), {}
  t:assert_eq(#found, SECTORS * 512)
  for n = 0, SECTORS - 1 do
    local sector = found:sub(n * 512 + 1, n * 512 + 512)
    letters[n] = sector:sub(1, 1)
    if sector ~= letters[n]:rep(512) then t:fail(("sector %d of %s is torn"):format(n, self.id)) end
  end
  return letters
end

-- Compares the image, byte for byte.
function Model:check(t, what)
  local found = self:image(t)
  for n = 0, SECTORS - 1 do
    if found[n] ~= self.letters[n] then
      t:fail(("%s: sector %d of %s holds %q, not %q"):format(what, n, self.id, found[n], self.letters[n]))
    end
  end
end

-- Compares what the disk says is pending.
function Model:check_pending(t, disk)
  local function text(write) return write.sector .. "+" .. write.count end
  local found, expected = {}, {}
  for n, write in ipairs(disk:pending()) do found[n] = text(write) end
  for n, write in ipairs(self.pending) do expected[n] = text(write) end
  t:assert_eq(table.concat(found, " "), table.concat(expected, " "))
end

-- Whether `found` is the durable state with some of the pending writes, in order, of which `kept` have survived. From the
-- newest to the oldest, `explained` has the sectors that a newer survivor has written.
function Model:is_explained(found, kept)
  local explained = {}
  local function search(number, left, hidden)
    if number == 0 then
      for n = 0, SECTORS - 1 do
        if not explained[n] and found[n] ~= self.letters[n] then return false end
      end
      return left >= 0 and left <= hidden
    end
    local write, shown, fits = self.pending[number], {}, true
    for n = write.sector, write.sector + write.count - 1 do
      if not explained[n] then
        shown[#shown + 1] = n
        fits = fits and found[n] == write.letter
      end
    end
    -- A write of which nothing can be seen has survived, or not.
    if #shown == 0 then return search(number - 1, left, hidden + 1) end
    if fits then
      for _, n in ipairs(shown) do explained[n] = true end
      if search(number - 1, left - 1, hidden) then return true end
      for _, n in ipairs(shown) do explained[n] = nil end
    end
    return search(number - 1, left, hidden)
  end
  return search(#self.pending, kept, 0)
end

-- Takes over what a power cut by chance has left: each survivor whole, or sector by sector if `is_torn`.
function Model:take_over(t, report, is_torn)
  local found, pieces = self:image(t), 0
  for _, write in ipairs(self.pending) do pieces = pieces + (is_torn and write.count or 1) end
  t:assert_eq(report.kept + report.lost, pieces)
  if is_torn then
    for n = 0, SECTORS - 1 do
      local is_known = found[n] == self.letters[n]
      for _, write in ipairs(self.pending) do
        local is_in = write.sector <= n and n < write.sector + write.count
        is_known = is_known or is_in and write.letter == found[n]
      end
      t:assert(is_known, ("sector %d holds %q, which nobody wrote"):format(n, found[n]))
    end
  else
    t:assert(self:is_explained(found, report.kept), "no subset of the pending writes leaves this image")
  end
  self.letters, self.pending = found, {}
end

-- What survives a power cut: the options that say so, and, unless chance decides, whether the write with a number does.
local function one_of_keeps(model, disk, sector, n)
  local numbers, first = {}, sector % (#model.pending + 1)
  for place, write in ipairs(disk:pending()) do
    if (sector >> place % 8) & 1 == 1 then numbers[place] = write.number end
  end
  local only = {}
  for _, number in pairs(numbers) do only[#only + 1] = number end
  local keeps = {
    { options = { keep = "none" }, survives = function() return false end },
    { options = { keep = "all" }, survives = function() return true end },
    { options = { keep = "first=" .. first }, survives = function(place) return place <= first end },
    { options = { keep = #only > 0 and only or "none" }, survives = function(place) return numbers[place] ~= nil end },
    { options = { keep = "random", seed = sector } },
    { options = { keep = "random", seed = sector, p = 0.9 } },
    { options = { keep = "random", seed = sector, tear = 1 } },
    { options = { keep = "random", seed = sector, tear = 1, p = 0.2 } },
  }
  return keeps[n]
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

test("guests, faults, kills, power cuts and hot-plugs at random leave what a model says", { timeout = minutes * 60 + 300 }, function(t)
  t:log(("PROVIUM_SOAK_SEED=%d runs this again"):format(seed))
  local schedule = schedule_path and assert(io.open(schedule_path, "w"))
  local vda, vdb = Model.new("vda"), Model.new("vdb")
  local vm, disk, other
  local generation = 0

  local function start()
    generation = generation + 1
    vm = provium:vm("soak" .. generation, "default"):boot()
    vda.cache = generation % 2 == 0 and "volatile" or "off"
    disk = vm:attach_disk({ id = "vda", image = vda.path, cache = vda.cache })
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

  -- What is pending is durable when a VM ends.
  local function again()
    vm:close()
    vda:flush()
    vda:check(t, "after the end of the VM")
    start()
  end

  -- A power cut, as `cut` makes it with these options; checks what has survived.
  local function lose_power(sector, n, cut)
    local policy = one_of_keeps(vda, disk, sector, n)
    local report = cut(policy.options)
    add(fired, "power cut", 1)
    add(fired, "kept", report.kept)
    add(fired, "lost", report.lost)
    if policy.survives then
      local kept, lost = vda:settle(policy.survives)
      t:assert_eq(("%d kept, %d lost"):format(report.kept, report.lost), ("%d kept, %d lost"):format(kept, lost))
    else
      vda:take_over(t, report, policy.options.tear)
    end
    vda:check(t, "after the power cut")
  end

  local function write_well(sector, n, letter)
    t:assert(write("vda", sector, n, letter), "a write without a fault fails")
    vda:set(sector, n, letter)
  end

  -- One to four writes, of which neighbours overlap.
  local function write_some(sector, n, letter)
    for k = 0, sector % 4 do write_well((sector + 3 * k) % (SECTORS - n), n, string.char(letter:byte() + k % 2)) end
  end

  -- Each gets a place, a length and a letter.
  local actions = {
    write = write_well,
    read = function(sector)
      t:assert_eq(read("vda", sector).stdout, vda:seen(sector):rep(512))
    end,
    error = function(sector, n, letter)
      disk:fault_inject(("error op=write errno=EIO at=%d+1"):format(sector))
      t:assert(not write("vda", sector, n, letter), "a write with an error succeeds")
      local beside = (sector + n) % SECTORS
      t:assert_eq(read("vda", beside).stdout, vda:seen(beside):rep(512))
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
      local old = vda:seen(sector)
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
      t:assert(not dd:wait("100s"):ok(), "a read that was released with an error succeeds")
    end,
    plug = function(sector, n, letter)
      vdb.cache = n % 2 == 0 and "volatile" or "off"
      other = vm:attach_disk({ id = "vdb", image = vdb.path, cache = vdb.cache })
      disk:fault_inject("eio_write")
      local ok, told = write("vdb", sector, n, letter)
      t:assert(ok, "a fault of one disk is felt on another: " .. told)
      vdb:set(sector, n, letter)
      other:detach()
      vdb:flush()
      vdb:check(t, "after detach")
      other = nil
    end,
    flush = function()
      vm:run("dd if=/dev/null of=" .. dev("vda") .. " count=0 conv=notrunc,fsync 2>&1"):assert_ok()
      vda:flush()
    end,
    cache = function()
      vda:flush()
      vda.cache = vda.cache == "off" and "volatile" or "off"
      disk:cache(vda.cache)
    end,
    cut = function(sector, n, letter)
      write_some(sector, n, letter)
      lose_power(sector, n, function(options) return disk:power_cut(options) end)
      t:assert_eq(read("vda", sector).stdout, vda:seen(sector):rep(512))
    end,
    boot_cut = function(sector, n, letter)
      write_some(sector, n, letter)
      lose_power(sector, n, function(options) return vm:power_cut(options).vda end)
      vm:boot()
      t:assert_eq(read("vda", sector).stdout, vda:seen(sector):rep(512))
    end,
    boot_rule = function(sector, n, letter)
      local point = n % 2 == 0 and "before" or "after"
      local keep = n % 4 < 2 and "none" or "all"
      disk:fault_inject(("cut op=write times=1 point=%s keep=%s"):format(point, keep))
      local ok, told = pcall(write, "vda", sector, n, letter)
      t:assert(not ok and tostring(told):find("the power was cut by", 1, true), "the guest runs on: " .. tostring(told))
      local report = vm:wait_power_cut().vda
      if point == "after" then vda:set(sector, n, letter) end
      local kept, lost = vda:settle(function() return keep == "all" end)
      t:assert_eq(("%d kept, %d lost"):format(report.kept, report.lost), ("%d kept, %d lost"):format(kept, lost))
      vda:check(t, "after the power cut")
      vm:boot()
    end,
    checkpoint = function(sector, n, letter)
      write_some(sector, n, letter)
      disk:save_checkpoint("soak")
      local letters, pending = table.move(vda.letters, 0, SECTORS - 1, 0, {}), table.move(vda.pending, 1, #vda.pending, 1, {})
      write_some((sector + 5) % (SECTORS - n), n, letter:upper())
      disk:restore_checkpoint("soak")
      vda.letters, vda.pending = letters, pending
      t:assert_eq(read("vda", sector).stdout, vda:seen(sector):rep(512))
      disk:drop_checkpoint("soak")
    end,
    kill_qemu = function(sector, n, letter)
      write_well(sector, n, letter)
      os.execute("kill -9 " .. qemu())
      t:assert(not pcall(function() for _ = 1, 100 do vm:run("true") end end), "a killed QEMU answers")
      again()
    end,
    kill_server = function(sector, n, letter)
      write_well(sector, n, letter)
      os.execute("kill -9 " .. server())
      vda:lose()
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
    vda:check_pending(t, disk)
  end

  start()
  local deadline = os.time() + minutes * 60
  while os.time() < deadline and #anomalies < MOST_ANOMALIES do
    steps = steps + 1
    local name = one_of(names)
    -- These take a boot, or change a lot: the others get more turns.
    local is_rare = name:find("kill") or name:find("boot") or name == "cache"
    if is_rare and draw(4) > 0 then name = one_of({ "write", "write", "cut" }) end
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
  if pcall(vm.close, vm) then vda:flush() end
  vda:check(t, "at the end")
  if schedule then schedule:close() end
  list(t, "step", taken)
  list(t, "fired", fired)
  for _, anomaly in ipairs(anomalies) do t:log("anomaly " .. anomaly) end
  t:log(("%d steps, %d anomalies"):format(steps, #anomalies))
  t:assert_eq(#anomalies, 0)
  os.remove(vda.path)
  os.remove(vdb.path)
end)
