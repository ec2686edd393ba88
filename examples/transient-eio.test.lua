-- A transient error: a program in the guest that retries succeeds after the fault is cleared.
local scratch = require("scratch")
local DD = "dd if=/dev/vda of=/dev/null bs=512 count=1 iflag=direct"

test("a reader that retries survives a transient EIO", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })

  disk:fault_inject("eio_read")
  local proc = vm:run_async(("n=0; until %s; do n=$((n + 1)); sleep 0.05; done; echo $n"):format(DD))

  vm:clock():sleep("300ms")
  disk:clear_faults()

  local result = proc:wait("10s")
  result:assert_ok()
  t:assert(tonumber(result.stdout) >= 1, "it should have failed at least once")
  os.remove(image)
end)

test("the guest's kernel does not retry by itself", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })

  disk:fault_inject("eio_read")
  local proc = vm:run_async(DD)
  local result = proc:wait("10s")
  t:assert_contains(result.stderr, "Input/output error")
  os.remove(image)
end)
