#!/bin/bash
# For a minute fio writes three volumes through, over and over, and finds what it
# wrote; copies that are made meanwhile are of one instant each: two that are made
# on one connection are the same.
. "$(dirname "$0")/support.sh"
. "$here/fio.sh"
needs_libnbd

thinpool create pool --size 512M >out
for volume in a b c; do thinpool volume create pool $volume --size 24M >out; done
serve "$NBD_PLUGIN" pool
SECONDS=0
nr=0
(
	while [ ! -e enough ]; do
		$python - "$(uri a@now)" "$(uri c@now)" <<'PYTHON' || touch failed
import hashlib
import sys
import nbd

def content(h):
    digest = hashlib.sha256()
    for at in range(0, h.get_size(), 1 << 20):
        digest.update(h.pread(1 << 20, at))
    return digest.digest()

for uri in sys.argv[1:]:
    h = nbd.NBD()
    h.connect_uri(uri)
    if content(h) != content(h):
        sys.exit(f"{uri} changes")
    h.shutdown()
PYTHON
		echo >>instants
	done
) &
copier=$!
while [ $SECONDS -lt 60 ]; do
	SEED=$nr fio_write 24M
	nr=$((nr + 1))
done
touch enough
wait $copier
[ ! -e failed ] || die "an instant changes"
echo "$nr times written, $(wc -l <instants) instants of two volumes"
stop
check_pool
serve "$NBD_PLUGIN" pool
fio_read 24M
stop
same "$(names pool)" "a b c"
