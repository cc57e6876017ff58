#!/bin/bash
# Thins that others made have only a number: they are shown as "#" and that, and
# get it for a name, for good, with the first change to their name or size.
# Needs POOL_TOOL, which makes what the thinpool command does not.
. "$(dirname "$0")/support.sh"
[ -n "${POOL_TOOL-}" ] || skip "POOL_TOOL does not name a program"
tool() { "$POOL_TOOL" pool/metadata pool/data "$@"; }

thinpool create pool --size 64M
printf '%s\n' 'create 5' 'fill 5 0 300 65' 'create 6' 'create 7' 'fill 7 0 1 66' 'snapshot 8 5' | tool -
thinpool volume create pool '#9' --size 1M >out
mount_pool
same "$(ls mnt)" $'#5\n#6\n#7\n#8\n#9'
same "$(size 'mnt/#5') $(size 'mnt/#6') $(size 'mnt/#9')" "196608 0 $((1 << 20))"
same "$(xattr 'mnt/#5' id) $(xattr 'mnt/#5' mapped)" "5 196608"
fails "No such file" stat 'mnt/#05'
fails "No such file" stat 'mnt/#0'
fails "No such file" stat 'mnt/#16777216'
cmp <(zeroes 153600 | tr '\0' A; zeroes 43008) 'mnt/#5'

# Content changes no name; a size, a name and a snapshot do.
printf x | dd of='mnt/#7' conv=notrunc status=none
mv 'mnt/#8' mnt/eight
truncate -s 1M 'mnt/#6'
snapshot 'mnt/#5' five
rm 'mnt/#9'
same "$(ls mnt)" $'#5\n#6\n#7\neight\nfive'
unmount_pool
same "$(thinpool list pool | awk 'NR > 1 { print $1 }' | sort | xargs)" "#5 #6 - eight five"
mount_pool
same "$(size 'mnt/#6') $(size mnt/five) $(size mnt/eight)" "$((1 << 20)) 196608 196608"
same "$(slice 'mnt/#7' 0 2)" x$'\x42'
cmp mnt/eight mnt/five
rm mnt/*
same "$(ls -A mnt)" ""
unmount_pool
check_pool
