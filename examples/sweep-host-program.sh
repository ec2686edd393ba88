#!/bin/bash
# A host program that takes a lock and forgets it on one of its error paths: `provium sweep` fails each of its writes once
# and names the one. Then power cuts find records that were acknowledged without an fsync.
#
# Usage: sweep-host-program.sh     (PROVIUM names the binary; by default the one in PATH)
set -euo pipefail

provium() { command "${PROVIUM:-provium}" "$@"; }
work=$(mktemp -d)

clean_up() {
    provium umount "$work/mnt" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

step() { printf '\n$ %s\n' "$1"; eval "$1"; }

cd "$work"
truncate -s 1M vda.img
mkdir mnt

# Fills block $1 with the letter $2; $3 may be `,fsync`.
cat > put <<'END'
put() {
    head -c 4k /dev/zero | tr '\0' "$2" |
        dd of="$PROVIUM_DISK" bs=4k seek="$1" iflag=fullblock conv=notrunc"${3-}" status=none 2>> log
}
END
cat > save <<'END'
. ./put
touch lock
put 0 a || { rm lock; exit 1; }
put 2 b || exit 1
put 4 c || { rm lock; exit 1; }
rm lock
END
# Acknowledges each record once it is written; with an fsync if $1 is `,fsync`.
cat > add <<'END'
. ./put
for n in 1 2 3; do put $n $n ${1-} && echo $n > acked || exit 1; done
END
# Every record that was acknowledged is there.
cat > look <<'END'
for n in $(seq "$(cat acked)"); do
    dd if="$PROVIUM_DISK" bs=4k skip=$n count=1 status=none | grep -q $n$n || exit 1
done
END

step 'provium mount mnt --disk vda=vda.img,cache=volatile'
step "provium sweep mnt/vda --op write --fault 'error errno=EIO' --run 'rm -f lock; sh save; test ! -e lock' ||
    echo 'the second error path leaves the lock'"
step "provium sweep mnt/vda --op write,flush --fault cut --run 'echo 0 > acked; sh add' --check 'sh look' ||
    echo 'acknowledged records can be lost'"
step "provium sweep mnt/vda --op write,flush --fault cut --run 'echo 0 > acked; sh add ,fsync' --check 'sh look'"
