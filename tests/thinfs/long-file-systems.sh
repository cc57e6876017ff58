#!/bin/bash
# ext4, xfs and btrfs, each on a pool of small blocks and on one of larger, the
# one through the page cache and the other past it.
LIMIT=1500
. "$(dirname "$0")/support.sh"
. "$here/file-system.sh"
for kind in ext4 xfs btrfs; do needs_kind $kind; done

mkdir fs snap
tree=/usr/share/doc
for way in "64K off" "512K on"; do
	read -r block DIRECT <<<"$way"
	rm -rf pool
	thinpool create pool --size 3G --block-size $block
	mount_pool
	for kind in ext4 xfs btrfs; do use_file_system $kind 1G 100; done
	same "$(ls -A mnt)" ""
	unmount_pool
	check_pool
done
