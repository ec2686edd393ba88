-- An application that does not call fsync loses what it has "saved" when the power goes. With fsync it loses nothing.
local DISK = "/dev/disk/by-id/virtio-data"

-- Has a guest save a note with `save`, cuts the power, boots again, and returns what is left of the note.
local function survives(save)
  -- A disk as real ones are: it answers writes early, and keeps only what was flushed.
  local vm = provium:vm("v", "peios"):boot({ disks = { { id = "data", scratch = "32M", cache = "volatile" } } })
  vm:run("mkfs.ext4 -q " .. DISK .. " && mkdir /m && mount " .. DISK .. " /m && sync"):assert_ok()
  vm:run(save):assert_ok() -- the application says that all is well

  vm:power_cut()
  vm:boot() -- the same disk, with what has survived; ext4 recovers when it is mounted
  vm:run("mkdir /m && mount " .. DISK .. " /m"):assert_ok()
  return vm:run("cat /m/note").stdout
end

test("a note that was only written is gone", function(t)
  t:assert_eq(survives("echo important > /m/note"), "")
end)

test("a note that was written and synced is there", function(t)
  t:assert_eq(survives("echo important > /m/note && sync /m/note /m"), "important\n")
end)
