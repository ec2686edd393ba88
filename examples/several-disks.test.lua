-- Each disk has faults of its own.
local scratch = require("scratch")

local function read(vm, name)
  return vm:run(("dd if=/dev/disk/by-id/virtio-%s of=/dev/null bs=512 count=1 iflag=direct"):format(name))
end

test("a fault on one disk leaves the other alone", function(t)
  local data_image, logs_image = scratch.image(1024 * 1024), scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios")
  local data = vm:attach_disk({ id = "data", image = data_image }) -- on the machine's command line
  vm:boot()
  local logs = vm:attach_disk({ id = "logs", image = logs_image }) -- hot-plugged

  data:fault_inject("eio_read")
  t:assert(not read(vm, "data"):ok(), "data should fail")
  read(vm, "logs"):assert_ok()

  -- A second handle is the same disk.
  local again = vm:disk("data")
  t:assert_eq(again:active_faults()[1], "eio_read")
  again:clear_faults()
  read(vm, "data"):assert_ok()

  logs:fault_inject("slow")
  t:assert_eq(#data:active_faults(), 0)
  os.remove(data_image)
  os.remove(logs_image)
end)
