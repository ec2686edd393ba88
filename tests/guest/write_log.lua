-- Write logs for tests, in the format of dm-log-writes.
local temporary = require("temporary")

local FLUSH, MARK = 1, 8

local function entry(sector, count, flags, len)
  return string.pack("<I8I8I8I8", sector, count, flags, len)
end

-- A log of `steps`: `{sector, byte}` fills a sector, `"flush"` is a flush, any other text is a mark. Returns its path.
return function(steps)
  local path = temporary()
  local file <close> = assert(io.open(path, "wb"))
  local function write(head, data)
    file:write(head, ("\0"):rep(512 - #head), data)
  end
  write(string.pack("<I8I8I8I4", 0x6a736677736872, 1, #steps, 512), "")
  for _, step in ipairs(steps) do
    if step == "flush" then
      write(entry(0, 0, FLUSH, 0), "")
    elseif type(step) == "string" then
      write(entry(0, 0, MARK, #step) .. step, "")
    else
      write(entry(step[1], 1, 0, 0), step[2]:rep(512))
    end
  end
  return path
end
