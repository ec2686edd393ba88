# shellcheck shell=bash
# What try-package runs in a clean root. The argument says what to install: the .deb or the tar file in /tmp.
set -euo pipefail

# Prints a command, as a reader would type it, and runs it.
run() {
    echo "\$ $*"
    "$@"
}

expect_no() {
    local tool
    for tool in "$@"; do
        if command -v "$tool" > /dev/null; then
            echo "this root is not clean: it has $tool"
            exit 1
        fi
    done
    echo "none of: $*"
}

install_deb() {
    run apt-get install -y -qq --no-install-recommends /tmp/provium_*.deb qemu-system-x86 qemu-utils > /dev/null
    run dpkg -s provium | grep -E '^(Status|Version|Depends)'
    run dpkg --verify provium
    local file
    for file in /usr/share/man/man1/provium-test.1.gz /usr/share/man/man8/mount.provium.8.gz \
        /usr/share/bash-completion/completions/provium /usr/share/zsh/vendor-completions/_provium \
        /usr/share/fish/vendor_completions.d/provium.fish /usr/lib/systemd/system/provium@.service \
        /sbin/mount.provium /usr/share/doc/provium/copyright; do
        # minbase leaves documentation out of what it installs, if it is set up so.
        run test -s "$file"
    done
}

install_static() {
    run tar -C /tmp -xzf /tmp/provium-*.tar.gz
    run install /tmp/provium-*/provium /usr/local/bin/provium
    run ldd /usr/local/bin/provium || true
    try_alone
    run apt-get install -y -qq --no-install-recommends qemu-system-x86 qemu-utils > /dev/null
    expect_no fusermount3
}

# In a root that has no other file.
try_alone() {
    mkdir -p /tmp/empty
    cp /usr/local/bin/provium /tmp/empty/
    run chroot /tmp/empty /provium --version
}

try_mount() {
    cd "$(mktemp -d)"
    run truncate -s 1M disk.img
    run mkdir mnt
    run provium mount mnt --disk vda=disk.img
    run dd if=mnt/vda of=/dev/null bs=512 count=1 iflag=direct status=none
    run provium fault mnt/vda eio_read
    if run dd if=mnt/vda of=/dev/null bs=512 count=1 iflag=direct status=none; then
        echo "the fault is not met"
        exit 1
    fi
    run provium umount mnt
}

# Another user mounts by fusermount3, which is set-uid.
try_as_user() {
    useradd -m tester
    chmod 666 /dev/fuse
    setpriv --reuid tester --regid tester --clear-groups env HOME=/home/tester bash -euc '
        cd ~ && truncate -s 1M disk.img && mkdir mnt
        provium mount mnt --disk vda=disk.img
        head -c 512 mnt/vda > /dev/null
        provium umount mnt'
    echo "an ordinary user mounts and unmounts"
}

# fstab and mount(8) find the helper.
try_mount_helper() {
    cd "$(mktemp -d)"
    run truncate -s 1M disk.img
    run mkdir mnt
    run mount -t provium disks mnt -o "disk=vda=$PWD/disk.img"
    run ls mnt
    run umount mnt
}

try_tests() {
    if provium doctor > /dev/null; then
        echo "doctor does not notice that there is no guest"
        exit 1
    fi
    run provium guest build
    run provium doctor
    mkdir /tmp/project
    cd /tmp/project
    run provium init
    run provium test
}

run apt-get update -qq
expect_no cc gcc cargo rustc make
case $1 in
deb) install_deb ;;
static) install_static ;;
esac
run provium --version
try_mount
if [ "$1" = deb ]; then
    try_as_user
    try_mount_helper
fi
try_tests
echo "== $1: all passed"
