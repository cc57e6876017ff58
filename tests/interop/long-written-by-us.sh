#!/bin/bash
# Metadata that we wrote: thin_check and an independent recount of every
# reference find nothing wrong, and thin_dump shows the mappings that we hold,
# all of them.  Runs of every kind, at three block sizes.
. "$(dirname "$0")/support.sh"

# blocks FROM COUNT: as 'sector count', in blocks of the size under test
blocks() { echo "$(($1 * bs)) $(($2 * bs))"; }

for bs in 128 384 2048; do
	step "$bs sectors: an empty pool, empty volumes"
	new_pool 2M $((700 * bs / 2))K $bs
	agrees
	printf 'create %s\n' 0 1 16777215 | tool -
	agrees

	step "$bs sectors: runs, single blocks, far blocks"
	tool - <<-S
		write 0 $(blocks 0 60) a
		write 0 $((200 * bs)) 8 b
		write 0 $((202 * bs + 5)) 1 b
		write 1 $(blocks 16777216 3) c
		write 1 $((7 * bs - 3)) 6 d
		write 16777215 $(blocks 5 1) e
	S
	agrees

	step "$bs sectors: one block after another, backwards"
	for ((i = 60; i > 0; i -= 2)); do echo "write 16777215 $((i * bs + 100)) 1 f"; done | tool -
	agrees

	step "$bs sectors: snapshots of snapshots, sharing broken in each"
	for ((i = 10; i < 18; i++)); do
		echo "snapshot $i $((i == 10 ? 0 : i - 1))"
		echo "write $i $(((i - 10) * 3 * bs)) $((bs + 1)) s$i"
		echo "write $((i == 10 ? 0 : i - 1)) $((i * 4 * bs)) 9 t$i"
		[ $i != 13 ] || echo "set-transaction-id 0 77"
	done | tool -
	agrees

	step "$bs sectors: nine snapshots of one"
	{
		echo "snapshot-many 20 29 0"
		for i in 0 20 23 28; do echo "fill $i $(blocks $((i + 30)) 2) $i"; done
	} | tool -
	agrees

	step "$bs sectors: discards, of whole blocks and of parts"
	tool - <<-S
		discard 0 $(blocks 10 5)
		discard 20 $((20 * bs + 1)) $((3 * bs))
		discard 23 $(blocks 0 50)
		discard 1 $(blocks 0 20000000)
		zero 28 $((40 * bs + 7)) $((4 * bs))
		discard 24 $(blocks 50 1)
		discard 24 $(blocks 50 1)
	S
	agrees

	step "$bs sectors: deleted from the middle, the ends, altogether"
	printf 'delete %s\n' 13 10 28 1 | tool -
	agrees
	hashes $((62 * bs)) 0 11 17 20 23 >before
	printf 'delete %s\n' 12 14 15 16 21 22 24 25 26 27 | tool -
	agrees
	hashes $((62 * bs)) 0 11 17 20 23 | cmp - before
	printf 'delete %s\n' 0 11 17 20 23 16777215 | tool -
	agrees
	same "$(status used_data_blocks)" 0
	same "$(status transaction_id)" 77
done
