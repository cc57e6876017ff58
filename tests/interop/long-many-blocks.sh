#!/bin/bash
# Data space maps of several bitmaps, metadata that grows, trees of more than
# one level: what we wrote is read alike by all.
. "$(dirname "$0")/support.sh"

step "50000 data blocks: four bitmaps, all of them used"
new_pool 16M 3125M 128
{
	echo create 0
	# A sector in each block of every third, then whole ones at a bitmap's border.
	for ((i = 0; i < 30000; i += 3)); do echo "fill 0 $((i * 128)) 1 $((i % 256))"; done
	echo create 1
	echo "discard 0 $((300 * 128)) $((20000 * 128))"
	for ((i = 0; i < 1000; i++)); do echo "fill 1 $((i * 7919 % 1000 * 128 + 5)) 1 1"; done
	echo snapshot 2 0
	for ((i = 0; i < 30000; i += 30)); do echo "fill 0 $((i * 128)) 1 9"; done
} | tool -
agrees

step "the pool is full, and emptied again"
tool - <<S
discard 0 0 4000000
zero 2 1000 3000
snapshot 3 1
S
agrees
printf '%s\n' "delete 0" "delete 2" | tool -
agrees

step "three volumes interleaved, written to the last data block"
new_pool 8M 1100M 128
{
	printf 'create %s\n' 0 1 2
	for ((i = 0; i < 5866; i++)); do
		for id in 0 1 2; do echo "fill $id $((i * 128)) 1 $id"; done
	done
	echo "fill 0 $((5866 * 128)) 1 0"
	echo "fill 1 $((5866 * 128)) 1 0"
} >commands
tool - <commands
same "$(status used_data_blocks)" 17600
same "$(status data_blocks)" 17600
agrees

step "both devices grown"
truncate -s 12M metadata
truncate -s 2200M data
tool grow
same "$(status data_blocks)" 35200
agrees
tool - <<S
snapshot 3 0
fill 3 0 750848 3
fill 2 0 128 2
S
agrees

step "emptied from the end, from the front, in the middle"
tool - <<S
discard 0 $((3000 * 128)) $((3000 * 128))
discard 1 0 $((5000 * 128))
discard 3 $((100 * 128)) $((5000 * 128))
delete 2
S
agrees
printf 'delete %s\n' 0 1 3 | tool -
agrees
same "$(status used_data_blocks)" 0
