#!/bin/bash
# The five commands of README.md, exactly as they are there, with a /mnt and a
# /srv of the test's own.
. "$(dirname "$0")/support.sh"
. "$here/file-system.sh"
needs_kind ext4
needs unshare

readme=$here/../../README.md
sed -n '/^## A file system on a snapshot/,/^## The/ s/^    //p' "$readme" >commands
same "$(wc -l <commands)" 5
end=$(sed -n 's/^`\(umount .*\)` ends it.*/\1/p' "$readme")
[ -n "$end" ] || die "how does it end?"

mkdir bin own.mnt own.srv
ln -s "$THINFS" "$THINPOOL" bin
cat >session <<END
set -eux
mount --bind own.mnt /mnt
mount --bind own.srv /srv
$(cat commands)
findmnt -n -o FSTYPE,SIZE /srv >mounted
echo hello >/srv/file
$end
END
PATH=$PWD/bin:$PATH unshare --mount --propagation private bash session >out 2>err || die "$(cat out err)"
grep -qE '^ext4 +9[0-9](\.[0-9]+)?G' mounted || die "what is mounted is $(cat mounted)"

# The file is in the snapshot, and not in its origin.
await eval 'thinpool check pool >/dev/null 2>&1' || die "the pool is not closed"
check_pool
mkdir fs
mount_pool
mount mnt/snapshot fs
same "$(cat fs/file)" hello
umount fs
mount mnt/disk fs
[ ! -e fs/file ] || die "a snapshot's file is in its origin"
umount fs
unmount_pool
