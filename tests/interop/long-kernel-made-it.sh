#!/bin/bash
# Pools made by the kernel, opened and changed by us, then opened by the kernel
# again; and pools of which the kernel let go without a commit.
. "$(dirname "$0")/kernel-support.sh"

for bs in 128 384 2048; do
	SECTORS=$((12 * bs))

	step "$bs sectors: made by the kernel"
	blank_pool 4M $((bs * 120 / 2))K
	in_kernel $bs <<-S
		pool_create
		create 0
		write 0 0 $((4 * bs)) a
		write 0 $((6 * bs + 2)) 5 a
		create 1
		write 1 $((3 * bs - 1)) $((2 * bs)) b
		snapshot 2 0
		write 0 $((bs + 1)) $((bs / 2)) c
		snapshot 3 2
		snapshot 4 2
		snapshot 5 4
		write 4 0 1 d
		discard 3 $((bs / 2)) $((2 * bs))
		discard 1 $((3 * bs)) $bs
		delete 2
		pool_message set_transaction_id 0 10
		hashes 0 1 3 4 5 >\$OUT/after
	S

	step "$bs sectors: read by us, who go on"
	agrees
	hashes_here 0 1 3 4 5 | cmp - out/after
	tool - <<-S
		write 3 0 $((3 * bs)) e
		snapshot 6 5
		write 6 $((6 * bs)) 10 f
		write 5 $((5 * bs)) $((4 * bs)) f
		discard 4 $bs $((2 * bs))
		delete 1
		create 7
		zero 7 0 $((2 * bs))
		write 7 $((9 * bs + 1)) $((2 * bs)) g
		snapshot-many 20 25 7
		write 21 $((10 * bs)) 8 h
		set-transaction-id 10 11
	S
	agrees
	hashes_here 0 3 4 5 6 7 20 21 >before

	step "$bs sectors: read by the kernel, which writes, and stops dead"
	in_kernel $bs <<-S
		pool_create
		activate 0 3 4 5 6 7 20 21
		hashes 0 3 4 5 6 7 20 21 >\$OUT/before
		snapshot 30 0
		write 0 0 $((3 * bs)) i
		write 30 $((2 * bs)) $((2 * bs)) j
		discard 5 0 $((2 * bs))
		write 21 0 $((6 * bs)) k
		flush 0
		flush 30
		pool_commit
		hashes 0 3 4 5 6 7 20 21 30 >\$OUT/after
		write 7 0 $((7 * bs)) unflushed
		discard 6 0 $((12 * bs))
		pool_message create_thin 31
		write 20 0 $((9 * bs)) unflushed
		crash
	S
	cmp before out/before

	step "$bs sectors: read by us after that"
	agrees
	hashes_here 0 3 4 5 21 30 | cmp - <(grep -v '^\(6\|7\|20\) ' out/after)
	sectors_of 7 0 $((7 * bs)) unflushed
	sectors_of 20 0 $((9 * bs)) unflushed
	same "$(hash 22 $SECTORS)" "$(sed -n 's/^20 //p' before)"

	step "$bs sectors: grown by us, read by the kernel"
	truncate -s $((bs * 200 / 2))K data
	truncate -s 6M metadata
	tool - <<-S
		grow
		write 7 0 $((12 * bs)) l
		write 6 0 $((12 * bs)) m
		snapshot 32 7
		write 32 0 $((12 * bs)) n
		reserve-metadata-snapshot
		discard 7 $((4 * bs)) $((2 * bs))
	S
	agrees
	hashes_here 0 6 7 20 32 >before
	in_kernel $bs <<-S
		pool_create
		activate 0 6 7 20 32
		hashes 0 6 7 20 32 >\$OUT/before
		pool_message release_metadata_snap
		pool_status
		fill 0 0 $((12 * bs)) 1
		delete 32
		hashes 0 6 7 20 >\$OUT/after
	S
	cmp before out/before
	grep -q " 11 .*/1536 .*/200 - rw " said || die "$(cat said)"
	agrees
	hashes_here 0 6 7 20 | cmp - out/after
done
