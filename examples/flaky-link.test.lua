-- A link that comes and goes, like dm-flakey. A program that retries transfers all its data.
local scratch = require("scratch")

test("a writer that retries gets through a flaky link", function(t)
  local image = scratch.image(1024 * 1024)
  local vm = provium:vm("v", "peios"):boot()
  local disk = vm:attach_disk({ id = "vda", image = image })

  disk:fault_inject("error errno=EIO up=200ms down=200ms")
  local r = vm:run([[failures=0
    for n in $(seq 0 15); do
      until echo record $n | dd of=/dev/vda bs=512 seek=$n count=1 conv=sync oflag=direct 2> /dev/null; do
        failures=$((failures + 1)); sleep 0.02
      done
    done
    echo $failures]])
  t:assert(tonumber(r.stdout) > 0, "the link should have been down once")

  disk:clear_faults()
  for n = 0, 15 do
    t:assert_contains(disk:read_sectors(n, 1), "record " .. n .. "\n")
  end
  os.remove(image)
end)
