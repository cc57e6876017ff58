#!/bin/bash
# Copies with the clients that people use, both ways: byte for byte the same, and
# holes stay holes.
. "$(dirname "$0")/support.sh"
needs qemu-img

# 40 MiB with data in a few places, one of them not whole blocks.
truncate -s 40M image
for at in 0 5 17 39; do
	random 1M | dd of=image bs=64K seek=$((at * 16)) conv=notrunc status=none
done
random 1000 | dd of=image bs=512 seek=20001 conv=notrunc status=none
want=$(sum <image)

thinpool create pool --size 200M >out
for name in copied converted compared; do
	thinpool volume create pool $name --size 40M >out
done
serve "$NBD_PLUGIN" pool

# in_use NAME: what is mapped, by the map that clients see.
in_use() { nbdinfo --map --totals "$(uri "$1")" | awk '$NF == "data" { print $1 }'; }

nbdcopy image "$(uri copied)"
same "$(in_use copied)" $(((64 + 1) << 16))
nbdcopy "$(uri copied)" back
same "$(sum <back)" "$want"
rm back
nbdcopy --connections=1 --requests=1 "$(uri copied)" back
same "$(sum <back)" "$want"
[ "$(takes back)" -lt 8192 ] || die "the holes are filled"

# Over other content, which the zeroes have to overwrite.
for name in converted compared; do
	random 40M | nbdcopy -- - "$(uri $name)"
done
nbdcopy image "$(uri compared)"
same "$(in_use compared)" $(((64 + 1) << 16))
qemu-img compare -f raw -F raw image "$(uri compared)" >out

qemu-img convert -n -f raw -O raw image "$(uri converted)"
qemu-img compare -f raw -F raw "$(uri copied)" "$(uri converted)" >out
qemu-img convert -f raw -O qcow2 "$(uri converted)" back.qcow2
qemu-img compare -f qcow2 -F raw back.qcow2 image >out
same "$(qemu-img map -f raw --output=json "$(uri copied)" | python3 -c '
import json, sys
print(sum(e["length"] for e in json.load(sys.stdin) if e["data"]))')" $(((64 + 1) << 16))
stop
same "$(thinpool export pool converted - | sum)" "$want"
check_pool
