#!/bin/bash
# Thousands of volumes: the trees of devices and of details grow and shrink.
. "$(dirname "$0")/support.sh"

step "1000 volumes, a block in each third, created in no order"
new_pool 64M 1G 128
{
	for ((i = 0; i < 1000; i++)); do
		id=$((i * 7919 % 1000 * 5000))
		echo "create $id"
		((i % 3)) || echo "write $id $((i * 37)) 1 x"
	done
} | tool -
agrees

step "3000 snapshots of one, sharing broken in some"
{
	echo "write 5000 0 $((40 * 128)) y"
	echo "snapshot-many 5001 8001 5000"
	for ((i = 5001; i < 8001; i += 100)); do echo "write $i $((i % 40 * 128)) 130 z"; done
	echo "write 5000 $((20 * 128)) 1 z"
} | tool -
agrees
same "$(status thins)" 4000

step "deleted, every second"
{
	for ((i = 5001; i < 8001; i += 2)); do echo "delete $i"; done
	for ((i = 0; i < 1000; i += 2)); do echo "delete $((i * 5000))"; done
} | tool -
agrees
same "$(status thins)" 2000

step "deleted, all"
tool list | sed 's/ .*//; s/^/delete /' >rest
tool - <rest
agrees
same "$(status used_data_blocks)" 0
