#!/bin/bash
# qemu's block layer as a client: what qemu-io writes, zeroes and discards reads
# back as that, by it and by another client, also after a kill.
. "$(dirname "$0")/support.sh"
needs qemu-io

thinpool create pool --size 100M >out
thinpool volume create pool disk --size 1G >out
serve "$NBD_PLUGIN" pool volume=disk

# qemu COMMAND...: on the default export; a pattern that differs fails.
qemu() {
	local command arguments=()
	for command; do arguments+=(-c "$command"); done
	qemu-io -f raw "${arguments[@]}" "$(uri)" >qemu.out 2>&1 || die "qemu-io: $(cat qemu.out)"
	! grep -E 'failed|rror' qemu.out || die "qemu-io: $(cat qemu.out)"
}

# A whole block, one in parts, across blocks, and at the very end.
qemu 'write -P 0x11 0 64k' 'write -P 0x22 100k 3k' 'write -P 0x33 190k 70k' 'write -P 0x44 1023M 1M' \
	'read -P 0x11 0 64k' 'read -P 0 64k 36k' 'read -P 0x22 100k 3k' 'read -P 0x33 190k 70k' \
	'read -P 0x44 1023M 1M'

# Does a wrong pattern fail at all?
if qemu-io -f raw -c 'read -P 0x12 0 64k' "$(uri)" >qemu.out 2>&1 && ! grep -q failed qemu.out; then
	die "qemu-io does not look"
fi

# Many at once.
writes=() reads=()
for i in {0..31}; do
	writes+=("aio_write -P $((i + 64)) $((2048 + i * 48))k 48k")
	reads+=("aio_read -P $((i + 64)) $((2048 + i * 48))k 48k")
done
qemu "${writes[@]}" aio_flush "${reads[@]}" aio_flush

# Zeroes, with and without leave to unmap; a discard of whole blocks.
qemu 'write -z 8k 8k' 'write -z -u 2048k 512k' 'discard 1023M 1M' \
	'read -P 0x11 0 8k' 'read -P 0 8k 8k' 'read -P 0x11 16k 48k' 'read -P 0 2048k 512k' \
	'read -P 0 1023M 1M'
same "$(nbdinfo --map "$(uri)" | awk '$1 == 1023 * 1048576 - 1 || $1 + $2 == 1024 * 1048576 { print $3 }')" 3

# What was written with FUA, or before a flush, is there after a kill.
qemu 'write -f -P 0x55 300k 5k' 'write -P 0x66 400k 5k' flush
kill_server
serve "$NBD_PLUGIN" pool volume=disk
qemu 'read -P 0x55 300k 5k' 'read -P 0x66 400k 5k' 'read -P 0x33 190k 70k' 'read -P 0 8k 8k'
stop
thinpool read pool disk 300K 5K >bytes
same "$(tr -d '\125' <bytes | wc -c) of $(wc -c <bytes)" "0 of 5120"
check_pool
