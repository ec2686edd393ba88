-- A disk that fails on cue, and a guest that meets the error. Run it with: provium test

test("a read error reaches the guest, and is over when it is cleared", function(t)
  local vm = provium:vm("v", "default")
  vm:boot({ disks = { { id = "vda", scratch = "16M" } } })
  local disk = vm:disk("vda")

  disk:fault_inject("eio_read")
  local failed = vm:run("dd if=/dev/vda of=/dev/null iflag=direct bs=4096 count=1")
  t:assert_contains(failed.stderr, "Input/output error")

  disk:clear_faults()
  vm:run("dd if=/dev/vda of=/dev/null iflag=direct bs=4096 count=1"):assert_ok()
end)
