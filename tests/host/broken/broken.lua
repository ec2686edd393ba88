-- A guest with a disk, for tests that are broken on purpose: the report of each has to say why.
local broken = {}

-- A VM `a` with a disk `vda` of 16 MiB, the disk, and the disk's name in the guest.
function broken.guest()
  local image = os.tmpname()
  assert(os.execute("truncate -s 16M " .. image))
  local vm = provium:vm("a", "default"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })
  os.remove(image)
  return vm, disk, "/dev/disk/by-id/virtio-vda"
end

return broken
