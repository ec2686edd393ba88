-- Crash states of ext4: what a check on the host and a guest that mounts the state say of them. A test tries a sample
-- of the states; with PROVIUM_ALL_STATES in the environment it tries all that the default picks.
local scratch = require("image")
local page_says = require("page_says")

-- On the host, without mounting it: the journal is replayed, then nothing is repaired. Of a damaged journal
-- e2fsck says so and drops it, with exit code 0. A kernel does not mount the file system then.
local HOST = "! e2fsck -y -E journal_only {} 2>&1 | grep -q JBD2 && "
local FSCK = "e2fsck -fn {} > /dev/null 2>&1"
-- In the guest: the kernel replays the journal. Mount, ls and cat do not read the maps of blocks and inodes, and do not
-- count links: that is what e2fsck adds.
local MOUNT = [[
  mount $1 /mnt || exit 1
  ls -lR /mnt > /dev/null && find /mnt -type f -exec cat {} + > /dev/null
  read=$?
  umount /mnt && exit $read
]]
local MOUNT_AND_FSCK = MOUNT:gsub("exit %$read", "[ $read = 0 ] && e2fsck -fn $1 >&2")

local FOLDERS = [[
  for n in 1 2 3 4 5 6; do
    mkdir /mnt/$n; echo $n > /mnt/$n/file
    if [ $n = 3 ] || [ $n = 6 ]; then sync; fi
  done
]]
-- Another program's fsync commits what the journal has of the rename.
local RENAME = [[
  echo new > /mnt/file.new; mv /mnt/file.new /mnt/file
  echo x > /mnt/other; sync /mnt/other
]]

-- Without a thread of the kernel that writes to the file system later.
local NOT_LAZY = "-E lazy_itable_init=0,lazy_journal_init=0"

-- Records `script` on an ext4 made with the options `mkfs` and mounted with `options`. Returns the VM and the log.
local function recorded(name, mkfs, options, script)
  local vm = provium:vm(name, "peios"):boot()
  local path = scratch.new(16384)
  local disk = vm:attach_disk({ id = "data", image = path })
  local device = "/dev/disk/by-id/virtio-data"
  vm:run(("mkfs.ext4 -q %s %s %s && mount %s /mnt && echo old > /mnt/file && umount /mnt"):format(NOT_LAZY, mkfs, device, device)):assert_ok()
  vm:run(("mount -o %s %s /mnt"):format(options, device)):assert_ok()
  local log = disk:record()
  vm:run(script):assert_ok()
  disk:record_stop()
  vm:run("umount /mnt"):assert_ok()
  return vm, log
end

-- The verdicts of the states by the command `host`, and by the script `guest` in the guest: how many are bad, and a line
-- for each state of which they differ.
local function verdicts(vm, log, which, host, guest)
  if os.getenv("PROVIUM_ALL_STATES") then which = {} end
  local ids, bad_on_host, count = {}, {}, 0
  for state in provium:states(log, which) do
    table.insert(ids, state.id)
    if not state:check(host) then bad_on_host[state.id], count = true, count + 1 end
  end
  local bad_in_guest, guest_count = {}, 0
  for _, bad in ipairs(vm:try_states(log, which, function(machine, device)
    machine:run("sh", { "-c", guest, "sh", device }):assert_ok()
  end).bad) do
    assert(bad.error:find("command failed"), bad.error)
    bad_in_guest[bad.id], guest_count = bad.error, guest_count + 1
  end
  local differ = {}
  for _, id in ipairs(ids) do
    if (bad_on_host[id] == nil) ~= (bad_in_guest[id] == nil) then
      table.insert(differ, id .. (bad_on_host[id] and ": bad on the host" or ": bad in the guest: " .. bad_in_guest[id]))
    end
  end
  return { differ = table.concat(differ, "\n"), states = #ids, bad = count, bad_in_guest = guest_count }
end

for _, case in ipairs({
  { name = "as it comes has no bad state", mkfs = "", options = "defaults", which = { at = "flush", pick = "none,all" }, bad = false },
  { name = "with barrier=0 has bad states", mkfs = "", options = "barrier=0", which = { at = "flush", pick = "drop=1" }, bad = true },
  { name = "without its journal has bad states", mkfs = "-O ^has_journal", options = "defaults", which = { at = "flush", pick = "drop=1" }, bad = true },
}) do
  test("ext4 " .. case.name .. ", on the host and in a guest", { timeout = "10m" }, function(t)
    if not os.execute("command -v e2fsck > /dev/null") then t:skip("no e2fsck") end
    local vm, log = recorded("v", case.mkfs, case.options, FOLDERS)
    local found = verdicts(vm, log, case.which, HOST .. FSCK, MOUNT_AND_FSCK)
    t:assert_eq(found.differ, "")
    t:assert_eq(found.bad > 0, case.bad)
    t:assert(found.states > 3, "too few states: " .. found.states)
    print(("%d states, %d bad"):format(found.states, found.bad))
  end)
end

test("a guest that only mounts a state and reads all files misses what e2fsck finds", { timeout = "10m" }, function(t)
  page_says("`mount`, `ls -lR` and `cat` read neither the maps of free blocks and inodes nor the counts of links", "docs/power.md")
  if not os.execute("command -v e2fsck > /dev/null") then t:skip("no e2fsck") end
  local vm, log = recorded("v", "-O ^has_journal", "defaults", FOLDERS)
  local which = { at = "flush", pick = "drop=1" }
  local found = verdicts(vm, log, which, HOST .. FSCK, MOUNT)
  t:assert(found.bad_in_guest < found.bad, ("%d in the guest, %d on the host"):format(found.bad_in_guest, found.bad))
end)

for options, has_empty in pairs({ noauto_da_alloc = true, auto_da_alloc = false }) do
  local says = has_empty and "some states have an empty file" or "no state has an empty file"
  test("after a rename without fsync with " .. options .. " " .. says .. ", on the host and in a guest", { timeout = "10m" }, function(t)
    if not os.execute("command -v e2fsck debugfs > /dev/null") then t:skip("no e2fsck or debugfs") end
    local vm, log = recorded("v", "", options, RENAME)
    local is_whole = "[ \"$content\" = old ] || [ \"$content\" = new ]"
    local host = HOST .. "content=$(debugfs -R 'cat /file' {} 2> /dev/null) && { " .. is_whole .. "; }"
    local guest = "mount $1 /mnt || exit 1; content=$(cat /mnt/file); umount /mnt; " .. is_whole
    local found = verdicts(vm, log, { at = "flush", pick = "none,all" }, host, guest)
    t:assert_eq(found.differ, "")
    t:assert_eq(found.bad > 0, has_empty)
    print(("%d states, %d bad"):format(found.states, found.bad))
  end)
end
