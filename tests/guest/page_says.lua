-- Quotes docs/lua-reference.md, or another page, beside the proof. So a change of a number, a default, a limit or an
-- error text shows both places. Line breaks of the page do not matter.
local root = debug.getinfo(1, "S").source:sub(2):gsub("[^/]*$", "") .. "../../"

local function flowing(text)
  return (text:gsub("%s+", " "))
end

return function(text, page)
  local name = page or "docs/lua-reference.md"
  local file <close> = assert(io.open(root .. name))
  if not flowing(file:read("a")):find(flowing(text), 1, true) then
    error(name .. " does not say any more: " .. text, 2)
  end
end
