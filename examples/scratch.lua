-- Scratch images for the examples, and a function that reads a counter of a disk.
local scratch = {}

-- Makes an image of `size` zero bytes and returns its path. Provium itself never creates images.
function scratch.image(size)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:seek("set", size - 1)
  file:write("\0")
  file:close()
  return path
end

-- Returns one counter of the disk from its control file, as a shell would read it.
function scratch.stat(disk, key)
  local mount, id = disk:path():match("^(.*)/([^/]+)$")
  for line in io.lines(mount .. "/ctl/" .. id .. "/stats") do
    local value = line:match("^" .. key .. " (%d+)$")
    if value then
      return math.tointeger(value)
    end
  end
  error("no counter " .. key)
end

return scratch
