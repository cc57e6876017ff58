#!/bin/bash
# Pools made by us, opened, read, changed and extended by the kernel, and read
# by us again: the content of every volume and snapshot is the same on both
# sides, at each change of hands.
. "$(dirname "$0")/kernel-support.sh"

for bs in 128 384 2048; do
	SECTORS=$((12 * bs))
	size=$((bs * 100 / 2))K

	step "$bs sectors: made by us"
	new_pool 4M $size $bs
	tool - <<-S
		create 1
		write 1 0 $((5 * bs)) a
		write 1 $((7 * bs + 3)) 11 a
		snapshot 2 1
		write 2 $((bs + 1)) $bs b
		discard 1 $((3 * bs)) $bs
		snapshot 3 2
		snapshot-many 4 9 3
		write 5 0 1 c
		write 3 $((4 * bs - 1)) 2 d
		create 9
		write 9 $((8 * bs)) $((2 * bs)) e
		delete 4
		zero 2 $((2 * bs + 5)) $((bs * 2))
		reserve-metadata-snapshot
		fill 9 0 100 77
		set-transaction-id 0 3
	S
	agrees
	hashes_here 1 2 3 5 6 9 >before

	step "$bs sectors: read by the kernel, which goes on"
	in_kernel $bs <<-S
		pool_create
		activate 1 2 3 5 6 9
		hashes 1 2 3 5 6 9 >\$OUT/before
		pool_message set_transaction_id 3 4
		pool_message release_metadata_snap
		write 1 $((bs / 2)) $((2 * bs)) f
		snapshot 10 1
		snapshot 11 5
		write 11 $((2 * bs)) $((3 * bs)) g
		write 10 $((3 * bs + 8)) 16 h
		discard 6 0 $((2 * bs))
		discard 9 $((8 * bs)) $((3 * bs / 2))
		delete 2
		delete 8
		create 12
		write 12 $((11 * bs)) $bs i
		pool_message reserve_metadata_snap
		hashes 1 3 5 6 9 10 11 12 >\$OUT/after
	S
	cmp before out/before

	step "$bs sectors: read by us, and left in a hurry"
	agrees
	same "$(status transaction_id) $(status held_root)" "4 1"
	hashes_here 1 3 5 6 9 10 11 12 | cmp - out/after
	tool - <<-S
		release-metadata-snapshot
		write 12 $((10 * bs)) $bs j
		snapshot 13 12
		discard 12 $((11 * bs)) $bs
		write 1 0 $((2 * bs)) j
		flush 1
		flush 12
		write 13 $((2 * bs)) $((3 * bs)) unflushed
		discard 5 $((4 * bs)) $bs
		crash
	S
	sound
	hashes_here 1 3 6 9 10 11 12 >before
	sectors_of 13 $((2 * bs)) $((3 * bs)) unflushed

	step "$bs sectors: read by the kernel after that, on a larger device"
	truncate -s $((bs * 150 / 2))K data
	in_kernel $bs <<-S
		pool_create
		activate 1 3 5 6 9 10 11 12 13
		hashes 1 3 6 9 10 11 12 >\$OUT/before
		write 13 0 $((12 * bs)) k
		write 5 0 $((12 * bs)) l
		fill 12 $((5 * bs + 1)) $((3 * bs)) 3
		hashes 1 3 5 6 9 10 11 12 13 >\$OUT/after
	S
	cmp before out/before
	agrees
	same "$(status data_blocks)" 150
	hashes_here 1 3 5 6 9 10 11 12 13 | cmp - out/after
	printf 'delete %s\n' 1 3 5 6 7 9 10 11 12 13 | tool -
	agrees
	same "$(status used_data_blocks)" 0
done
