-- Calls from a file in another folder than that of the test: relative paths start here.
local paths = {}

function paths.attach(vm, options)
  return vm:attach_disk(options)
end

return paths
