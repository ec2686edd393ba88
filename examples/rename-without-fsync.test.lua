-- "Write a new file, then rename it over the old one" needs an fsync of the new file between the two. ext4 hides a
-- missing one (`auto_da_alloc`, its default). Without that help, a power cut may leave an empty file: neither the old
-- content nor the new one. The states that a power cut may have left are tried in the guest, one by one.
local scratch = require("scratch")

local UPDATE = [[
  mkfs.ext4 -q $device && mount -o $options $device /mnt && echo old > /mnt/file && umount /mnt || exit 1
]]
local RENAME = [[
  mount -o $options $device /mnt || exit 1
  echo new > /mnt/file.new
  if [ $sync ]; then sync /mnt/file.new; fi
  mv /mnt/file.new /mnt/file
  # Another program's fsync commits what the journal has of the rename.
  echo x > /mnt/other; sync /mnt/other
  umount /mnt
]]
local LOOK = [[ mount $device /mnt || exit 1; cat /mnt/file; umount /mnt ]]

-- Returns how many of the states have an empty file.
local function empty_files(options, sync)
  local vm = provium:vm("v-" .. options .. sync, "peios"):boot()
  local image = scratch.image(8 << 20)
  local disk = vm:attach_disk({ id = "data", image = image })
  local env = { device = "/dev/disk/by-id/virtio-data", options = options, sync = sync }
  vm:run(UPDATE, { env = env }):assert_ok()
  disk:record()
  vm:run(RENAME, { env = env }):assert_ok()
  local empty = 0
  local tried = vm:try_states(disk, { at = "flush", pick = "none,all" }, function(guest, device)
    local found = guest:run(LOOK, { env = { device = device } }):assert_ok().stdout
    if found == "" then error("the file is empty") end
    assert(found == "old\n" or found == "new\n", found)
  end)
  for _, bad in ipairs(tried.bad) do
    assert(bad.error:find("the file is empty"), bad.error)
    empty = empty + 1
  end
  vm:close()
  os.remove(image)
  return empty, tried.good
end

test("a file that is renamed without fsync may be empty after a power cut", { timeout = "3m" }, function(t)
  local empty = empty_files("noauto_da_alloc", "")
  t:assert(empty > 0, "no state has an empty file")
end)

test("with an fsync before the rename, the file is the old or the new one", { timeout = "3m" }, function(t)
  local empty, good = empty_files("noauto_da_alloc", "yes")
  t:assert_eq(empty, 0)
  t:assert(good > 1, "too few states")
end)
