#!/bin/bash
# A file system in a volume, through a loop device: made, used, trimmed, its
# snapshots mounted, checked.
. "$(dirname "$0")/support.sh"
. "$here/file-system.sh"
needs_kind ext4

mkdir fs snap
tree=$here/..
thinpool create pool --size 512M
mount_pool
use_file_system ext4 256M 20
unmount_pool
check_pool
