-- Counts and probabilities: exactly the third write fails; a seed repeats the same random errors.
local scratch = require("scratch")

-- Reads %d sectors one by one. Prints a dot for each success, an E for each error.
local READS = [[for n in $(seq %d); do
  if dd if=/dev/vda of=/dev/null bs=512 count=1 iflag=direct 2> /dev/null; then printf .; else printf E; fi
done]]

test("the third write fails, and no other", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })

  disk:fault_inject("error op=write errno=EIO skip=2 times=1")
  local written = vm:run([[for n in 0 1 2 3 4; do
    echo record $n | dd of=/dev/vda bs=512 count=1 seek=$n conv=sync oflag=direct 2> /dev/null && printf "$n "
  done]])
  t:assert_eq(written.stdout, "0 1 3 4 ")
  t:assert_eq(disk:read_sectors(2, 1), ("\0"):rep(512))
  t:assert_contains(disk:read_sectors(3, 1), "record 3")
  os.remove(image)
end)

test("the same seed makes the same reads fail", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })

  disk:fault_inject("error op=read errno=EIO p=0.3 seed=7")
  local first = vm:run(READS:format(20)).stdout
  t:assert_contains(first, "E")
  t:assert_contains(first, ".")

  disk:clear_faults()
  disk:fault_inject("error op=read errno=EIO p=0.3 seed=7")
  t:assert_eq(vm:run(READS:format(20)).stdout, first)
  os.remove(image)
end)
