# shellcheck shell=bash
# Sourced after support.sh by tests that put a file system into a volume, by way
# of a loop device.

# What a kind needs: tools and the kernel's driver.
needs_kind() {
	needs_loop mkfs."$1" fstrim fsfreeze
	grep -qw "$1" /proc/filesystems || modprobe -q "$1" || skip "the kernel has no $1"
}

make() {
	case $1 in
	ext4) mkfs.ext4 -q "$2" ;;
	xfs) mkfs.xfs -q "$2" ;;
	btrfs) mkfs.btrfs -q "$2" >mkfs.out ;;
	esac
}

# Finds nothing to mend.  The log of what was not unmounted is replayed before,
# by mounting.
check() {
	case $1 in
	ext4) e2fsck -fn "$2" >fsck.out 2>&1 ;;
	xfs) xfs_repair -n "$2" >fsck.out 2>&1 ;;
	btrfs) btrfs check --readonly "$2" >fsck.out 2>&1 ;;
	esac || die "fsck: $(cat fsck.out)"
}

# A snapshot has the same identity as its origin, which may be mounted.  (A
# btrfs may not.)
options_beside() {
	case $1 in
	xfs) echo nouuid ;;
	*) echo rw ;;
	esac
}

sums_of() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0r sha256sum); }

detach() {
	local device=$1
	losetup -d "$device"
	await eval "! losetup '$device' >/dev/null 2>&1" || die "$device stays"
}

# Trim, and tell whether $most bytes mapped or fewer are left.  xfs frees what a
# removed file had in the background, and trims nothing of it before.
trimmed() {
	sync -f fs
	fstrim fs
	sync -f fs
	[ "$(xattr mnt/vol mapped)" -le "$most" ]
}

# written_by_mkfs KIND SIZE: the bytes that it leaves in a file of its own.
written_by_mkfs() {
	truncate -s "$2" plain
	make "$1" plain
	sync plain
	echo $(($(stat -c %b plain) * 512))
	rm plain
}

# use_file_system KIND SIZE MEGABYTES: from mkfs to fsck (FST-01), with snapshots
# while it is written, and while it is quiet, which are written too (FST-03).
use_file_system() {
	local kind=$1 loop other mapped most writer
	: >mnt/vol
	truncate -s "$2" mnt/vol
	loop=$(attach mnt/vol)
	most=$(($(written_by_mkfs "$kind" "$2") + (4 << 20)))
	make "$kind" "$loop"
	sync mnt/vol
	mapped=$(xattr mnt/vol mapped)
	[ "$mapped" -le "$most" ] || die "mkfs.$kind has $mapped bytes mapped, not $most"
	mount "$loop" fs
	mkdir fs/tree
	# Twice over what is there (FST-02).
	for ((i = 0; i < 3; i++)); do
		cp -a "$tree/." fs/tree
		sync -f fs
	done
	sums_of fs/tree >sums
	[ -s sums ] || die "there is nothing in $tree"

	# Space that is freed comes back to the pool.
	random "$3M" >fs/big
	sync -f fs
	mapped=$(xattr mnt/vol mapped)
	rm fs/big
	most=$((mapped - $3 * 900000))
	await trimmed ||
		die "$kind: trimmed, $mapped bytes mapped have become $(xattr mnt/vol mapped)"

	# Under load: the tree is there, what was being written may be.
	(for ((i = 0; ; i++)); do random 300K >fs/load.$((i % 20)); done) 2>/dev/null &
	writer=$!
	sleep 0.5
	snapshot mnt/vol live
	fsfreeze -f fs
	snapshot mnt/vol frozen
	fsfreeze -u fs
	sleep 0.2
	kill $writer
	wait $writer 2>/dev/null || true

	for name in live frozen; do
		other=$(attach mnt/$name)
		if [ "$kind" = btrfs ]; then
			umount fs
			detach "$loop"
		fi
		mount -o "$(options_beside "$kind")" "$other" snap
		sums_of snap/tree | cmp - sums
		echo changed >snap/mark
		umount snap
		check "$kind" "$other"
		detach "$other"
		if [ "$kind" = btrfs ]; then
			loop=$(attach mnt/vol)
			mount "$loop" fs
		fi
	done

	[ ! -e fs/mark ] || die "what was written to a snapshot is in its origin"
	sums_of fs/tree | cmp - sums
	umount fs
	check "$kind" "$loop"
	detach "$loop"
	rm mnt/vol mnt/live mnt/frozen
}
