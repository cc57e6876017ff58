#!/bin/bash
# Holes: punched, zeroed, found; and what fallocate does in a thin volume.
. "$(dirname "$0")/support.sh"
needs fallocate

thinpool create pool --size 256M
mount_pool
random 4M >plain
cp plain mnt/v
same "$(blocks mnt/v)" 8192

# zero MODE OFFSET LENGTH, in the volume and in the file.
zero() {
	fallocate "$1" -o "$2" -l "$3" mnt/v
	fallocate --zero-range --keep-size -o "$2" -l "$3" plain
	cmp plain mnt/v
}

# Whole blocks go; the ragged ends, of sectors and of bytes, are zeroed.
zero --punch-hole 65536 131072
same "$(blocks mnt/v)" 7936
zero --punch-hole 300000 100
zero --punch-hole 1000000 200000
same "$(blocks mnt/v)" 7680
zero --punch-hole 1000 1
zero --punch-hole 512 512
zero --zero-range 2000000 300001
same "$(blocks mnt/v)" 7168
zero --punch-hole 3999999 $(((4 << 20) - 3999999))
[ "$(blocks mnt/v)" -lt 7168 ] || die "the end is not given back"
zero --punch-hole 0 $((4 << 20))
same "$(blocks mnt/v)" 0
fallocate --punch-hole -o $((1 << 30)) -l 4096 mnt/v
same "$(size mnt/v)" $((4 << 20))

# What is zero already takes no space to be zeroed.
fallocate --zero-range -o 100 -l 1000000 mnt/v
same "$(blocks mnt/v)" 0

# Growing, and nothing else, is what allocating does.
fallocate -l 8M mnt/v
same "$(size mnt/v) $(blocks mnt/v)" "$((8 << 20)) 0"
fallocate --keep-size -l 9M mnt/v
same "$(size mnt/v) $(blocks mnt/v)" "$((8 << 20)) 0"
fallocate --zero-range -o 8M -l 1M mnt/v
same "$(size mnt/v) $(blocks mnt/v)" "$((9 << 20)) 0"
fails "not supported" fallocate --collapse-range -o 0 -l 64K mnt/v

# SEEK_DATA and SEEK_HOLE.
truncate -s 1T mnt/sparse
random 64K | dd of=mnt/sparse bs=64K seek=3 conv=notrunc status=none
random 64K | dd of=mnt/sparse bs=64K seek=4 conv=notrunc status=none
random 512 | dd of=mnt/sparse bs=512 seek=$(((1 << 39) / 512)) conv=notrunc status=none
seek() {
	python3 -c '
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
try: print(os.lseek(fd, int(sys.argv[3]), getattr(os, sys.argv[2])))
except OSError as e: print(e.strerror)' "$@"
}
same "$(seek mnt/sparse SEEK_DATA 0)" $((3 << 16))
same "$(seek mnt/sparse SEEK_DATA 200001)" 200001
same "$(seek mnt/sparse SEEK_HOLE 0)" 0
same "$(seek mnt/sparse SEEK_HOLE 200001)" $((5 << 16))
same "$(seek mnt/sparse SEEK_DATA $((5 << 16)))" $((1 << 39))
same "$(seek mnt/sparse SEEK_HOLE $((1 << 39)))" $(((1 << 39) + 65536))
same "$(seek mnt/sparse SEEK_DATA $(((1 << 39) + 65536)))" "No such device or address"
same "$(seek mnt/sparse SEEK_HOLE $((1 << 40)))" "No such device or address"
same "$(seek mnt/v SEEK_HOLE 5)" 5

unmount_pool
check_pool
