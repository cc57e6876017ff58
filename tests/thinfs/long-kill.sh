#!/bin/bash
# As test-kill, many times; and with a journalling file system in a volume, of
# which fsck finds nothing wrong after its log was replayed.
LIMIT=1500
. "$(dirname "$0")/support.sh"
. "$here/kill-rounds.sh"
. "$here/file-system.sh"
kill_rounds 40 4 "${SEED:-$RANDOM}"

# kill_file_system KIND: with a file system in the volume, whose own promises
# are checked the same way.
kill_file_system() {
	local loop writer kind=$1
	rm -rf pool journal.*
	thinpool create pool --size 2G
	mount_pool
	: >mnt/vol
	truncate -s 1G mnt/vol
	loop=$(attach mnt/vol)
	make "$kind" "$loop"
	mount "$loop" fs
	cp -a "$here/.." fs/tree
	sync -f fs
	sums_of fs/tree >sums
	(
		for ((i = 0; ; i++)); do
			random 300K >fs/f.$i && sync fs/f.$i && sync fs && sha256sum fs/f.$i >>synced || break
			[ $((i % 7)) != 3 ] || fstrim fs
		done
	) 2>/dev/null &
	writer=$!
	await [ -s synced ] || die "nothing was written"
	sleep 4
	kill_thinfs
	wait $writer || true
	umount fs || umount -l fs
	detach "$loop"
	check_pool
	mount_pool
	loop=$(attach mnt/vol)
	mount "$loop" fs
	sha256sum --quiet -c synced
	sums_of fs/tree | cmp - sums
	umount fs
	check "$kind" "$loop"
	detach "$loop"
	rm synced
	unmount_pool
	check_pool
}

mkdir fs
for kind in ext4 xfs btrfs; do
	needs_kind $kind
	kill_file_system $kind
done
