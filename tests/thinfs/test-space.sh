#!/bin/bash
# df tells the truth; a full pool says so at once, to who writes, and rm is the
# way out.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 64M
mount_pool
same "$(stat -f -c '%b %S' mnt)" "1024 65536"
same "$(free_bytes)" $((64 << 20))
truncate -s 1G mnt/v
used=$((64 << 20)) used=$((used - $(free_bytes)))
[ $used -le $((2 << 16)) ] || die "a volume of nothing takes $used bytes"

before=$(free_bytes)
random 10M | dd of=mnt/v bs=1M conv=notrunc status=none
same "$(free_bytes)" $((before - (10 << 20)))
same "$(blocks mnt/v)" $((10 << 11))
same "$(df --output=fstype mnt | tail -1)" fuse.thinfs

SECONDS=0
fails "No space left" dd if=/dev/zero of=mnt/full bs=1M count=100
[ $SECONDS -lt 30 ] || die "it took $SECONDS s to notice that the pool is full"
same "$(free_bytes)" 0

# What is there can be read and written, with no new block.
random 10M >data
dd if=data of=mnt/v bs=1M conv=notrunc,fsync status=none
cmp data <(head -c 10M mnt/v)
fails "No space left" dd if=data of=mnt/v bs=64K count=1 seek=300 conv=notrunc
cmp data <(head -c 10M mnt/v)

rm mnt/full
same "$(free_bytes)" $((before - (10 << 20)))
dd if=data of=mnt/v bs=1M seek=10 conv=notrunc,fsync status=none
remount_pool
cmp <(cat data data) <(head -c 20M mnt/v)
unmount_pool
check_pool
