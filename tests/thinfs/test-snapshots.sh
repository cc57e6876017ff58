#!/bin/bash
# Snapshots by attribute and by copy; the attributes.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 256M
mount_pool
random 3M >one
cp one mnt/v
same "$(getfattr mnt/v 2>/dev/null | grep -c thinpool)" 3
same "$(xattr mnt/v id) $(xattr mnt/v mapped) $(xattr mnt/v shared)" "0 $((3 << 20)) 0"
fails "No such attribute" xattr mnt/v origin
fails "No such attribute" getfattr -n user.other mnt/v
fails "not supported" setfattr -n user.thinpool.id -v 7 mnt/v
fails "not supported" setfattr -n user.other -v 7 mnt/v

# By attribute.
before=$(free_bytes)
snapshot mnt/v s
same "$(free_bytes)" "$before"
cmp one mnt/s
same "$(xattr mnt/s origin) $(xattr mnt/s shared)" "v $((3 << 20))"
same "$(xattr mnt/v shared)" $((3 << 20))
fails "File exists" snapshot mnt/v s
fails "Invalid argument" snapshot mnt/v a/b
fails "Invalid argument" snapshot mnt/v .thinfs-deleted-1
fails "Invalid argument" snapshot mnt/v ''

# They part where they are written.
printf XX | dd of=mnt/v bs=1 seek=70000 conv=notrunc status=none
cmp one mnt/s
same "$(free_bytes)" $((before - 65536))
same "$(xattr mnt/v shared)" $(((3 << 20) - 65536))
cmp mnt/v <(slice one 0 70000; printf XX; slice one 70002 3M)

# A size that has only just grown is in the snapshot too.
exec 3<>mnt/grows
printf '%01000d' 7 >&3
snapshot mnt/grows grown
exec 3<&-
same "$(size mnt/grows) $(size mnt/grown)" "1000 1024"
cmp -n 1000 mnt/grows mnt/grown

# cp of a volume without holes is copy_file_range, and that is a snapshot.
before=$(free_bytes)
cp mnt/v mnt/copy
same "$(free_bytes)" "$before"
cmp mnt/v mnt/copy
same "$(xattr mnt/copy origin)" v
cp mnt/v mnt/copy	# over what is there: copied
cmp mnt/v mnt/copy

# One with holes, cp reads and writes; holes stay holes.
truncate -s 1G mnt/sparse
random 1M | dd of=mnt/sparse bs=1M seek=50 conv=notrunc status=none
random 1M | dd of=mnt/sparse bs=1M seek=500 conv=notrunc status=none
cp mnt/sparse mnt/sparse2
cmp mnt/sparse mnt/sparse2
same "$(blocks mnt/sparse2)" 4096

remount_pool
cmp one mnt/s
cmp mnt/sparse mnt/sparse2
same "$(xattr mnt/copy origin)" v
rm mnt/v
same "$(xattr mnt/copy origin)" "#0"

# If it shows no holes, cp makes a snapshot of all, and there are the same.
remount_pool --solid
same "$(blocks mnt/sparse)" $((1 << 21))
truncate -s 1T mnt/sparse
before=$(free_bytes)
SECONDS=0
cp mnt/sparse mnt/sparse3
[ $SECONDS -lt 10 ] || die "it took $SECONDS s"
same "$(free_bytes)" "$before"
same "$(size mnt/sparse3) $(xattr mnt/sparse3 origin)" "$((1 << 40)) sparse"
same "$(xattr mnt/sparse3 mapped) $(xattr mnt/sparse3 shared)" "$((2 << 20)) $((2 << 20))"
cmp <(slice mnt/sparse 0 600M) <(slice mnt/sparse3 0 600M)
remount_pool
same "$(blocks mnt/sparse3)" 4096
cmp mnt/grows mnt/grown
unmount_pool
check_pool
