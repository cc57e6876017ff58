#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# check: what it says of a sound pool, of a leak, and of worse; what it is told to
# set right; and that it changes nothing otherwise (TOL-01).
. "$(dirname "$0")/support.sh"

# poke FILE OFFSET BYTES: block FILE's bytes at OFFSET, then the checksum of the
# superblock is right again.
poke() {
	python3 - "$@" <<'PYTHON'
import struct, sys
table = list(range(256))
for _ in range(8):
    table = [c >> 1 ^ (c & 1) * 0x82F63B78 for c in table]
with open(sys.argv[1], "r+b") as f:
    block = bytearray(f.read(4096))
    at, new = int(sys.argv[2]), bytes.fromhex(sys.argv[3])
    block[at:at + len(new)] = new
    crc = 0xFFFFFFFF
    for byte in block[4:]:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    block[0:4] = struct.pack("<I", crc ^ 160774)
    f.seek(0)
    f.write(block)
PYTHON
}
unchanged() { sha256sum --quiet -c before || die "it was changed"; }

thinpool create pool --size 16M
thinpool volume create pool v --size 32M >out
head -c 3M /dev/urandom | thinpool write pool v 0
thinpool snapshot pool v s >out
sha256sum pool/metadata pool/data >before

# Sound.
thinpool check pool >out
grep -q "2 volumes, 96 mappings" out || die "$(cat out)"
grep -q "is sound" out || die "$(cat out)"
same "$(json 'd["clean"], d["findings"], d["mappings"]' check pool)" "True [] 96"
thinpool check pool --quiet >out 2>err
[ ! -s out ] && [ ! -s err ] || die "not quiet"
thinpool check --repair --clear-needs-check pool >out
unchanged

# The metadata by itself, wherever it is.
thinpool check pool/metadata | grep -q "is sound" || die "no verdict"
cp pool/metadata alone
thinpool check alone | grep -q "is sound" || die "no verdict"
fails 1 "cannot open" check nowhere

# needs_check keeps the pool from being written.
poke pool/metadata 4 01000000
thinpool check pool >out
grep -q "^warning: .*needs-check" out || die "$(cat out)"
grep -q -- "--clear-needs-check" out || die "$(cat out)"
same "$(json 'd["mode"]' status pool)" read-only
thinpool check pool --clear-needs-check | grep -q "was cleared" || die "it was not cleared"
same "$(json 'd["mode"]' status pool)" write
thinpool check pool --json | grep -q '"needs_check": false' || die "it is set"

# A leak: 7 more data blocks in use than there are references to, so they say.
sha256sum pool/data >before
poke pool/metadata 72 37000000
rc=0
thinpool check pool >out 2>err || rc=$?
same $rc 1
grep -q "^leak: .*nr-allocated" out || die "$(cat out)"
grep -q "thinpool check --repair" err || die "$(cat err)"
same "$(wc -l <err)" 1
same "$(json 'd["worst"], [f["kind"] for f in d["findings"]]' check pool 2>err || :)" \
	"leak ['nr-allocated']"
thinpool check pool --repair >out
grep -q "were repaired" out || die "$(cat out)"
thinpool check pool | grep -q "is sound" || die "no verdict"
unchanged

# Worse: the root of the details leads nowhere.  Nothing is repaired.
cp -r pool broken
poke broken/metadata 328 ffff000000000000
sha256sum broken/metadata >before
rc=0
thinpool check broken --repair --clear-needs-check >out 2>err || rc=$?
same $rc 1
grep -q "^corruption: block 65535, details tree: .*pointer" out || die "$(cat out)"
grep -q "is not sound" err || die "$(cat err)"
thinpool check broken --json >out 2>err || :
python3 - out <<'PYTHON'
import json, sys
d = json.load(open(sys.argv[1]))
f = d["findings"][0]
assert (f["severity"], f["kind"], f["block"], f["thin"]) == ("corruption", "pointer", 65535, None), f
assert not d["clean"] and d["corruptions"] >= 1
PYTHON
unchanged

# No pool at all.
truncate -s 1M nothing
rc=0
thinpool check nothing >out 2>err || rc=$?
same $rc 1
grep -q "^fatal: .*not-formatted" out || die "$(cat out)"
