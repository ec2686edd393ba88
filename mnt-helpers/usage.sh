# shellcheck shell=bash
# The helpers source this from the project's folder. `usage` prints the comment at the top of the helper and
# ends it; --help does the same.
helper=mnt-helpers/${0##*/}
[ -e "$helper" ] || helper=mnt-helpers/dev/${0##*/}
describe() { sed -n '2,/^set/{/^set/q;/^# shellcheck/q;s/^# \{0,1\}//p}' "$helper"; }
usage() { describe >&2; exit 2; }
case ${1-} in -h | --help) describe; exit ;; esac
