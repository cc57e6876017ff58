#!/bin/bash
# needs_check, set by us and found by the kernel, and the other way round: it
# opens read-only, shows what was durable and does not grow; and it is written
# again once a checker has cleared the flag (B-MODE-1, NCK-03, NCK-06).
. "$(dirname "$0")/kernel-support.sh"
bs=128
SECTORS=$((16 * bs))

refused() { ! "$@" 2>refusal || die "'$*' succeeds"; }

step "set by us"
new_pool 4M 64M $bs
tool - <<S
create 1
write 1 0 $((8 * bs)) a
snapshot 2 1
write 2 $bs 10 b
S
hashes_here 1 2 >before
refused tool - <<S
fail-writes
create 3
S
same "$(status mode) $(status needs_check)" "read-only 1"
agrees
hashes_here 1 2 | cmp - before
refused tool create 3

step "found by the kernel"
cp metadata flagged
truncate -s 80M data
in_kernel $bs <<S
pool_create
pool_status
activate 1 2
hashes 1 2 >\$OUT/before
refused pool_message create_thin 3
refused fill 1 0 8 7
S
grep -q ' [0-9]*/1024 - ro .* needs_check ' said || die "$(cat said)"
cmp before out/before
cmp flagged metadata

step "cleared: the kernel goes on"
thin_check -q --clear-needs-check-flag metadata
in_kernel $bs <<S
pool_create
pool_status
activate 1 2
hashes 1 2 >\$OUT/before
create 3
write 3 0 $((4 * bs)) c
write 2 0 $((2 * bs)) c
hashes 1 2 3 >\$OUT/after
S
grep -q ' [0-9]*/1280 - rw ' said || die "$(cat said)"
! grep -q needs_check said || die "$(cat said)"
cmp before out/before
agrees
same "$(status mode) $(status needs_check)" "write 0"
hashes_here 1 2 3 | cmp - out/after

step "set by the kernel, whose disk fails writes"
in_kernel $bs <<S
load dm-flakey
sectors=\$(blockdev --getsz \$METADATA)
device="0 \$sectors linear \$METADATA 0"
failing="0 \$sectors flakey \$METADATA 0 0 3600 1 error_writes"
becomes() {
	dmsetup suspend disk
	dmsetup load disk --table "\$1"
	dmsetup resume disk
}
dmsetup create disk --table "\$device"
METADATA=/dev/mapper/disk
pool_create
activate 1 2 3
write 3 $((6 * bs)) $bs d
pool_commit
hashes 1 2 3 >\$OUT/before
becomes "\$failing"
pool_message create_thin 4 # says that it did
becomes "\$device"
pool_status
pool_remove
dmsetup remove disk
S
grep -q ' ro .* needs_check ' said || die "$(cat said)"

step "found by us"
same "$(status mode) $(status needs_check)" "read-only 1"
agrees
hashes_here 1 2 3 | cmp - out/before
refused tool create 4
refused tool fill 1 0 8 7
truncate -s 5M metadata
truncate -s 90M data
refused tool grow
grep -q 'not supported' refusal || die "$(cat refusal)"
same "$(status data_blocks) $(status metadata_blocks)" "1280 1024"
same "$(tool list | cut -d' ' -f1 | xargs)" "1 2 3"

step "cleared: we go on"
if [ -n "${THINPOOL-}" ]; then
	"$THINPOOL" check --clear-needs-check metadata >check.log || die "$(cat check.log)"
else
	thin_check -q --clear-needs-check-flag metadata
fi
same "$(status mode) $(status needs_check)" "write 0"
tool - <<S
grow
create 4
write 4 0 100 e
write 1 0 $((16 * bs)) e
S
agrees
same "$(status data_blocks) $(status metadata_blocks)" "1440 1280"
hashes_here 1 2 3 4 >before
in_kernel $bs <<S
pool_create
activate 1 2 3 4
hashes 1 2 3 4 >\$OUT/before
S
cmp before out/before
