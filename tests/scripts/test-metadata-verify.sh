#!/bin/bash
# The checker is itself checked: it must find clean what thin_restore made, and
# every kind of damage to it with the right severity.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
verify=$(cd "$(dirname "$0")/../oracles" && pwd)/metadata-verify
command -v thin_restore >/dev/null || { echo "skipped: no thin_restore"; exit 77; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat >pool.xml <<'X'
<superblock uuid="" time="1" transaction="7" flags="0" version="2" data_block_size="128" nr_data_blocks="20000">
  <device dev_id="1" mapped_blocks="901" transaction="0" creation_time="0" snap_time="1">
    <range_mapping origin_begin="0" data_begin="100" length="900" time="0"/>
    <single_mapping origin_block="5000" data_block="17000" time="1"/>
  </device>
  <device dev_id="2" mapped_blocks="900" transaction="0" creation_time="1" snap_time="1">
    <range_mapping origin_begin="0" data_begin="100" length="900" time="0"/>
  </device>
</superblock>
X
truncate -s 8M pool
thin_restore -i pool.xml -o pool >/dev/null

"$verify" --tolerate-restore pool
{
	for device in 1 2; do
		for ((i = 0; i < 900; i++)); do echo "$device $i $((100 + i)) 0"; done
		[ $device = 2 ] || echo "1 5000 17000 1"
	done
} >want
"$verify" --dump pool | cmp - want

PYTHONDONTWRITEBYTECODE=1 python3 - "$verify" <<'PY'
import sys
from importlib.machinery import SourceFileLoader
from struct import pack_into, unpack_from
from subprocess import run

checker = SourceFileLoader("checker", sys.argv[1]).load_module()
original = open("pool", "rb").read()
failures = 0


def u64(block, offset):
    return unpack_from("<Q", original, block * 4096 + offset)[0]


MAPPING_ROOT, DETAILS = u64(0, 320), u64(0, 328)
DATA_INDEX = u64(0, 64 + 16)
DATA_BITMAP = u64(DATA_INDEX, 32 + 8 * 168)
METADATA_INDEX, OVERFLOW = u64(0, 192 + 16), u64(0, 192 + 24)
METADATA_BITMAP = u64(METADATA_INDEX, 16)
TREE = u64(MAPPING_ROOT, 32 + 8 * 252)
LEAF = u64(TREE, 32 + 8 * 252)


def case(name, want, kind, *edits, reseal=True):
    """Change some fields; the checker has to exit with `want` and name `kind`."""
    global failures
    image = bytearray(original)
    for block, layout, offset, value in edits:
        old = image[block * 4096:(block + 1) * 4096]
        pack_into(layout, image, block * 4096 + offset, value)
        new = image[block * 4096:(block + 1) * 4096]
        if reseal:
            salt = unpack_from("<I", old)[0] ^ checker.crc32c(old)
            pack_into("<I", image, block * 4096, checker.crc32c(new) ^ salt)
    open("damaged", "wb").write(image)
    r = run([sys.argv[1], "--tolerate-restore", "damaged"], capture_output=True, text=True)
    if r.returncode != want or f"[{kind}]" not in r.stdout and kind:
        print(f"{name}: exit {r.returncode}, not {want} [{kind}]\n{r.stdout}{r.stderr}")
        failures += 1


LAST_KEY = 32 + 8 * (unpack_from("<I", original, LEAF * 4096 + 16)[0] - 1)

case("a torn node", 2, "checksum", (LEAF, "<Q", 2048, 1), reseal=False)
case("a misplaced node", 2, "blocknr", (LEAF, "<Q", 8, LEAF + 1))
case("version", 2, "superblock", (0, "<I", 40, 3))
case("an incompatible feature", 2, "superblock", (0, "<I", 360, 1))
case("block size", 2, "superblock", (0, "<I", 336, 100))
case("no magic", 3, "", (0, "<Q", 32, 1))
case("needs_check", 0, "needs-check", (0, "<I", 4, 1))
case("pointer outside", 2, "pointer", (MAPPING_ROOT, "<Q", 32 + 8 * 252, 1 << 30))
case("wrong kind of block", 2, "checksum", (MAPPING_ROOT, "<Q", 32 + 8 * 252, DATA_BITMAP))
case("cycle", 2, "depth", (TREE, "<Q", 32 + 8 * 252, TREE))
case("one tree for two devices", 2, "count-low", (MAPPING_ROOT, "<Q", 32 + 8 * 253, TREE))
case("key order", 2, "order", (LEAF, "<Q", 32 + 8, 0))
case("key out of range", 2, "range", (LEAF, "<Q", LAST_KEY, 4999))
case("too many entries", 2, "node", (LEAF, "<I", 16, 253))
case("too few entries", 2, "underfull", (LEAF, "<I", 16, 83))
case("a device without details", 2, "device-set", (DETAILS, "<Q", 32, 0))
case("mapped_blocks", 2, "mapped-blocks", (DETAILS, "<Q", 32 + 8 * 126, 900))
case("data block beyond the end", 2, "data-block", (LEAF, "<Q", 2048, 20000 << 24))
case("time to come", 2, "mapping-time", (LEAF, "<Q", 2048, 100 << 24 | 2))
case("writes into a shared block", 2, "unsafe-sharing", (LEAF, "<Q", 2048, 100 << 24 | 1))
case("mapped twice", 2, "mapped-twice", (LEAF, "<Q", 2048, 101 << 24))
case("data count too low", 2, "count-low", (DATA_BITMAP, "<B", 16 + 25, 0xA9))
case("data leak", 1, "count-high", (DATA_BITMAP, "<B", 16, 2),
     (DATA_INDEX, "<I", 32 + 8 * 168 + 8, 16320 - 901), (0, "<Q", 64 + 8, 902))
case("a three without a count", 2, "overflow", (DATA_BITMAP, "<B", 16 + 25, 0x57))
case("counts beyond the end", 2, "beyond-end", (METADATA_BITMAP, "<B", 16 + 4079, 2))
case("metadata count too low", 2, "count-low", (METADATA_BITMAP, "<B", 16, 0xA8))
case("metadata leak", 1, "count-high", (METADATA_BITMAP, "<B", 16 + 500, 2))
case("nr_free too low", 1, "nr-free", (METADATA_INDEX, "<I", 24, 5))
case("nr_free too high", 2, "nr-free", (METADATA_INDEX, "<I", 24, 16319))
case("nr_allocated", 2, "nr-allocated", (0, "<Q", 64 + 8, 1))
case("a stray overflow key", 2, "overflow", (OVERFLOW, "<I", 16, 1))
case("held root", 2, "held-root", (0, "<Q", 56, LEAF))
sys.exit(1 if failures else 0)
PY

truncate -s 8M zero
for image in zero /dev/null absent; do
	rc=0
	"$verify" $image 2>/dev/null || rc=$?
	[ $rc = 3 ] || { echo "$image: exit $rc, not 3"; exit 1; }
done
