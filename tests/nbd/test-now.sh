#!/bin/bash
# A volume is copied while it is written: from a snapshot that there was before,
# and as it is now (B-SNAP-3), which leaves nothing behind, not even of a server
# that was killed.
. "$(dirname "$0")/support.sh"
needs_libnbd
size=$((2 << 20))

thinpool create pool --size 64M >out
thinpool volume create pool live --size 16M >out
random 3M | thinpool write pool live 0
thinpool snapshot pool live before >out
before=$(thinpool export pool before - | sum)

serve "$NBD_PLUGIN" pool
$python "$here/now.py" write "$(uri live)" $size >rounds &
writer=$!
await [ -s rounds ] || die "nobody writes"
thinpool_names=$(nbdinfo --list --no-content --json "$(uri)" | grep -o '"export-name": "[^"]*"')
same "$(nbdcopy "$(uri before)" - | sum)" "$before"

rounds=0
for i in 1 2 3 4; do
	nbdcopy "$(uri live@now)" copy
	truncate -s $size copy.head
	dd if=copy of=copy.head bs=$size count=1 conv=notrunc status=none
	$python "$here/now.py" check copy.head $size >round
	[ "$(<round)" -ge "$rounds" ] || die "time goes back: $(<round) after $rounds"
	rounds=$(tail -n 1 rounds)
	same "$(nbdcopy "$(uri before)" - | sum)" "$before"
done

# Whoever is connected keeps its instant, may not write it, and nobody sees it.
! nbdcopy copy "$(uri live@now)" 2>err || die "what is to be read only was written"
same "$(exported "e['is_read_only'], e['can_multi_conn']" live@now)" "True False"
$python - "$(uri live@now)" <<'PYTHON' &
import sys
import time
import nbd

h = nbd.NBD()
h.connect_uri(sys.argv[1])
first = h.pread(2 << 20, 0)
print("connected", flush=True, file=open("connected", "w"))
time.sleep(1)
assert h.pread(2 << 20, 0) == first, "it changes"
open("unchanged", "w").close()
time.sleep(60)
PYTHON
await [ -s connected ] || die "it does not connect"
same "$(nbdinfo --list --no-content --json "$(uri)" | grep -o '"export-name": "[^"]*"')" "$thinpool_names"
await [ -e unchanged ] || die "it changes"

kill_server
wait "$writer" || die "the writer has failed"
names pool | grep -q nbdkit-now || die "the test does not test"
check_pool
serve "$NBD_PLUGIN" pool
! nbdinfo --size "$(uri none@now)" 2>err || die "there is a volume 'none'"
stop
same "$(names pool)" "before live"
same "$(thinpool export pool before - | sum)" "$before"
check_pool
