-- Calls from a file in another folder than that of the test.
local paths = {}

function paths.attach(vm, options)
  local disk = vm:attach_disk(options)
  return disk
end

return paths
