#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# What bash offers: every command of --help, its options, files for POOL, and the
# names of the volumes.
. "$(dirname "$0")/support.sh"
# shellcheck source=/dev/null
. "${SOURCE_ROOT:?}/tools/completion/thinpool"

# offers WORD...: what completing the last word gives, on one line.
offers() {
	COMP_WORDS=(thinpool "$@") COMP_CWORD=$#
	_thinpool
	echo "${COMPREPLY[*]-}"
}

thinpool --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | sort -u >commands
while read -r command; do
	[ "$(offers "$command")" = "$command" ] || die "does not know $command"
done <commands
same "$(offers volume re)" "rename resize"
same "$(offers status --j)" "--json"
same "$(offers volume create --si)" "--size"
same "$(offers grow --met)" "--metadata-size"

thinpool create pool --size 16M
thinpool volume create pool alpha --size 1M >/dev/null
thinpool volume create pool beta --size 1M >/dev/null
thinpool volume create pool 'my disk' --size 1M >/dev/null
same "$(offers list po)" "pool"
same "$(offers read pool '')" 'alpha beta my\ disk'
same "$(offers read pool m)" 'my\ disk'
same "$(offers read pool be)" "beta"
same "$(offers volume delete pool al)" "alpha"
same "$(offers volume create pool al)" ""
touch image.raw
same "$(offers import pool alpha im)" "image.raw"
same "$(offers read no-such-pool '')" ""
