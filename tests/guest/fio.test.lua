-- Limits and delays as fio in a guest measures them. The guest is emulated, so the numbers are low: what a request costs
-- there is small beside them. A busy machine makes it slower, and never quicker than a rule says.
local vm = provium:vm("f", "storage"):boot({ agent_timeout = "3m" })
local disk = vm:attach_disk({ id = "limited", scratch = "16M" })

-- Reads as `words` say, with these rules armed. Returns what fio says of the reads.
local function measure(rules, words)
  disk:clear_faults()
  for _, rule in ipairs(rules) do
    disk:fault_inject(rule)
  end
  local command = "fio --name=m --rw=randread --direct=1 --ioengine=libaio --output-format=json --filename=%s %s"
  local result = vm:run(command:format(disk:device(), words), { timeout = "2m" }):assert_ok()
  return json.decode(result.stdout).jobs[1].read
end

-- What `key` of fio's answer is: at most 3 % more than declared, for the first request waits for nothing. On a busy machine the
-- guest may be too slow, which is no fault of the rule: it has five tries to reach four fifths, or another share.
local function assert_reached(t, key, declared, rules, words, share)
  local found
  for _ = 1, 5 do
    found = measure(rules, words)[key]
    t:assert(found <= declared * 1.03, ("%s %s of %s with %s"):format(key, found, declared, words))
    if found >= declared * (share or 0.8) then return end
  end
  t:fail(("%s %s of %s with %s"):format(key, found, declared, words))
end

test("a limit of requests holds at each depth of the guest's queue", { timeout = 300 }, function(t)
  for _, depth in ipairs({ 1, 16 }) do
    assert_reached(t, "iops", 50, { "limit op=read iops=50 lanes=2" }, "--bs=4k --number_ios=150 --iodepth=" .. depth)
  end
  -- Without a rule the guest is quicker.
  t:assert(measure({}, "--bs=4k --number_ios=150 --iodepth=16").iops > 52)
end)

test("a limit of bytes holds at each depth and size of requests", { timeout = 300 }, function(t)
  for _, words in ipairs({ "--bs=4k --iodepth=1", "--bs=4k --iodepth=16", "--bs=64k --iodepth=1", "--bs=64k --iodepth=16" }) do
    assert_reached(t, "bw_bytes", 2 ^ 20, { "limit op=read rate=1M" }, "--io_size=3M " .. words)
  end
end)

test("lanes with a delay pass more at a greater depth, up to their number", { timeout = 300 }, function(t)
  local rules = { "limit op=read lanes=2", "delay op=read by=100ms" }
  for depth, declared in pairs({ [1] = 10, [2] = 20, [16] = 20 }) do
    -- More than half: both lanes are used.
    assert_reached(t, "iops", declared, rules, "--bs=4k --number_ios=40 --iodepth=" .. depth, 0.6)
  end
end)

test("half of the requests wait as long as the p50 of a delay says", { timeout = 300 }, function(t)
  local p50
  for _ = 1, 5 do
    local reads = measure({ "delay op=read by=p50:100ms,p99:400ms,p99.9:500ms seed=7" }, "--bs=4k --number_ios=400 --iodepth=8")
    p50 = reads.clat_ns.percentile["50.000000"] / 1e6
    local p99 = reads.clat_ns.percentile["99.000000"] / 1e6
    t:assert(p50 > 95 and p99 > 300, p50 .. " " .. p99)
    if p50 < 125 then return end
  end
  t:fail("the median of 100 ms took " .. p50)
end)

test("fio has its engines but for those whose libraries are left out, and says what is missing", function(t)
  for _, engine in ipairs({ "psync", "libaio", "io_uring", "mmap" }) do
    local words = "fio --name=m --rw=read --bs=4k --size=64k --filename=%s --ioengine=%s"
    vm:run(words:format(disk:device(), engine)):assert_ok()
  end
  local result = vm:run("fio --name=m --rw=read --size=64k --ioengine=rbd")
  t:assert(not result:ok())
  t:assert_contains(result.stderr, "undefined symbol: rados_create")
end)
