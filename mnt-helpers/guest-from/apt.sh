# shellcheck shell=bash disable=SC2034,SC2154 # build-guest sources this, and shares its variables
# The guest of the distribution's packages.

# The packages that are asked for by name; apt adds the libraries they need.
# The cloud kernel has few drivers, virtio's among them, which makes it quick.
kernel=linux-image-cloud-amd64
if grep -qsx 'ID="\?ubuntu"\?' /etc/os-release; then kernel=linux-image-virtual; fi
packages=(busybox-static qemu-guest-agent dash bash coreutils mount util-linux e2fsprogs xfsprogs)

# Of what apt adds only libraries and the parts of the kernel are downloaded, and
# of the libraries not those that are large and that no program below links to.
wanted_dependencies='^(lib.*|zlib1g|linux-(image|modules)-[0-9].*)$'
unwanted_dependencies='^lib(perl|python|icu|ssl|sqlite|krb5|k5crypto|gssapi|db5|pam|stdc\+\+).*|-perl$'

build() {
    local stamp
    stamp=$(stamp)
    if [ ! "$force" ] && [ -e "$guests/$guest/initrd" ] &&
        [ "$stamp" = "$(cat "$guests/checked-$guest" 2>/dev/null)" ]; then
        finish "the guest is up to date"
    fi

    need_tools
    resolve_packages
    local key
    key=$( (cat_inputs; cat <<<"$versions") | sha256sum | head -c 16)
    if [ "$force" ] || [ ! -e "$guests/$key/initrd" ]; then
        start_work
        unpack_packages
        make_image
        sed 's/^/package /; s/=/ /' <<<"$versions" | finish_work "$key"
    fi
    publish "$key"
    echo "$stamp" >"$guests/checked-$guest"
    finish "the guest is ready"
}

cat_inputs() {
    cat "$here/build-guest" "$here/guest-from/apt.sh" "$here"/guest/*
    if [ "$guest" != default ]; then cat "$here/guest-from/$guest.sh" "$here"/guest-from/*.pl; fi
}

# Changes when the scripts or apt's lists do. As long as it does not, the packages
# resolve as they did, so the answer needs no apt (which takes a second).
stamp() {
    local Lists=
    eval "$(apt-config shell Lists Dir::State::lists/d 2>/dev/null || true)"
    { cat_inputs; stat -c '%n %s %Y' "$Lists"*Packages* 2>/dev/null || true; } | sha256sum
}

need_tools() {
    local tool package
    while read -r tool package; do
        command -v "$tool" >/dev/null || die "$tool is missing; install the package $package"
    done <<<'apt-get apt
dpkg-deb dpkg
tar tar'
    [ "$(dpkg --print-architecture)" = amd64 ] || die "the guest is for amd64 hosts only"
}

# Sets $versions to the lines "NAME=VERSION" of all packages to download. apt
# believes that nothing is installed or downloaded, hence it names every dependency. It
# is asked for the addresses of the files only, so it locks, fetches and changes nothing.
resolve_packages() {
    local uris names
    if ! uris=$(apt-get install --print-uris -qq -y --no-install-recommends \
        -o Dir::State::status=/dev/null -o Dir::Cache::archives=/nonexistent/ "$kernel" "${packages[@]}" 2>&1); then
        if [ -e "$guests/$guest/initrd" ]; then
            finish "apt cannot resolve the packages now; keeping the guest that is there"
        fi
        say "apt says: $(tail -n1 <<<"$uris")"
        die "apt does not know the packages; run: sudo apt-get update"
    fi
    # A line is: 'URI' NAME_VERSION_ARCH.deb SIZE HASH, the colon of VERSION as %3a.
    names=$(sed -nE "s/^'[^']*' ([^_ ]+)_([^_ ]+)_[^_ ]+\.deb .*/\1=\2/p" <<<"$uris" | sed 's/%3a/:/g')
    versions=$(
        while IFS='=' read -r name version; do
            if is_wanted "$name"; then echo "$name=$version"; fi
        done <<<"$names" | LC_ALL=C sort
    )
}

is_wanted() {
    case " ${packages[*]} " in *" $1 "*) return 0 ;; esac
    [[ $1 =~ $wanted_dependencies && ! $1 =~ $unwanted_dependencies ]]
}

unpack_packages() {
    say "downloading $(wc -l <<<"$versions") packages"
    mkdir "$work/debs"
    # shellcheck disable=SC2086 # one argument for each line
    (cd "$work/debs" && apt-get download -qq -o APT::Sandbox::User=root $versions >&2) ||
        die "apt could not download the packages; if its lists are old, run: sudo apt-get update"

    say "unpacking"
    make_merged_tree "$root"
    local deb folder skipped=()
    for folder in "${skipped_modules[@]}"; do skipped+=("--exclude=./lib/modules/*/kernel/$folder/*"); done
    for deb in "$work"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" |
            tar -x -C "$root" --keep-directory-symlink --no-same-owner \
                --exclude='./usr/share/*' --exclude='./usr/lib/debug/*' "${skipped[@]}"
    done
    rm -r "$work/debs"
    cp "$root"/boot/vmlinuz-* "$out/vmlinuz"
    release=$(cd "$root/boot" && echo vmlinuz-*)
    release=${release#vmlinuz-}
    busybox=$root/usr/bin/busybox
    modules_folder=$root/lib/modules/$release
    "$busybox" depmod -b "$root" "$release"
}

program_path() {
    [ -e "$root/usr/bin/$1" ] && echo "$root/usr/bin/$1"
}

do_without() { die "no package has $*"; }

# The packages' loader looks among the packages' libraries, then among those of this host, which
# the guest does not have.
add_libraries() {
    [ "$(head -c 2 "$1")" != '#!' ] || return 0
    local loader=$root/usr/lib64/ld-linux-x86-64.so.2
    local libs=$root/usr/lib list lib others
    list=$("$loader" --inhibit-cache --library-path "$libs/x86_64-linux-gnu:$libs" --list "$1") ||
        die "a library of $1 is in none of the packages: $list"
    others=$(grep '=>' <<<"$list" | grep -v "=> $libs/" | grep -v ld-linux) || true
    [ ! "$others" ] || die "a library of $1 is in none of the packages: $others"
    mkdir -p "$image/usr/lib/x86_64-linux-gnu"
    while read -r lib; do
        cp -Lu "$lib" "$image/${lib#"$root"/}"
    done < <(grep -oE "$libs/[^ ]+" <<<"$list")
    cp -Lu "$loader" "$image/usr/lib64/"
}
