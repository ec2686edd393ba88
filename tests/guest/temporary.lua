-- Paths for files of tests. The files are removed when the process of the test file ends, whatever becomes of the tests.
local function remove(paths)
  for _, path in ipairs(paths) do
    os.remove(path)
    os.remove(path .. ".base") -- What a write log of this name begins with.
  end
end

local made = setmetatable({}, { __gc = remove })

-- Returns the path of a new empty file.
return function()
  local path = os.tmpname()
  table.insert(made, path)
  return path
end
