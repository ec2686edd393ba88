-- Writes that are acknowledged, and then lost, torn, misdirected, or hidden by stale reads. The guest gets no error;
-- only reading back shows the fault.
local scratch = require("scratch")

-- Returns a guest with an empty disk, and a function that makes the guest write eight sectors of a letter at its start.
local function guest_with_disk()
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })
  local function write(letter)
    vm:run(("yes %s | tr -d '\\n' | dd of=/dev/vda bs=4096 count=1 iflag=fullblock oflag=direct"):format(letter)):assert_ok()
  end
  return disk, write, image, vm
end

test("a torn write is new at its start and old at its end", function(t)
  local disk, write, image = guest_with_disk()
  write("a")
  disk:fault_inject("tear keep=3")
  write("b")
  t:assert_eq(disk:read_sectors(0, 8), ("b"):rep(3 * 512) .. ("a"):rep(5 * 512))
  os.remove(image)
end)

test("a lost write leaves what was there", function(t)
  local disk, write, image = guest_with_disk()
  write("a")
  disk:fault_inject("lose op=write")
  write("b")
  t:assert_eq(disk:read_sectors(0, 8), ("a"):rep(8 * 512))
  -- `damage` lists the changes of the image by rules. Read it when a checksum fails later.
  t:assert_eq(disk:damage()[1], "0 8 lost lose op=write")
  os.remove(image)
end)

test("a misdirected write hits a neighbour", function(t)
  local disk, write, image = guest_with_disk()
  disk:fault_inject("misdirect op=write by=+16")
  write("m")
  t:assert_eq(disk:read_sectors(0, 8), ("\0"):rep(8 * 512))
  t:assert_eq(disk:read_sectors(16, 8), ("m"):rep(8 * 512))
  os.remove(image)
end)

test("a stale read finds what was there, while the disk has what was written", function(t)
  local disk, write, image, vm = guest_with_disk()
  local read = "dd if=/dev/vda bs=512 count=1 iflag=direct 2> /dev/null"
  write("o")
  disk:fault_inject("stale")
  write("n")
  t:assert_eq(vm:run(read).stdout, ("o"):rep(512))
  disk:clear_faults()
  t:assert_eq(vm:run(read).stdout, ("n"):rep(512))
  os.remove(image)
end)
