# shellcheck shell=bash
# Installs packages by the distribution's own manager. setup sources this from the project's folder.
#
# `need COMMAND PACKAGE...` and `need_python MODULE PACKAGE` note the packages, by Debian's names, whose command or
# module is missing; `install_wanted` installs them all.

# Debian's name, Fedora's, Arch's. A dash: the distribution has none.
package_names='
gcc gcc gcc
libc6-dev glibc-devel glibc
g++ gcc-c++ gcc
fuse3 fuse3 fuse3
qemu-system-x86 qemu-system-x86-core qemu-system-x86
qemu-system-arm qemu-system-aarch64-core qemu-system-aarch64
qemu-utils qemu-img qemu-img
fio fio fio
nbdkit nbdkit -
shellcheck ShellCheck shellcheck
e2fsprogs e2fsprogs e2fsprogs
xfsprogs xfsprogs xfsprogs
tmux tmux tmux
gddrescue ddrescue ddrescue
sqlite3 sqlite sqlite
libvirt-clients libvirt-client libvirt
libxml2-utils libxml2 libxml2
postgresql - -
perl perl-Test-Harness perl
lua-check luacheck luacheck
python3 python3 python
python3-venv python3 python
python3-junitparser python3-junitparser -
python3-jsonschema python3-jsonschema python-jsonschema
linux-image-amd64 kernel-core linux
busybox-static busybox busybox
qemu-guest-agent qemu-guest-agent qemu-guest-agent
'

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# apt-get, dnf or pacman, by what the system says it is; empty if it has none of them.
find_manager() {
    local id
    for id in $(. "${PROVIUM_OS_RELEASE:-/etc/os-release}" 2> /dev/null && echo "${ID-} ${ID_LIKE-}"); do
        case $id in
        debian | ubuntu) manager=apt-get column=1 ;;
        fedora | rhel | centos) manager=dnf column=2 ;;
        arch | archlinux) manager=pacman column=3 ;;
        *) continue ;;
        esac
        break
    done
    if [ -z "$manager" ] && command -v apt-get > /dev/null; then manager=apt-get; fi
    command -v "$manager" > /dev/null || manager=
}

manager='' column=1 updated='' wanted_packages=() lacking=()
find_manager

need() {
    local command=$1
    shift
    if command -v "$command" > /dev/null || [ -x "/usr/sbin/$command" ]; then return; fi
    wanted_packages+=("$@")
    lacking+=("$command")
}

# For the Python that the distribution's packages go to.
need_python() {
    if /usr/bin/python3 -c "import $1" 2> /dev/null; then return; fi
    wanted_packages+=(python3 "$2")
    lacking+=("Python's $1")
}

# Debian has it as chromium, a build server often as Google's own package.
need_chromium() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$name" > /dev/null; then return; fi
    done
    names=(chromium)
    apt_install || say "there is no chromium: the tests of HTML pages are left out"
}

# What `provium guest build` makes a guest of where there is no apt.
need_guest_parts() {
    need busybox busybox-static
    need qemu-ga qemu-guest-agent
    need mkfs.ext4 e2fsprogs
    need mkfs.xfs xfsprogs
    if ! ls /boot/vmlinuz* /lib/modules/*/vmlinuz > /dev/null 2>&1; then
        wanted_packages+=(linux-image-amd64)
        lacking+=("a kernel in /boot or /lib/modules")
    fi
}

# Sets $names to the names that the distribution has for $wanted_packages.
translate() {
    local package name unknown=()
    names=()
    if [ "$manager" = apt-get ]; then names=("${wanted_packages[@]}"); return; fi
    for package in "${wanted_packages[@]}"; do
        name=$(awk -v package="$package" -v column="$column" '$1 == package { print $column }' <<< "$package_names")
        case $name in '' | -) unknown+=("$package") ;; *) names+=("$name") ;; esac
    done
    [ ${#unknown[@]} = 0 ] || say "this distribution has no package for these; install them by hand: ${unknown[*]}"
}

install_wanted() {
    [ ${#wanted_packages[@]} != 0 ] || return 0
    [ -n "$manager" ] ||
        die "this system has none of apt-get, dnf and pacman: install by hand what is missing: $(join "${lacking[@]}")"
    translate
    [ ${#names[@]} != 0 ] || return 0
    say "installing ${names[*]}"
    case $manager in
    apt-get) apt_install ;;
    dnf) as_root dnf install -y -q --setopt=install_weak_deps=False "${names[@]}" > /dev/null ;;
    pacman) as_root pacman -Sy --needed --noconfirm --noprogressbar "${names[@]}" > /dev/null ;;
    esac
    wanted_packages=() lacking=()
}

join() {
    local text
    printf -v text '%s, ' "$@"
    echo "${text%, }"
}

apt_install() {
    as_root apt-get update -qq
    updated=yes
    pin_qemu
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends --allow-downgrades "${names[@]}" > /dev/null
}

# All in one command and of one version: apt removes the one to install the other otherwise.
pin_qemu() {
    local name version pinned=() others=()
    for name in "${names[@]}"; do
        case $name in qemu-system-* | qemu-utils) pinned+=("$name") ;; *) others+=("$name") ;; esac
    done
    if [ ${#pinned[@]} = 0 ]; then return; fi
    version=$(apt-cache policy qemu-system-x86 | awk '/Candidate:/ { print $2 }')
    pinned+=(qemu-system-x86 qemu-utils)
    names=("${others[@]}" "${pinned[@]/%/=$version}")
}
