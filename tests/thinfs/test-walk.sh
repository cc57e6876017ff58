#!/bin/bash
# A random walk over files, beside a model in memory.  SEED replays it.
. "$(dirname "$0")/support.sh"
seed=${SEED:-$RANDOM}
echo "SEED=$seed"

thinpool create pool --size 128M
mount_pool
python3 "$here/walk.py" mnt "${WALK_SECONDS:-8}" "$seed"
before=$(cd mnt && sha256sum -- *)
remount_pool
same "$(cd mnt && sha256sum -- *)" "$before"
unmount_pool
check_pool
