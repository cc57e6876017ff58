#!/bin/bash
# Renaming over a volume that is there, exchanging two, unlinking what is open:
# no name is ever without its file, and nothing is left behind.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 64M
mount_pool
random 1M >one
random 1M >two
cp one mnt/one
cp two mnt/two

# RENAME_NOREPLACE, RENAME_EXCHANGE.
rename() {
	python3 - "$@" <<'PY'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
r = libc.renameat2(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), int(sys.argv[3]))
sys.exit(os.strerror(ctypes.get_errno()) if r else 0)
PY
}
fails "File exists" rename mnt/one mnt/two 1
fails "No such file" rename mnt/one mnt/none 2
fails "Invalid argument" rename mnt/one mnt/none 4
rename mnt/one mnt/two 2
cmp one mnt/two
cmp two mnt/one
rename mnt/two mnt/three 1
same "$(ls mnt)" $'one\nthree'

# The new one takes the place of the old: its blocks are free again.
before=$(free_bytes)
mv mnt/three mnt/one
cmp one mnt/one
same "$(ls mnt)" one
same "$(free_bytes)" $((before + (1 << 20)))

# One that is open stays whole until it is closed, whoever takes its name.
exec 3<>mnt/one
cp two mnt/new
mv mnt/new mnt/one
cmp two mnt/one
cmp one /proc/self/fd/3
same "$(stat -L -c %h /proc/self/fd/3)" 0
same "$(ls -A mnt)" one
exec 4<>mnt/one
rm mnt/one
same "$(ls -A mnt)" ""
cmp two /proc/self/fd/4
printf x | dd of=/proc/self/fd/4 conv=notrunc status=none
echo again >mnt/one
same "$(cat mnt/one)" again
cmp <(tail -c +2 two) <(tail -c +2 /proc/self/fd/4)

# What is unlinked goes with the last close, or, if that does not come, with
# the next mount; what is closed is gone at once.
before=$(free_bytes)
exec 3<&-
await eval '[ "$(free_bytes)" = $((before + (1 << 20))) ]' || die "its blocks are not free"
kill_thinfs
exec 4<&-
thinpool list pool | grep -q thinfs-deleted || die "what was open is gone already"
mount_pool
same "$(ls -A mnt)" one
same "$(head -c 5 mnt/one)" again
unmount_pool
same "$(thinpool list pool | wc -l)" 2
check_pool
