#!/bin/bash
# fio finds what it wrote, with many requests in flight; also on the server that
# comes after, and not on another volume.
. "$(dirname "$0")/support.sh"
. "$here/fio.sh"

thinpool create pool --size 64M >out
for volume in a b c; do thinpool volume create pool $volume --size 3M >out; done
serve "$NBD_PLUGIN" pool
fio_write 3M
stop
check_pool
serve "$NBD_PLUGIN" pool
fio_read 3M
stop

random 4K | thinpool write pool b 1M
serve "$NBD_PLUGIN" pool
! (fio_read 3M) 2>err || die "fio does not find what was damaged"
stop
