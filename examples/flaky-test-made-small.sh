#!/bin/bash
# A test fails under one write in ten that fails. `provium test --shrink` finds the two of them that it needs to fail.
#
# Usage: flaky-test-made-small.sh     (PROVIUM names the binary; by default the one in PATH)
set -euo pipefail

provium() { command "${PROVIUM:-provium}" "$@"; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { printf '\n$ %s\n' "$1"; eval "$1"; }

cd "$work"
cat > copies.test.lua << 'EOF'
test("each record has a copy", function(t)
  assert(os.execute("truncate -s 1M copies.img"))
  local disk = provium:vm("v", "default"):attach_disk({ id = "vda", path = "copies.img" })
  disk:fault_inject("error op=write p=0.1")
  for record = 0, 999 do
    local first = pcall(disk.write_sectors, disk, record, ("x"):rep(512))
    local second = pcall(disk.write_sectors, disk, record + 1000, ("x"):rep(512))
    t:assert(first or second, "record " .. record .. " is lost")
  end
end)
EOF
step 'cat copies.test.lua'
step 'provium test copies.test.lua --record-faults kept > report || grep -E "is lost|fired" report'
step "provium test --shrink=$(echo kept/*)"
step 'sed -n "/^provium/,/^})/p" copies.shrunk.test.lua'
step 'provium test copies.shrunk.test.lua > report || grep "is lost" report'
