-- The power goes in the middle of a guest's work; then the guest boots on what is left.
local DISK = "/dev/disk/by-id/virtio-data"

test("a log keeps what was synced before the power was cut", function(t)
  local vm = provium:vm("v", "peios"):boot({ disks = { { id = "data", scratch = "32M", cache = "volatile" } } })
  local disk = vm:disk("data")
  vm:run("mkfs.ext4 -q " .. DISK .. " && mkdir /m && mount " .. DISK .. " /m && sync"):assert_ok()

  -- The 20th flush from now on is not done: the power is cut instead, of all disks at once.
  disk:fault_inject("cut op=flush skip=19 times=1")
  vm:run_async([[n=1; while echo "record $n" >> /m/log && sync /m/log; do
    echo "synced $n." > /dev/ttyS0; n=$((n + 1)) # the console tells the test what is safe
  done]])
  local report = vm:wait_power_cut("30s").data
  t:log(("the disk has lost %d writes that it had answered"):format(report.lost))
  t:assert_eq(vm:state(), "shutdown")

  local synced = 0
  for number in vm:console():read_log():gmatch("synced (%d+)%.") do synced = tonumber(number) end
  t:assert(synced >= 1)

  vm:boot()
  vm:run("mkdir /m && mount " .. DISK .. " /m"):assert_ok()
  local records = tonumber(vm:run("wc -l < /m/log").stdout)
  t:assert(records >= synced, ("%d of %d synced records are left"):format(records, synced))
  vm:run("umount /m && e2fsck -fn " .. DISK):assert_ok()
end)
