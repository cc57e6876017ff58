# shellcheck shell=bash
# Sourced by the tests of thinfs.  THINFS and THINPOOL are the programs to be
# tested (meson sets them).  They need root, /dev/fuse and some tools; without,
# a test is skipped.
#
# Everything happens in a directory of the test's own, which goes away at the
# end with what is mounted on it.  A file system that hangs does not hang the
# suite: after LIMIT seconds thinfs is killed, which ends all that waits for it.
set -Eeuo pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8

here=$(realpath -- "$(dirname "${BASH_SOURCE[0]}")")
. "$here/../support/shell.sh"

[ -n "${THINFS-}" ] || skip "THINFS does not name a program: libfuse3 is missing"
[ -n "${THINPOOL-}" ] || skip "THINPOOL does not name a command"
[ "$(id -u)" = 0 ] || skip "it takes root to mount"
[ -w /dev/fuse ] || skip "there is no /dev/fuse"
needs fusermount3 setfattr getfattr python3 mountpoint
THINFS=$(realpath -- "$THINFS")
THINPOOL=$(realpath -- "$THINPOOL")

dir=$(mktemp -d)
cd "$dir"
mkdir mnt
pid=

die() { printf 'line %s: %s\n' "${BASH_LINENO[1]}" "$*" >&2; exit 1; }
same() { [ "$1" = "$2" ] || die "not the same: '$1' and '$2'"; }
thinpool() { "$THINPOOL" "$@"; }

# fails PATTERN COMMAND...: it fails, and standard error matches.
fails() {
	local pattern=$1
	shift
	if "$@" >out 2>err </dev/null; then die "'$*' does not fail"; fi
	grep -q -- "$pattern" err || die "'$*' says: $(cat err)"
}

#---------------------------- mounting ----------------------------------------

# mount_pool [OPTION]...: the pool in ./pool on ./mnt; its process is $pid.
mount_pool() {
	"$THINFS" -f "$@" pool mnt 2>>thinfs.err &
	pid=$!
	echo $pid >thinfs.pid
	await mounted || die "it is not mounted: $(cat thinfs.err)"
}
mounted() {
	kill -0 "$pid" 2>/dev/null || die "it ended: $(cat thinfs.err)"
	mountpoint -q mnt
}
ended() { ! kill -0 "$pid" 2>/dev/null; }

# Its exit status counts: sanitizers tell by it.
wait_for_end() {
	local rc=0
	await ended || die "it does not end"
	wait "$pid" || rc=$?
	pid=
	[ $rc = 0 ] || die "thinfs exits with $rc: $(cat thinfs.err)"
}
unmount_pool() {
	fusermount3 -u mnt
	wait_for_end
}
remount_pool() {
	unmount_pool
	mount_pool "$@"
}

# As a power cut is to the process; the pool's files stay what they are.
kill_thinfs() {
	kill -9 "$pid"
	wait "$pid" 2>/dev/null || true
	pid=
	umount -l mnt
}

# check_pool: two oracles find nothing wrong with the metadata.
check_pool() {
	"${METADATA_VERIFY:-$here/../oracles/metadata-verify}" pool/metadata >verify.out ||
		die "metadata-verify: $(cat verify.out)"
	if command -v thin_check >/dev/null; then
		thin_check -q pool/metadata || die "thin_check finds something"
	fi
}

#---------------------------- asking ------------------------------------------

xattr() { getfattr --only-values -n "user.thinpool.$2" "$1"; }
snapshot() { setfattr -n user.thinpool.snapshot -v "$2" "$1"; }
size() { stat -c %s "$1"; }
blocks() { stat -c %b "$1"; }
free_bytes() { stat -f -c '%a %S' mnt | { read -r a s; echo $((a * s)); }; }
slice() { dd if="$1" bs=64K iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none; }
zeroes() { head -c "$1" /dev/zero; }
random() { head -c "$1" /dev/urandom; }

#---------------------------- loop devices ------------------------------------

needs_loop() {
	needs losetup "$@"
	modprobe -q loop 2>/dev/null || true
	[ -e /dev/loop-control ] || skip "there are no loop devices"
}

# attach FILE [OPTION]...: a loop device over it; others may be as fast.  With
# DIRECT=on it goes past the page cache.
attach() {
	local i
	for ((i = 0; i < 20; i++)); do
		losetup --find --show --direct-io="${DIRECT:-off}" "$@" 2>losetup.err && return
		sleep 0.1
	done
	die "losetup: $(cat losetup.err)"
}
loops() { losetup --list --noheadings --output NAME,BACK-FILE | grep -F " $dir/" | cut -d' ' -f1 || true; }
unlooped() { [ -z "$(loops)" ]; }

#---------------------------- the end -----------------------------------------

mounts() { awk -v d="$dir/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo | tac; }

clean_up() {
	local rc=$? where loop
	trap - ERR EXIT
	set +e
	cd /
	kill "$watchdog" 2>/dev/null
	# shellcheck disable=SC2046
	kill $(jobs -p) 2>/dev/null
	for where in $(mounts | grep -vx "$dir/mnt"); do timeout 20 umount "$where" || umount -l "$where"; done
	for loop in $(loops); do timeout 20 losetup -d "$loop"; done
	[ -z "$pid" ] || { kill -9 "$pid"; wait "$pid"; } 2>/dev/null
	for where in $(mounts); do umount -l "$where"; done
	[ $rc = 0 ] || [ $rc = 77 ] || [ ! -s "$dir/thinfs.err" ] || cat "$dir/thinfs.err" >&2
	rm -rf --one-file-system "$dir"
	exit $rc
}
trap clean_up EXIT
trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR

# A process of its own: what the test waits for may not be killable before.
main=$$
(
	exec >/dev/null 2>&1
	sleep "${LIMIT:-240}" &
	trap 'kill $!; exit' TERM
	wait
	kill -9 "$(cat thinfs.pid)"
	kill $main
) &
watchdog=$!
