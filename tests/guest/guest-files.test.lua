-- Files in the guest, and the console.
local page_says = require("page_says")
local temporary = require("temporary")
local files = {
  { path = "/tmp/made/for/it", content = "here" },
  { path = "/tmp/made/script", content = "#!/bin/sh\necho ran\n", mode = "0755" },
}
local vm = provium:vm("g", "peios"):boot({ files = files })

local function raised(fn)
  local ok, err = pcall(fn)
  assert(not ok, "expected to raise")
  return (err:gsub("^[^:]+:%d+: ", ""))
end

local function octal(path)
  return ("%o"):format(vm:stat(path).mode)
end

test("the files of a boot make the folders that they lie in", function(t)
  t:assert_eq(vm:read_file("/tmp/made/for/it"), "here")
  t:assert_eq(octal("/tmp/made/for/it"), "644")
  t:assert_eq(vm:run("/tmp/made/script", { "x" }).stdout, "ran\n")
end)

test("a new file has mode 0644, an old one keeps its own", function(t)
  page_says([[A missing file is created, with mode 0644]])
  vm:write_file("/tmp/new", "1")
  t:assert_eq(octal("/tmp/new"), "644")
  vm:run("chmod 0750 /tmp/new"):assert_ok()
  vm:write_file("/tmp/new", "22")
  t:assert_eq(octal("/tmp/new"), "750")
  t:assert_eq(vm:read_file("/tmp/new"), "22")
  vm:push_file("provium.toml", "/tmp/pushed")
  t:assert_eq(octal("/tmp/pushed"), "644")
  t:assert_contains(raised(function() vm:write_file("/no/such/folder", "") end), "No such file or directory")
  t:assert_contains(raised(function() vm:write_file("/tmp", "") end), "Is a directory")
  t:assert_eq(raised(function() vm:write_file("/tmp/a\0b", "") end),
    "vm:write_file: argument 1 (path): expected string in UTF-8 without zeros, got \"/tmp/a\\0b\"")
end)

test("a pushed file has the content and not the permissions", function(t)
  page_says("A relative host path starts at the folder of the calling file. Permissions are not copied")
  local path = temporary()
  os.execute("echo pushed > " .. path .. " && chmod 0711 " .. path)
  vm:push_file(path, "/tmp/copied")
  t:assert_eq(octal("/tmp/copied"), "644")
  t:assert_eq(vm:read_file("/tmp/copied"), "pushed\n")
  os.remove(path)
end)

test("mkdir takes a folder that is there only with parents", function(t)
  page_says("With `parents` it also makes missing folders above, and an existing folder is not an error")
  vm:mkdir("/tmp/there", { perm = tonumber("711", 8) })
  t:assert_eq(octal("/tmp/there"), "711")
  t:assert_contains(raised(function() vm:mkdir("/tmp/there") end), "File exists")
  vm:mkdir("/tmp/there", { parents = true })
end)

test("a pipe that somebody reads takes what is written", function(t)
  vm:run("mkfifo /tmp/pipe"):assert_ok()
  local reader = vm:run_async("exec 3<>/tmp/pipe; touch /tmp/opened; head -n 1 <&3")
  wait_until(function() return vm:run("test -e /tmp/opened"):ok() end)
  vm:write_file("/tmp/pipe", "through\n")
  t:assert_eq(reader:wait("20s").stdout, "through\n")
end)

test("stat says what there is to say, of what a link leads to", function(t)
  page_says("seconds and nanoseconds since 1970; `uid`, `gid`. A link is followed")
  vm:run("printf 12345 > /tmp/stat; chmod 4640 /tmp/stat; ln -sf stat /tmp/link; touch -d @1000000000 /tmp/stat"):assert_ok()
  for _, path in ipairs({ "/tmp/stat", "/tmp/link" }) do
    local stat = vm:stat(path)
    t:assert_eq(stat.size, 5)
    t:assert_eq(stat.mode, tonumber("4640", 8))
    t:assert_eq(stat.perm, stat.mode)
    t:assert_eq(stat.entry_type .. stat.kind, "filefile")
    t:assert_eq(stat.mtime, 1000000000)
    t:assert_eq(stat.mtime_ns, 1000000000 * 1000000000)
    t:assert_eq(stat.uid + stat.gid, 0)
  end
  vm:write_file("/tmp/stat", "now")
  local stat = vm:stat("/tmp/stat")
  t:assert(math.abs(stat.mtime - vm:clock():get()) < 60, stat.mtime)
  t:assert_eq(stat.mtime_ns // 1000000000, stat.mtime)
end)

-- One file of each kind.
local make = [[
  rm -rf /tmp/kinds; mkdir -p /tmp/kinds/dir; cd /tmp/kinds
  touch file .hidden 'a b' '*' "$(printf 'new\nline')"; ln -s nowhere link; ln -s dir to-dir
  mkfifo fifo; mknod block b 7 99; mknod char c 1 3
]]

test("listdir has names and types, sorted, and does not follow links", function(t)
  page_says([[sorted by name. Links are not followed]])
  vm:run(make):assert_ok()
  local found = {}
  for _, entry in ipairs(vm:listdir("/tmp/kinds")) do
    table.insert(found, entry.name .. "=" .. entry.entry_type)
  end
  t:assert_eq(table.concat(found, " "), "*=file .hidden=file a b=file block=block_device char=char_device dir=directory "
    .. "fifo=fifo file=file link=symlink new\nline=file to-dir=symlink")
  t:assert_eq(#vm:listdir("/tmp/kinds/dir"), 0)
  t:assert_eq(#vm:listdir("/tmp/kinds/to-dir"), 0)
  t:assert_contains(raised(function() vm:listdir("/no/such") end), "No such file or directory")
  t:assert_contains(raised(function() vm:listdir("/tmp/kinds/file") end), "Not a directory")
end)

test("listdir has the bytes of a name", function(t)
  vm:run([[mkdir /tmp/bytes; touch "$(printf '/tmp/bytes/\377')"]]):assert_ok()
  t:assert_eq(vm:listdir("/tmp/bytes")[1].name, "\255")
end)

test("each type of file has its word, and the shorter one", function(t)
  vm:run(make):assert_ok()
  local kinds = { file = "file file", dir = "directory dir", fifo = "fifo other", block = "block_device other",
    char = "char_device other", ["to-dir"] = "directory dir" }
  for name, expected in pairs(kinds) do
    local stat = vm:stat("/tmp/kinds/" .. name)
    t:assert_eq(stat.entry_type .. " " .. stat.kind, expected)
  end
end)

test("unlink removes files, links and empty folders, and no others", function(t)
  page_says([[removes a file or an empty folder]])
  vm:run("rm -rf /tmp/u; mkdir -p /tmp/u/full/in /tmp/u/empty; touch /tmp/u/-f; ln -s full /tmp/u/link"):assert_ok()
  for _, name in ipairs({ "-f", "empty", "link" }) do vm:unlink("/tmp/u/" .. name) end
  t:assert_contains(raised(function() vm:unlink("/tmp/u/full") end), "Directory not empty")
  t:assert_contains(raised(function() vm:unlink("/tmp/u/-f") end), "No such file or directory")
  t:assert_eq(#vm:listdir("/tmp/u"), 1)
end)

test("rename replaces a file, and puts nothing into a folder", function(t)
  page_says([[If `to` is a file, it is replaced. If `to` is a folder, that is an error]])
  vm:run("rm -rf /tmp/r; mkdir -p /tmp/r/folder; cd /tmp/r; echo new > from; echo old > to; ln -s folder link"):assert_ok()
  vm:rename("/tmp/r/from", "/tmp/r/to")
  t:assert_eq(vm:read_file("/tmp/r/to"), "new\n")
  t:assert_contains(raised(function() vm:rename("/tmp/r/to", "/tmp/r/folder") end), "vm:rename: mv: ")
  t:assert_eq(#vm:listdir("/tmp/r/folder"), 0)
  vm:rename("/tmp/r/folder", "/tmp/r/other")
  t:assert_eq(vm:stat("/tmp/r/other").entry_type, "directory")
  t:assert_contains(raised(function() vm:rename("/tmp/r/no", "/tmp/r/yes") end), "No such file or directory")
end)

test("expect looks ahead, and at what it passed over, once", function(t)
  page_says([[searches after this match first, then the text that earlier calls skipped; a match is never found again]])
  local console = vm:console()
  vm:run("echo alpha-1 beta-1 alpha-2 gamma-1 > /dev/ttyS0"):assert_ok()
  for _, text in ipairs({ "gamma-1", "beta-1", "alpha-", "alpha-" }) do
    t:assert_eq(console:expect(text, "20s"), text)
  end
  for _, text in ipairs({ "alpha-", "gamma-1" }) do
    t:assert_contains(raised(function() console:expect(text, "50ms") end), "console:expect timed out waiting for `" .. text .. "`")
  end
  console:close()
  vm:run("echo alpha-3 > /dev/ttyS0"):assert_ok()
  console:expect("alpha-3", "20s")
end)

test("the clock is set by nanoseconds, and waits for hours if it has to", function(t)
  local clock = vm:clock()
  clock:set_ns(1234567890123456789)
  local passed = clock:get_ns() - 1234567890123456789
  t:assert(passed >= 0 and passed < 5000000000, passed)
  clock:advance("1h")
  t:assert(clock:get() >= 1234567890 + 3600)
  t:assert_eq(wait_until(function() return true end, { timeout = "1.5h" }), true)
end)
