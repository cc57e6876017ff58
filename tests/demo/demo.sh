#!/bin/bash
# A volume's life, told with the thinpool command and e2fsprogs alone: the
# source tree becomes a file system in a thin volume, is snapshotted twice and
# changed each time; all three must be exactly what they should be, before and
# after the middle one is deleted.
#
#	demo.sh [THINPOOL]
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C

thinpool=$(realpath -- "${1:-build/tools/thinpool}")
here=$(cd "$(dirname "$0")" && pwd)
source_tree=$here/../..
verify=$here/../oracles/metadata-verify
[ -x "$thinpool" ] || { echo "demo: no command at $thinpool" >&2; exit 1; }

rc=0
dir=$(mktemp -d)
trap 'rc=$?; rm -rf "$dir"; [ $rc = 0 ] || echo "demo: that went wrong" >&2' EXIT
cd "$dir"
pool=$dir/pool
start=$SECONDS

say() { printf '\n%s\n' "$*"; }
tell() { printf '  %s\n' "$*"; }
run() { printf '  $ thinpool %s\n' "${*//$dir\//}"; "$thinpool" "$@"; }

# number COMMAND PYTHON: a figure out of a --json report, d.
number() {
	"$thinpool" "$1" --json "$pool" | python3 -c "import json, sys; d = json.load(sys.stdin); print($2)"
}
used() { number status 'd["used_data_blocks"] * d["data_block_size"]'; }
figure() { number list "[v for v in d['volumes'] if v['name'] == '$1'][0]['$2']"; }
# The catalogue of names lies in the pool too, and moves when it changes.
near() { [ $(($1 - $2)) -le 131072 ] && [ $(($2 - $1)) -le 131072 ]; }
human() { numfmt --to=iec-i --suffix=B -- "$1"; }

# differing A B: 'offset length' of every run of 4 KiB blocks of B that A has
# otherwise.
differing() {
	python3 - "$1" "$2" <<'PY'
import sys
a, b = (open(path, "rb") for path in sys.argv[1:])
offset = begin = 0
while True:
    old, new = a.read(4096), b.read(4096)
    if old == new or not new:
        if begin < offset:
            print(begin, offset - begin)
        begin = offset + 4096
        if not new:
            break
    offset += 4096
PY
}

# change NAME DEBUGFS_SCRIPT: edit the file system in a volume, by writing just
# the blocks that come out different.
change() {
	local name=$1 offset length runs=0 bytes=0
	"$thinpool" export "$pool" "$name" before.img
	cp --sparse=always before.img "$name.img"
	debugfs -w -f "$2" "$name.img" >debugfs.log 2>&1
	while read -r offset length; do
		dd if="$name.img" iflag=skip_bytes,count_bytes skip="$offset" count="$length" \
			bs=64K status=none | "$thinpool" write "$pool" "$name" "$offset"
		runs=$((runs + 1)) bytes=$((bytes + length))
	done < <(differing before.img "$name.img")
	[ $runs -gt 0 ] || { echo "nothing changed: $(cat debugfs.log)" >&2; return 1; }
	tell "wrote $(human $bytes) in $runs runs to $name"
}

# exact NAME: the volume is the image NAME.img to the byte, its file system is
# sound, and the files in it are those in NAME.tree.
exact() {
	rm -rf exported.img found
	"$thinpool" export "$pool" "$1" exported.img
	cmp "$1.img" exported.img
	e2fsck -fn exported.img >e2fsck.log 2>&1 || { cat e2fsck.log >&2; return 1; }
	mkdir found
	debugfs -R "rdump / found" exported.img >debugfs.log 2>&1
	rmdir found/lost+found
	diff -r "$1.tree" found
	tell "$1: $(find found -type f | wc -l) files, each as it should be; e2fsck is content"
}

checked() {
	run check "$pool" >check.log || { cat check.log >&2; return 1; }
	thin_check -q "$pool/metadata"
	"$verify" "$pool/metadata"
	tell "our check, thin_check and an independent recount of every reference: nothing amiss"
}

say "1. The source tree as an ext4 image of 64 MiB."
mkdir base.tree
tar -C "$source_tree" --exclude='./build*' --exclude='./.git' --exclude=__pycache__ -cf - . |
	tar -xf - -C base.tree
truncate -s 64M base.img
mke2fs -q -t ext4 -d base.tree base.img
tell "$(find base.tree -type f | wc -l) files, $(human "$(du -sb base.tree | cut -f1)")"

say "2. A pool, and the image in it as the volume 'base'."
run create "$pool" --size 256M
run import "$pool" base base.img
at_first=$(used)
tell "64MiB big, $(human "$at_first") used: holes stay holes"

say "3. A snapshot 'middle', in which README.md goes and two files come."
run snapshot "$pool" base middle
near "$(used)" "$at_first"
tell "the snapshot itself took no space for data"
head -c 2000000 /dev/urandom >noise
echo "This line is in the snapshot only." >note
cat >edit <<'X'
rm /README.md
write note NOTE
write noise NOISE
X
cp -r base.tree middle.tree
rm middle.tree/README.md
cp note middle.tree/NOTE
cp noise middle.tree/NOISE
change middle edit
after_middle=$(used)
tell "$(human $((after_middle - at_first))) more used; the rest is shared with base"

say "4. A snapshot of the snapshot, 'last', with a change of its own."
run snapshot "$pool" middle last
head -c 3000000 /dev/urandom >noise
cat >edit <<'X'
rm /LICENSE
rm /NOISE
write noise NOISE
X
cp -r middle.tree last.tree
rm last.tree/LICENSE
cp noise last.tree/NOISE
change last edit
after_last=$(used)
tell "$(human $((after_last - after_middle))) more used"

say "5. All three are what they should be."
for name in base middle last; do exact $name; done
mapped=0
for name in base middle last; do
	mapped=$((mapped + $(figure $name mapped_bytes)))
	tell "$name maps $(human "$(figure $name mapped_bytes)")," \
		"$(human "$(figure $name exclusive_bytes)") of it its own"
done
tell "three volumes of $(human $mapped) together lie in $(human "$after_last")"
[ "$mapped" -gt "$after_last" ]
checked

say "6. The middle one goes; what only it had comes back."
own=$(figure middle exclusive_bytes)
run volume delete "$pool" middle
after_delete=$(used)
tell "$(human $((after_last - after_delete))) came back"
near $((after_last - after_delete)) "$own"
for name in base last; do exact $name; done
checked

say "Done in $((SECONDS - start)) s: every step was as it should be."
