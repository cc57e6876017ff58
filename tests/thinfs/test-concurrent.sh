#!/bin/bash
# Several processes at once: each its own volume, all parts of one, unaligned
# and next to each other, while snapshots are taken and the directory changes.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 512M
mount_pool

for i in 1 2 3 4; do random 12M >data.$i; done
truncate -s 48M mnt/common
writers=()
for i in 1 2 3 4; do
	dd if=data.$i of=mnt/own.$i bs=$((i * 10007)) status=none &
	writers+=($!)
	dd if=data.$i of=mnt/common bs=1M seek=$(((i - 1) * 12)) conv=notrunc oflag=direct status=none &
	writers+=($!)
done

# Bytes that take turns within sectors: nobody's are lost.
truncate -s 128K mnt/turns
cat >turns.py <<'PY'
import os, random, sys
fd, me = os.open('mnt/turns', os.O_RDWR), int(sys.argv[1])
places = list(range(me, 128 << 10, 32 * 4))
random.Random(me).shuffle(places)
for at in places:
    at += 31 * me
    if at + 32 <= 128 << 10:
        os.pwrite(fd, bytes([65 + me]) * 32, at)
PY
for i in 0 1 2 3; do
	python3 turns.py $i &
	writers+=($!)
done

for i in 1 2 3 4 5 6 7 8; do
	snapshot mnt/common s.$i
	: >mnt/temporary
	truncate -s 1M mnt/temporary
	mv mnt/temporary mnt/t.$((i % 2))
	ls -l mnt >out
	[ $i -lt 5 ] || rm mnt/s.$((i - 4))
done
for writer in "${writers[@]}"; do wait "$writer" || die "a writer has failed"; done

check_all() {
	for i in 1 2 3 4; do cmp -n 12582912 data.$i mnt/own.$i; done
	cmp mnt/common <(cat data.*)
	python3 - <<'PY'
data = open('mnt/turns', 'rb').read()
want = bytearray(128 << 10)
for me in range(4):
    for at in range(me, 128 << 10, 128):
        at += 31 * me
        if at + 32 <= len(want):
            want[at:at + 32] = bytes([65 + me]) * 32
assert data == bytes(want)
PY
}
check_all
cp mnt/common common
snapshot mnt/common last
remount_pool --queue-depth=1
check_all
cmp common mnt/last
unmount_pool
check_pool
