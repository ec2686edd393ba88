-- The globals of a prompt beside those of a test file.
-- Returns the function that Rust calls.

-- Nothing runs a test that is declared at a prompt.
function test()
  error("test: a prompt runs no tests: enter what the test does, without `t`", 2)
end

function todo()
  error("todo: a prompt runs no tests", 2)
end

local debug, load, pcall = debug, load, pcall -- a person may replace the globals

-- The value of the expression before the last dot or colon; nil when it has none.
local function value_of(expression)
  local chunk = load("return " .. expression)
  local ok, value = pcall(chunk or error)
  if ok then
    return value
  end
end

-- The tables in which Lua looks up the fields of `value`.
local function tables_of(value)
  if type(value) == "string" then
    value = string
  elseif type(value) == "userdata" then
    local class = debug.getmetatable(value).__name or ""
    value = debug.getregistry()[class:match("(%w+)$"):lower()]
  end
  if type(value) ~= "table" then
    return {}
  end
  local index = (debug.getmetatable(value) or {}).__index
  return { value, type(index) == "table" and index or nil }
end

-- The names that may follow `line`, sorted, and how many letters of them are there already: of
-- globals, of a table's fields, of an object's methods.
local function names(line)
  local expression, typed = line:match("([%w_.]+)[.:]([%w_]*)$")
  typed = typed or line:match("[%a_][%w_]*$") or ""
  local value = _G
  if expression then
    value = value_of(expression)
  end
  local found, seen = {}, {}
  for _, fields in ipairs(tables_of(value)) do
    for key in pairs(fields) do
      if type(key) == "string" and key:sub(1, #typed) == typed and not seen[key] then
        seen[key] = true
        found[#found + 1] = key
      end
    end
  end
  table.sort(found)
  return found, #typed
end

return { names = names }
