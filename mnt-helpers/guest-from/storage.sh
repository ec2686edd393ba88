# shellcheck shell=bash disable=SC2034,SC2154 # build-guest sources this, and shares its variables
# What the guest `storage` has beyond the default one: RAID, device-mapper, more file systems and buses.

# The cloud kernel lacks f2fs, AHCI and USB; this one has all drivers, and boots in some more time.
kernel=linux-image-amd64
if grep -qsx 'ID="\?ubuntu"\?' /etc/os-release; then kernel=linux-image-generic; fi
packages+=(mdadm dmsetup btrfs-progs f2fs-tools multipath-tools kpartx cryptsetup-bin gddrescue fdisk)
unwanted_dependencies='^lib(perl|python|icu|sqlite|krb5|k5crypto|gssapi|db5|pam).*|-perl$'

programs+=(
    filefrag sfdisk
    mdadm mdmon dmsetup kpartx multipath multipathd
    cryptsetup integritysetup veritysetup
    btrfs btrfstune mkfs.btrfs mkfs.f2fs fsck.f2fs f2fs_io
    ddrescue
)
# The checkers and priorities of multipath.
plugins=(usr/lib/multipath/*.so)

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
# control device loads btrfs. Without the variable dmsetup would leave device files to udev.
change_skeleton() {
    sed -i 's/^modprobe -a .*/& nvme/' "$image/bin/provium-settle"
    sed -i 's|^export PATH=.*|& DM_DISABLE_UDEV=1|' "$image/init"
    sed -i 's|^mknod /dev/loop-control .*|&\nmknod /dev/btrfs-control c 10 234|' "$image/init"
}

# Folders of the kernel's modules that have none of these: unpacking them would take most of the time.
skipped_modules=(sound net samples drivers/{gpu,net,media,infiniband,iio,hwmon,staging,hid,input/joystick})
