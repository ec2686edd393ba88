-- Flipped bits: ext4 has checksums for its metadata, but not for its data.
local scratch = require("scratch")

test("ext4 notices rotten metadata", function(t)
  local image = scratch.image(2 * 1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })
  vm:run("mkfs.ext4 -q -O metadata_csum /dev/vda"):assert_ok()

  disk:fault_inject("corrupt op=read how=flip bits=64 seed=1")
  local mount = vm:run("mkdir -p /mnt/v && blockdev --flushbufs /dev/vda; mount /dev/vda /mnt/v")
  t:assert(not mount:ok(), "it should not trust what it reads")

  -- The image is intact: a corrupted read changes only what its reader gets.
  disk:clear_faults()
  vm:run("blockdev --flushbufs /dev/vda; e2fsck -fn /dev/vda"):assert_ok()
  os.remove(image)
end)
