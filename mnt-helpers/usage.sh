# shellcheck shell=bash
# The helpers source this from the project's folder. `usage` ends the one that runs, with the comment that it
# begins with; --help asks for that.
helper=mnt-helpers/${0##*/}
[ -e "$helper" ] || helper=mnt-helpers/dev/${0##*/}
describe() { sed -n '2,/^set/{/^set/q;/^# shellcheck/q;s/^# \{0,1\}//p}' "$helper"; }
usage() { describe >&2; exit 2; }
case ${1-} in -h | --help) describe; exit ;; esac
