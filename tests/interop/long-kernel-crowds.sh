#!/bin/bash
# Ten thousand volumes, and a chain of a hundred snapshots, each the origin of
# the next: of ours, in the kernel, and of the kernel's, here.  Each command is a
# commit: where there is memory to work in, flushes take no time.
[ ! -w /dev/shm ] || [ "$(df -k --output=avail /dev/shm | tail -n 1)" -lt 1000000 ] ||
	export TMPDIR=/dev/shm
. "$(dirname "$0")/kernel-support.sh"
bs=128
SECTORS=$((110 * bs))
# So in the kernel, too: a copy of the metadata, and its way back.
in_memory='load loop
dd if=$METADATA of=metadata bs=1M conv=sparse status=none
disk=$METADATA METADATA=$(losetup -f --show metadata)'
saved='pool_remove
losetup -d $METADATA
dd if=metadata of=$disk bs=1M conv=fsync,notrunc status=none'
LINKS="20000 20001 20050 20098 20099 20100"

step "ours"
new_pool 64M 256M $bs
{
	echo create-many 0 10000
	echo create 20000
	echo "write 20000 0 $((110 * bs)) origin"
	for ((i = 1; i <= 100; i++)); do
		echo "snapshot $((20000 + i)) $((19999 + i))"
		echo "write $((20000 + i)) $((i * bs + i)) 10 link$i"
	done
} | tool -
agrees
same "$(status thins)" 10101
# shellcheck disable=SC2086 # ids, a word each
hashes_here $LINKS >before

step "ours, in the kernel"
in_kernel $bs <<S
$in_memory
pool_create
activate $LINKS
hashes $LINKS >\$OUT/before
snapshot 20101 20100
write 20101 0 $((105 * bs)) longer
for ((i = 1; i < 10000; i += 2)); do echo delete \$i; done | pool_messages
for ((i = 2; i < 98; i += 2)); do [ \$i = 50 ] || echo delete \$((20000 + i)); done | pool_messages
create 5001
write 5001 $bs $bs anew
thin_activate 9998 $SECTORS
write 9998 0 10 used
hashes $LINKS 20101 5001 9998 >\$OUT/after
$saved
S
cmp before out/before
agrees
same "$(status thins)" $((10101 - 5000 - 47 + 2))
# shellcheck disable=SC2086
hashes_here $LINKS 20101 5001 9998 | cmp - out/after
tool list | sed 's/ .*//; s/^/delete /' >rest
tool - <rest
agrees
same "$(status used_data_blocks) $(status thins)" "0 0"

step "the kernel's"
in_kernel $bs <<S
for ((i = 0; i < 10000; i++)); do echo create_thin \$i; done >messages
$in_memory
pool_create
pool_messages <messages
create 20000
write 20000 0 $((110 * bs)) origin
thin_deactivate 20000
for ((i = 20001; i <= 20100; i++)); do
	pool_message create_snap \$i \$((i - 1))
	((i % 10 == 0)) || continue
	activate \$i
	write \$i \$((i % 110 * $bs + 7)) $bs link\$i
	thin_deactivate \$i
done
activate $LINKS
hashes $LINKS >\$OUT/after
$saved
S

step "the kernel's, here"
agrees
same "$(status thins)" 10101
# shellcheck disable=SC2086
hashes_here $LINKS | cmp - out/after
same "$(cut -d' ' -f2 out/after | sort -u | wc -l)" 4
{
	for ((i = 0; i < 10000; i += 3)); do echo "delete $i"; done
	for ((i = 1; i < 98; i += 3)); do echo "delete $((20000 + i))"; done
	echo "snapshot-many 30000 30050 20100"
	echo "write 30007 0 1000 much"
} | tool -
agrees
hashes_here 20000 20050 20098 20099 20100 30007 30008 >before
in_kernel $bs <<S
pool_create
activate 20000 20050 20098 20099 20100 30007 30008
hashes 20000 20050 20098 20099 20100 30007 30008 >\$OUT/before
S
cmp before out/before
