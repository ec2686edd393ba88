# shellcheck shell=bash disable=SC2034,SC2154 # build-guest sources this, and shares its variables
# What the guest `storage` has beyond the default one: RAID, device-mapper, more file systems and buses.

# The cloud kernel lacks f2fs, AHCI and USB; this one has all drivers, and boots in some more time.
kernel=linux-image-amd64
if grep -qsx 'ID="\?ubuntu"\?' /etc/os-release; then kernel=linux-image-generic; fi
packages+=(mdadm dmsetup btrfs-progs f2fs-tools multipath-tools udev kpartx cryptsetup-bin gddrescue fdisk fio)
unwanted_dependencies='^lib(perl|python|icu|sqlite|krb5|k5crypto|gssapi|db5|pam).*|-perl$'

# fio's engines for Ceph, Gluster, NBD, RDMA and persistent memory need 84 MB of libraries. So fio is made to start
# without these (see without-libraries.pl), and what apt adds for them is not downloaded.
fio_without=(libgfapi.so libnbd.so libibverbs.so librdmacm.so librados.so librbd.so libpmemblk.so libpmem.so)
for_engines='gfapi|gfrpc|gfxdr|glusterfs|rados|rbd|boost|fmt|nbd|gnutls|xml2|ibverbs|rdmacm|nl-|pmem|ndctl|daxctl'
for_engines+='|hogweed|nettle|idn2|p11-kit|tasn1|unistring'
unwanted_dependencies+="|^lib($for_engines).*"

programs+=(
    filefrag sfdisk
    mdadm mdmon dmsetup kpartx multipath multipathd udevadm
    cryptsetup integritysetup veritysetup
    btrfs btrfstune mkfs.btrfs mkfs.f2fs fsck.f2fs f2fs_io
    ddrescue fio
)
# The checkers and priorities of multipath, and what udev asks SCSI disks by.
plugins=(usr/lib/multipath/*.so usr/lib/udev/scsi_id)

other_modules+=(
    md-mod linear raid0 raid1 raid10 raid456
    dm-mod dm-crypt dm-integrity dm-verity dm-thin-pool dm-cache dm-cache-smq dm-writecache dm-era
    dm-multipath dm-round-robin dm-queue-length dm-service-time dm-raid dm-mirror dm-snapshot
    dm-delay dm-dust dm-log-writes dm-zero
    btrfs f2fs
    nvme ahci ata_piix sg usb-storage uas xhci-pci
    # What the above ask the kernel's crypto for.
    crc32c_generic crc32c-intel crc32_generic crc32-pclmul xxhash_generic blake2b_generic
    sha256_generic sha512_generic hmac xts cbc ctr ecb essiv authenc aes_generic aesni-intel
    algif_hash algif_skcipher
)

# NVMe is in the cloud kernel itself; here it is loaded before the state of a booted guest is saved. The first use of the
# control device loads btrfs. Without the variable dmsetup would leave device files to udev, which runs only beside
# multipathd.
change_skeleton() {
    sed -i 's/^modprobe -a .*/& nvme/' "$image/bin/provium-settle"
    sed -i 's|^export PATH=.*|& DM_DISABLE_UDEV=1|' "$image/init"
    sed -i 's|^mknod /dev/loop-control .*|&\nmknod /dev/btrfs-control c 10 234|' "$image/init"

    mkdir -p "$image"/etc/{multipath,udev}
    # A path checker that only asks whether a disk is ready (tur) is answered by QEMU, whatever the rules are.
    cat >"$image/etc/multipath.conf" <<'EOF'
defaults {
    find_multipaths yes
    path_checker directio
    polling_interval 1
}
# QEMU's disks have a serial number, and no WWN.
blacklist_exceptions {
    property ".*"
}
EOF
    cat >"$image/bin/start-multipathd" <<'EOF'
#!/bin/sh
# udev, from which multipathd hears of disks, and multipathd. Returns when its maps are there.
modprobe -a dm-multipath dm-service-time
if [ ! -e /run/udev/control ]; then
    /usr/lib/systemd/systemd-udevd --daemon || exit
    udevadm trigger --subsystem-match=block --action=add
fi
udevadm settle
multipathd || exit
tries=0
until multipathd show daemon | grep -qE 'idle|running'; do
    tries=$((tries + 1))
    if [ $tries -ge 100 ]; then echo "multipathd does not get ready" >&2; exit 1; fi
    sleep 0.1
done
EOF
    chmod 755 "$image/bin/start-multipathd"
}

change_programs() {
    local rules="$root/usr/lib/udev/rules.d" name
    if [ -e "$image/bin/fio" ]; then
        command -v perl >/dev/null || die "perl is missing; install the package perl-base"
        perl "$here/guest-from/without-libraries.pl" "$image/bin/fio" "${fio_without[@]}"
    fi
    mkdir -p "$image"/usr/lib/{systemd,udev/rules.d}
    ln -s ../../bin/udevadm "$image/usr/lib/systemd/systemd-udevd"
    for name in 50-udev-default 60-block 60-persistent-storage; do
        [ ! -e "$rules/$name.rules" ] || cp "$rules/$name.rules" "$image/usr/lib/udev/rules.d/"
    done
}

# Folders of the kernel's modules that have none of these: unpacking them would take most of the time.
skipped_modules=(sound net samples drivers/{gpu,net,media,infiniband,iio,hwmon,staging,hid,input/joystick})
