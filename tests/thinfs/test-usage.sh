#!/bin/bash
# The command line; going to the background, and what the parent says; ending by
# a signal; reading only; thins that others made.
. "$(dirname "$0")/support.sh"

# exits STATUS PATTERN ARG...
exits() {
	local status=$1 pattern=$2 rc=0
	shift 2
	timeout 60 "$THINFS" "$@" >out 2>err </dev/null || rc=$?
	[ $rc = "$status" ] || die "'$*' exits with $rc, not $status: $(cat err)"
	grep -q -- "$pattern" err || die "'$*' says: $(cat err)"
	[ "$(wc -l <err)" -le 2 ] || die "'$*' says a lot: $(cat err)"
}

"$THINFS" --help | grep -q "usage: thinfs" || die "no help"
"$THINFS" --version | grep -qE '^thinfs [0-9]' || die "no version"
exits 2 "which POOL"
exits 2 "which POOL" pool
exits 2 "too many words" pool mnt more
exits 2 "no option --nonsense" --nonsense pool mnt
exits 2 "no option -q" -q pool mnt
exits 2 "from 1 to" --queue-depth=0 pool mnt
exits 1 "there is no pool/metadata.*create" pool mnt
thinpool create pool --size 64M
exits 1 "none: No such file" pool none
exits 1 "no directory" pool pool/data
exits 1 "nonsense" -o nonsense pool mnt
exits 1 "cannot open pool" pool/data,pool/metadata mnt

# In the background: mounted when the parent ends, and gone with the unmount.
is_free() { thinpool volume create pool probe --size 1M >/dev/null 2>&1; }
timeout 60 "$THINFS" pool mnt >out 2>&1
mountpoint -q mnt || die "it is not mounted"
[ ! -s out ] || die "it says: $(cat out)"
random 1M >one
cp one mnt/v
exits 1 "in use" pool mnt
fails "close what uses it" thinpool list pool
umount mnt
await is_free || die "the pool is not closed"
thinpool volume delete pool probe

# By two files, with options for the mount.
mount_pool
unmount_pool
timeout 60 "$THINFS" --queue-depth=2 -o allow_other,noatime pool/metadata,pool/data mnt
grep -q " $dir/mnt rw.*noatime.* fuse.thinfs " /proc/self/mountinfo || die "$(tail -1 /proc/self/mountinfo)"
grep -q "allow_other" <(grep " $dir/mnt " /proc/self/mountinfo) || die "options are lost"
cmp one mnt/v
umount mnt
await is_free || die "the pool is not closed"
thinpool volume delete pool probe

# A signal ends it, and nothing is lost: not what is only mapped, not what is
# open and was never synced, not a size.
for signal in TERM INT HUP; do
	mount_pool
	exec 3<>mnt/v 4<>mnt/$signal
	cat one one one >&4
	# The child maps the file, changes it, and stays.
	coproc MAPPED { exec python3 -c '
import mmap, os, sys
fd = os.open("mnt/v", os.O_RDWR)
m = mmap.mmap(fd, 0)
m[0:5] = b"HELLO"
print("ready", flush=True)
sys.stdin.read()'; }
	read -r _ <&"${MAPPED[0]}"
	kill -$signal $pid
	wait_for_end
	exec 3<&- 4<&-
	kill "$MAPPED_PID"
	wait "$MAPPED_PID" 2>/dev/null || true
	! mountpoint -q mnt || die "it is still mounted"
	mount_pool
	same "$(slice mnt/v 0 5)" HELLO
	cmp <(cat one one one) mnt/$signal
	cp one mnt/v
	unmount_pool
done
rm -rf out err

# To read only: nothing changes, and several may.
cp -r pool pool.before
mount_pool --read-only
cmp one mnt/v
same "$(stat -c %a mnt/v)" 400
fails "Read-only file system" touch mnt/new
fails "Read-only file system" dd if=one of=mnt/v conv=notrunc
fails "Read-only file system" snapshot mnt/v s
fails "Read-only file system" rm mnt/v
thinpool list pool >/dev/null
unmount_pool
cmp pool/metadata pool.before/metadata
cmp pool/data pool.before/data
timeout 60 "$THINFS" -o ro pool mnt
fails "Read-only file system" touch mnt/new
umount mnt
await is_free || die "the pool is not closed"
thinpool volume delete pool probe
check_pool
