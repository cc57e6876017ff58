#!/bin/bash
# Both devices grow over the border of a bitmap: while the kernel works, while
# we do, and while nobody does; all that there is can be used.
. "$(dirname "$0")/kernel-support.sh"
bs=128
SECTORS=$((600 * bs))

# blocks DATA METADATA: how many there are, as both say.
blocks() {
	agrees
	same "$(status data_blocks) $(status metadata_blocks)" "$1 $2"
	same "$("$verify" metadata >/dev/null && thin_dump metadata |
		sed -n 's/.*nr_data_blocks="\([0-9]*\)".*/\1/p')" "$1"
}

step "by the kernel, at work"
blank_pool 70M 1200M
in_kernel $bs <<S
metadata=\$METADATA data=\$DATA
disk() { echo "0 \$3 linear \$2 0"; }
dmsetup create m --table "\$(disk m \$metadata 8192)"
dmsetup create d --table "\$(disk d \$data $((300 * bs)))"
METADATA=/dev/mapper/m DATA=/dev/mapper/d
pool_create
create 1
write 1 0 $((290 * bs)) a
for device in "m \$metadata $((17000 * 8))" "d \$data $((17000 * bs))"; do
	dmsetup load \${device%% *} --table "\$(disk \$device)"
	dmsetup suspend \${device%% *}
	dmsetup resume \${device%% *}
done
dmsetup suspend pool
dmsetup load pool --table "0 $((17000 * bs)) thin-pool \$METADATA \$DATA $bs 0"
dmsetup resume pool
pool_status
snapshot 2 1
write 2 0 $((600 * bs)) b
hashes 1 2 >\$OUT/after
pool_remove
dmsetup remove m
dmsetup remove d
S
grep -q ' [0-9]*/17000 [0-9]*/17000 - rw ' said || die "$(cat said)"

step "found by us"
truncate -s $((17000 * 4))K metadata
truncate -s $((17000 * bs / 2))K data
blocks 17000 17000
hashes_here 1 2 | cmp - out/after

step "by us, at work"
truncate -s 72M metadata
truncate -s 2300M data
tool - <<S
write 1 $((280 * bs)) $((40 * bs)) c
grow
write 1 $((300 * bs)) $((300 * bs)) c
snapshot 3 1
write 3 5 $bs c
S
blocks 36800 18432
hashes_here 1 2 3 >before

step "found by the kernel, whose devices are larger still"
truncate -s 73M metadata
truncate -s 2400M data
in_kernel $bs <<S
pool_create
pool_status
activate 1 2 3
hashes 1 2 3 >\$OUT/before
fill 3 0 $((100 * bs)) 9
hashes 3 >\$OUT/after
delete 2
S
grep -q ' [0-9]*/18688 [0-9]*/38400 - rw ' said || die "$(cat said)"
cmp before out/before
blocks 38400 18688
hashes_here 3 | cmp - out/after
printf 'delete %s\n' 1 3 | tool -
agrees
same "$(status used_data_blocks)" 0
