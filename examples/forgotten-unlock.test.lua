-- A program that takes a lock and forgets it on one of its error paths. The sweep fails each of its writes once, goes back
-- to a snapshot in between, and names the write whose failure leaves the lock.
local SAVE = [[
  put() { dd if=/dev/zero of=/dev/disk/by-id/virtio-data bs=4k count=1 seek=$1 oflag=direct conv=notrunc; }
  touch /tmp/lock
  put 0 || { rm /tmp/lock; exit 1; }
  put 2 || exit 1
  put 4 || { rm /tmp/lock; exit 1; }
  rm /tmp/lock
]]

test("the second write is the one whose failure leaves a lock", { timeout = "3m" }, function(t)
  local vm = provium:vm("g", "peios"):boot()
  local disk = vm:attach_disk({ id = "data", scratch = "8M" })
  local found = t:sweep(disk, { op = "write", fault = "error errno=EIO", fail = false }, function(guest)
    guest:run(SAVE)
    t:assert(not guest:run("test -e /tmp/lock"):ok(), "a lock is left")
  end)
  t:assert_eq(#found.failed, 1)
  t:assert_eq(found.failed[1], 2)
end)
