#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# One writer, or several readers (TOL-15).
. "$(dirname "$0")/support.sh"
command -v flock >/dev/null || { echo "skipped: no flock"; exit 77; }

thinpool create pool --size 16M
thinpool volume create pool v --size 1M >out

# Somebody writes.
exec 3<pool/metadata
flock -x 3
fails 1 "close what uses it" status pool
fails 1 "close what uses it" write pool v 0
fails 1 "in use" check pool

# Somebody reads.
flock -s 3
thinpool status pool >out
thinpool read pool v 0 512 >out
fails 1 "close what uses it" write pool v 0
fails 1 "close what uses it" volume create pool w --size 1M
flock -u 3
thinpool volume create pool w --size 1M >out
