#!/bin/bash
# A metadata snapshot of ours while the kernel works on the pool, and one of the
# kernel's while we do: each finds in it what was mapped then, and gives none of
# it to others, until the other releases it (B-BAD-22, R-22, MSN-04, MSN-06).
. "$(dirname "$0")/kernel-support.sh"
bs=256
SECTORS=$((12 * bs))

# The digest of the blocks in FILE that only the metadata snapshot maps.  What a
# volume still maps may be written in place: it is a snapshot of no content.
held_content() {
	comm -23 <(sort held) <(sort ours) | python3 -c '
import hashlib, sys
size = int(sys.argv[1]) * 512
digest = hashlib.sha256()
lines = sys.stdin.readlines()
with open(sys.argv[2], "rb") as data:
    for line in lines:
        data.seek(int(line.split()[2]) * size)
        digest.update(data.read(size))
print(len(lines) >= 4, digest.hexdigest())' $bs "$1"
}
is_held() {
	agrees
	same "$(status held_root)" 1
	dumped_mappings -m metadata | cmp - held
	verified_mappings --held metadata | cmp - held
	same "$(held_content data)" "$(held_content data.then)"
	[[ $(held_content data) = True* ]] || die "there is nothing to be held"
}

step "ours"
new_pool 4M 64M $bs
tool - <<S
create 1
write 1 0 $((6 * bs)) a
snapshot 2 1
write 2 $bs $bs b
create 3
write 3 $((2 * bs)) $((4 * bs)) c
S
tool map-dump >held
tool reserve-metadata-snapshot
cp data data.then

step "ours, while the kernel works"
in_kernel $bs <<S
pool_create
activate 1 2 3
refused pool_message reserve_metadata_snap
write 1 0 $((12 * bs)) d
discard 2 0 $((4 * bs))
snapshot 4 2
write 4 0 $((8 * bs)) d
delete 3
create 5
write 5 0 $((12 * bs)) d
hashes 1 2 4 5 >\$OUT/after
S
is_held
hashes_here 1 2 4 5 | cmp - out/after
used=$(status used_data_blocks)

step "released by the kernel, which takes another"
in_kernel $bs <<S
pool_create
pool_message release_metadata_snap
pool_message reserve_metadata_snap
thin_dump -m \$METADATA >\$OUT/held
activate 1 4
write 1 0 $((3 * bs)) e
discard 4 0 $((12 * bs))
S
tool map-dump >now
same "$(status held_root)" 1
dumped_mappings -m metadata >held
verified_mappings --held metadata | cmp - held
same "$(thin_dump -m metadata)" "$(cat out/held)"
! cmp -s held now || die "nothing has changed since"
[ "$(status used_data_blocks)" -lt "$used" ] || die "the release gave nothing back"
cp data data.then

step "the kernel's, while we work"
tool - <<S
write 1 0 $((12 * bs)) f
snapshot 6 5
write 5 0 $((12 * bs)) f
discard 6 0 $((6 * bs))
delete 2
delete 4
create 7
write 7 0 $((12 * bs)) f
S
is_held
! tool reserve-metadata-snapshot 2>refusal || die "there are two"

step "released by us"
hashes_here 1 5 6 7 >before
tool release-metadata-snapshot
agrees
same "$(status held_root)" 0
in_kernel $bs <<S
pool_create
activate 1 5 6 7
hashes 1 5 6 7 >\$OUT/before
delete 1
delete 5
S
cmp before out/before
printf 'delete %s\n' 6 7 | tool -
agrees
same "$(status used_data_blocks)" 0
