#!/bin/bash
# The metadata device begins to fail while the server runs: reads go on, nobody is
# told that something is durable which is not (B-FLUSH-7, F-08), and who connects
# then finds a read-only export.  After a check all is well again.
. "$(dirname "$0")/support.sh"
needs_libnbd

thinpool create pool --size 64M >out
thinpool volume create pool v --size 32M >out
random 1M | thinpool write pool v 0
thinpool volume create pool other --size 32M >out
before=$(thinpool export pool v - | sum)

# Of each file only the first four KiB can be written: the superblock.
FILE_LIMIT=4 serve "$NBD_PLUGIN" pool volume=v
same "$(exported "e['is_read_only']")" False
$python - "$(uri)" "$(uri other)" <<'PYTHON'
import sys
import nbd

def connect(uri):
    h = nbd.NBD()
    h.connect_uri(uri)
    return h

def fails(code, call, *arguments):
    try:
        call(*arguments)
    except nbd.Error as error:
        assert error.errno == code, error
        return
    sys.exit(f"{call.__name__} does not fail")

v, other = connect(sys.argv[1]), connect(sys.argv[2])
content = v.pread(1 << 20, 0)
v.flush()
v.trim(1 << 18, 0)
fails("EIO", v.flush)
fails("EIO", v.flush)  # nor later
assert v.pread(1 << 20, 0) == content, "what was not committed is gone"
other.flush()  # it has lost nothing
fails("EIO", v.pwrite, b"x" * 65536, 1 << 24)
fails("EIO", other.pwrite, b"x" * 65536, 0)
v.trim(1 << 20, 0)  # a hint; nothing is changed any more
assert v.pread(1 << 20, 0) == content
fails("EPERM", connect(sys.argv[1]).pwrite, b"x" * 512, 0)
PYTHON
logged "mode 'read-only'"
same "$(exported "e['is_read_only']")" True
stop

json 'd["needs_check"]' status pool | grep -q True || die "nothing has to be checked"
serve "$NBD_PLUGIN" pool volume=v
logged "needs a check"
same "$(exported "e['is_read_only']")" True
stop
thinpool check pool --clear-needs-check >out
same "$(thinpool export pool v - | sum)" "$before"
serve "$NBD_PLUGIN" pool volume=v
same "$(exported "e['is_read_only']")" False
stop
check_pool
