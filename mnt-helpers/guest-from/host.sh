# shellcheck shell=bash disable=SC2034,SC2154 # build-guest sources this, and shares its variables
# The guest of this host's own files.

# What the scripts of guest/ and this one call of busybox.
applets=(
    acpid cpio depmod halt hostname init ip mdev mkdir mkfifo mknod modprobe mount poweroff readlink reboot
    rm sh sleep unxz
)

# The host's files may change without a sign, so that the image is made each time, which takes
# seconds. Its contents give it the key.
build() {
    find_host_files
    start_work
    cp "$kernel_file" "$out/vmlinuz"
    make_image
    local key
    key=$(image_key)
    if [ "$force" ] || [ ! -e "$guests/$key/initrd" ]; then
        printf '%s\n' "from $kernel_file" "from $modules_folder" "from $busybox" | finish_work "$key"
    fi
    publish "$key"
    rm -f "$guests/checked-$guest"
    finish "the guest is ready"
}

image_key() {
    {
        sha256sum <"$out/vmlinuz"
        cd "$image" || return
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        find . -type l -printf '%p %l\n' | LC_ALL=C sort
    } | sha256sum | head -c 16
}

# Sets $kernel_file, $release, $modules_folder and $busybox, or says all that is missing.
find_host_files() {
    root='' lacks=()
    [ "$(uname -m)" = x86_64 ] || die "the guest is for x86-64 hosts only"
    find_kernel
    if [ "$kernel_file" ]; then find_modules; fi
    find_busybox
    program_path qemu-ga >/dev/null || lacks+=("qemu-ga: it is not in PATH; $(how_to_install agent)")
    command -v ldd >/dev/null || lacks+=("ldd, which lists the libraries of programs")
    [ ${#lacks[@]} != 0 ] || return 0
    say "the guest is made of this host's own files. What is missing:"
    local lack
    for lack in "${lacks[@]}"; do say "- $lack"; done
    exit 1
}

# how_to_install KIND: the command for what this host's distribution calls it.
how_to_install() {
    case $1 in
    kernel) install_hint linux-image-amd64 kernel-core linux kernel-default linux-virt ;;
    busybox) install_hint busybox-static busybox busybox busybox-static busybox-static ;;
    agent) install_hint qemu-guest-agent{,,,,} ;;
    esac
}

# install_hint DEBIAN FEDORA ARCH SUSE ALPINE
install_hint() {
    local manager
    for manager in "apt-get install" "dnf install" "pacman -S" "zypper install" "apk add"; do
        if command -v "${manager%% *}" >/dev/null; then
            echo "install it with: sudo $manager $1"
            return
        fi
        shift
    done
    echo "install your distribution's package of it"
}

find_kernel() {
    local running found
    running=$(uname -r)
    if [ ! "$kernel_file" ]; then
        for found in "/lib/modules/$running/vmlinuz" "/boot/vmlinuz-$running" \
            $(ls -t /lib/modules/*/vmlinuz /boot/vmlinuz-* 2>/dev/null); do
            if [ -e "$found" ]; then kernel_file=$found; break; fi
        done
    fi
    if [ ! "$kernel_file" ]; then
        lacks+=("a kernel: there is none in /boot or /lib/modules; name one with --kernel FILE, or $(how_to_install kernel)")
    elif [ ! -r "$kernel_file" ]; then
        lacks+=("a kernel that this user may read: not $kernel_file; copy it as root, and name the copy with --kernel FILE")
        kernel_file=
    elif ! release=$(kernel_release "$kernel_file"); then
        lacks+=("a kernel that QEMU boots: $kernel_file is no bzImage; name another one with --kernel FILE")
        kernel_file=
    fi
}

# number FILE OFFSET BYTES
number() { od -An -tu"$3" -j "$2" -N "$3" "$1" | tr -d ' \n'; }

# Prints the release of a bzImage; see Documentation/arch/x86/boot.rst of the kernel.
kernel_release() {
    local text
    [ "$(dd if="$1" bs=1 skip=514 count=4 2>/dev/null | tr -d '\0')" = HdrS ] || return
    text=$(dd if="$1" bs=1 skip=$(($(number "$1" 526 2) + 512)) count=128 2>/dev/null | tr '\0' '\n' | head -n1)
    [[ $text =~ ^[0-9]+\.[^\ ]+ ]] && echo "${BASH_REMATCH[0]}"
}

find_modules() {
    local folder
    [ "$modules_folder" != none ] || return 0
    for folder in "${modules_folder:-/lib/modules/$release}"{,"/$release","/lib/modules/$release"}; do
        if [ -e "$folder/modules.dep" ] && [ -e "$folder/modules.builtin" ]; then
            modules_folder=$folder
            return
        fi
    done
    lacks+=("the modules of the kernel $release: ${modules_folder:-/lib/modules/$release} has no modules.dep; \
name their folder with --modules DIR, or \`--modules none\` if all drivers are built in")
}

# Whether a program needs a dynamic loader: it has a program header PT_INTERP (3).
has_interpreter() {
    local at size count
    at=$(number "$1" 32 8) size=$(number "$1" 54 2) count=$(number "$1" 56 2)
    for ((; count > 0; count--, at += size)); do
        if [ "$(number "$1" "$at" 4)" = 3 ]; then return; fi
    done
    return 1
}

find_busybox() {
    local applet missing=() has
    [ "$busybox" ] || busybox=$(type -P busybox.static || type -P busybox) || busybox=
    if [ ! "$busybox" ]; then
        lacks+=("a static busybox: there is none in PATH; name one with --busybox FILE, or $(how_to_install busybox)")
    elif [ ! -x "$busybox" ] || has_interpreter "$busybox"; then
        lacks+=("a static busybox: $busybox is not; name one with --busybox FILE, or $(how_to_install busybox)")
    else
        has=" $("$busybox" --list | tr '\n' ' ') "
        for applet in "${applets[@]}"; do
            [[ $has == *" $applet "* ]] || missing+=("$applet")
        done
        [ ${#missing[@]} = 0 ] || lacks+=("a busybox with ${missing[*]}: $busybox is built without")
    fi
}

# A host may lack some programs, which the guest then does without. A script is of use if the guest
# has its shell.
program_path() {
    local path
    path=$(PATH=$PATH:/usr/sbin:/sbin type -P "$1") || return
    if is_script "$path"; then
        head -n1 "$path" | grep -qE '^#! ?(/usr)?/bin/(env )?(ba)?sh( |$)' || return
    fi
    echo "$path"
}

do_without() { say "without $*: not in PATH"; }

is_script() { [ "$(head -c 2 "$1" | tr -d '\0')" = '#!' ]; }

# At the paths that they have here. The loader searches the folder of the C library in any case: a
# library that this host finds by its /etc/ld.so.conf has a link there.
add_libraries() {
    local list lib libs
    if is_script "$1" || ! has_interpreter "$1"; then return; fi
    list=$(ldd "$1") || die "ldd cannot list the libraries of $1: $list"
    if grep -q 'not found' <<<"$list"; then
        die "a library of ${1##*/} is missing on this host: $(grep -m1 'not found' <<<"$list")"
    fi
    libs=$(grep -oE '/[^ ]*/(libc\.so|libc\.musl|ld-musl)[^ ]*' <<<"$list" | head -n1)
    libs=${libs%/*}
    while read -r lib; do
        mkdir -p "$image${lib%/*}"
        cp -Lu "$lib" "$image$lib"
        [ -e "$image$libs/${lib##*/}" ] || ln -sf "$lib" "$image$libs/${lib##*/}"
    done < <(grep -oE '/[^ ]+' <<<"$list")
}
