#!/bin/bash
# Reads, writes, flushes, FUA, trims, zeroes, fast zeroes, extents: what each does
# (B-DISC-1, B-WZ-1, B-WZ-3), and what a client is told when space has run out
# (B-OODS-3).
. "$(dirname "$0")/support.sh"
needs_libnbd

thinpool create pool --size 16M >out
thinpool volume create pool v --size 16M >out
thinpool volume create pool large --size 64M >out
serve "$NBD_PLUGIN" pool volume=v
$python "$here/requests.py" "$(uri)"

# What does not fit is refused at once, and a trim makes room.
$python - "$(uri large)" <<'PYTHON'
import sys
import time
import nbd

h = nbd.NBD()
h.connect_uri(sys.argv[1])
piece = b"\7" * (1 << 20)
for at in range(15):  # the names take some blocks too
    h.pwrite(piece, at << 20)
h.flush()
try:
    h.pwrite(piece * 2, 32 << 20)
    sys.exit("more is written than there is")
except nbd.Error as error:
    assert error.errno == "ENOSPC", error
h.pwrite(b"\10" * 512, 512)
h.flush()
h.trim(3 << 20, 1 << 20)
for attempt in range(100):  # it is free when the data device has given it back
    h.flush()
    try:
        h.pwrite(piece * 2, 32 << 20, nbd.CMD_FLAG_FUA)
        break
    except nbd.Error as error:
        assert error.errno == "ENOSPC", error
        time.sleep(0.1)
assert h.pread(2 << 20, 32 << 20) == piece * 2
assert h.pread(4 << 20, 0) == (piece[:512] + b"\10" * 512 + piece[1024:] + bytes(3 << 20))
h.shutdown()
PYTHON
logged "out of data space"
stop
check_pool

# A client that is still there when the server is told to end has lost nothing.
# (The server waits for it to leave.)
serve "$NBD_PLUGIN" pool volume=v
$python - "$(uri)" "$(uri v@now)" <<'PYTHON' &
import os
import sys
import time
import nbd

h, now = nbd.NBD(), nbd.NBD()
h.connect_uri(sys.argv[1])
now.connect_uri(sys.argv[2])
h.pwrite(b"\5" * 65536, 1 << 20)
open("written", "w").close()
while not os.path.exists("leave"):
    time.sleep(0.1)
PYTHON
await [ -e written ] || die "nothing is written"
(sleep 1 && touch leave) &
stop
same "$(thinpool read pool v 1M 64K | sum)" "$(head -c 64K /dev/zero | tr '\0' '\5' | sum)"
same "$(names pool)" "large v"
! grep -q "cannot close" server.log || die "$(cat server.log)"
check_pool
