#!/bin/bash
# A disk that fails on cue, without Lua: provium, QEMU by hand, echo and cat.
#
# Usage: shell-session.sh     (PROVIUM names the binary; by default the one in PATH)
set -euo pipefail

provium() { command "${PROVIUM:-provium}" "$@"; }
guest=${XDG_CACHE_HOME:-$HOME/.cache}/provium/guest/default
work=$(mktemp -d)
qemu=

clean_up() {
    if [ -n "$qemu" ]; then kill "$qemu" && wait "$qemu"; fi 2>/dev/null || true
    provium umount "$work/mnt" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

step() { printf '\n$ %s\n' "$1"; eval "$1"; }

# Waits until the guest's console shows a line, up to a minute.
console_shows() {
    for _ in $(seq 600); do
        if grep -aq -- "$1" "$work/console"; then return; fi
        sleep 0.1
    done
    echo "the console never showed: $1"
    tail -20 "$work/console"
    exit 1
}

# Types a command at the guest's console, and waits for what it should print.
in_guest() {
    echo "guest# $1"
    echo "$1; echo \"exit status: \$?\"" > "$work/keyboard"
    console_shows "^exit status: $2"
    tr -d '\r' < "$work/console" | grep -a 'error\|copied' || true
    : > "$work/console"
}

cd "$work"
truncate -s 16M disk.img
mkdir mnt
step "provium mount mnt --disk vda=disk.img"
step "cat mnt/ctl/disks"

# The guest's keyboard is a pipe that we hold open, its console a file.
mkfifo keyboard
exec 3<> keyboard
qemu-system-x86_64 -nodefaults -display none -machine pc,accel=tcg -m 256M \
    -kernel "$guest/vmlinuz" -initrd "$guest/initrd" -append "console=ttyS0" \
    -serial stdio \
    -blockdev driver=raw,node-name=vda,cache.direct=on,discard=unmap,file.driver=file,file.filename=mnt/vda,file.aio=native \
    -device virtio-blk-pci,drive=vda,serial=vda,werror=report,rerror=report \
    < keyboard >> console 2>&1 &
qemu=$!
console_shows 'provium-guest:'
: > console

read_vda='dd if=/dev/vda of=/dev/null bs=512 count=1 iflag=direct'
in_guest "$read_vda" 0

step "echo eio_read > mnt/ctl/vda/faults"
in_guest "$read_vda" 1

step "echo bogus >> mnt/ctl/vda/faults || cat mnt/ctl/error"
step "cat mnt/ctl/vda/faults"

step ": > mnt/ctl/vda/faults"
in_guest "$read_vda" 0
step "grep errors_injected mnt/ctl/vda/stats | grep read"
echo
echo "the guest failed on cue and recovered"
