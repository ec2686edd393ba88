#!/bin/bash
# Data and a commit record without a flush between them: `provium states` finds the write that must not be lost.
#
# Usage: two-block-update.sh     (PROVIUM names the binary; by default the one in PATH)
set -euo pipefail

provium() { command "${PROVIUM:-provium}" "$@"; }
work=$(mktemp -d)

clean_up() {
    provium umount "$work/mnt" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

step() { printf '\n$ %s\n' "$1"; eval "$1"; }

# The program under test: block LETTER DISK NUMBER [flush] fills a block, and flushes the disk if told so.
block() {
    head -c 4k /dev/zero | tr '\0' "$1" |
        dd of="mnt/$2" bs=4k seek="$3" iflag=fullblock conv=notrunc"${4:+,fsync}" status=none
}

cd "$work"
truncate -s 1M vda.img vdb.img
mkdir mnt
step 'provium mount mnt --disk vda=vda.img,cache=volatile --disk vdb=vdb.img,cache=volatile'
step 'provium record mnt/vda bad.log'
step 'block D vda 0; block C vda 2; cut -d" " -f1-4 mnt/ctl/vda/pending'
step 'provium record mnt/vda --stop > /dev/null'

# A commit record (C) says that its data (D) are there.
check='! grep -q CCC {} || grep -q DDD {}'
step "provium states bad.log --check '$check' || echo 'the update can be torn apart'"

step 'provium record mnt/vdb good.log'
step 'block D vdb 0 flush; block C vdb 2'
step 'provium record mnt/vdb --stop > /dev/null'
step "provium states good.log --check '$check'"
