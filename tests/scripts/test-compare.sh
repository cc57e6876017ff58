#!/bin/bash
# bench/compare knows its contenders and works, refuses others, leaves out with a
# sentence who is not there, and measures one in small; nothing stays behind.
set -euo pipefail
python=$(python3 -c 'import sys; print(sys.executable)')	# where it is a script that asks for others
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
compare() { "$python" "${SOURCE_ROOT:?}/bench/compare" --dir "$dir/files" --memory-dir "$dir/files" "$@"; }
die() { echo "$*"; exit 1; }

refused() {
	local rc=0
	compare "$@" >"$dir/out" 2>"$dir/err" || rc=$?
	[ $rc = 2 ] || die "'compare $*' exits with $rc: $(cat "$dir/err")"
	[ ! -s "$dir/out" ] || die "'compare $*' goes on"
}

mkdir "$dir/files"
compare --list >"$dir/list"
for name in thin qcow2 nbd-thin nbd-qcow2 thinfs xfs btrfs kernel memory \
	read-1 write-32 break-sharing-32 first-write-64k snapshot; do
	grep -q "^$name  *[^ ]" "$dir/list" || die "--list does not tell $name"
done
refused nobody
refused --work nothing
refused --rounds 0
refused --size 0
refused --seconds 0
refused --unknown

# No command is to be found.
! PATH=$dir/files compare --json nbd-thin xfs kernel >"$dir/absent.json" 2>"$dir/err" || die "nothing was measured, and all is well?"
"$python" - "$dir/absent.json" <<'PY'
import json, sys
told = json.load(open(sys.argv[1]))
assert not told["contenders"], told
assert told["left_out"] == {name: "skipped: there is no fio here" for name in
                            ("nbd-thin", "xfs", "kernel")}, told
PY

if command -v fio >/dev/null && command -v nbdkit >/dev/null &&
	[ -e "${BUILD_ROOT:?}/examples/nbd/nbdkit-thinpool-plugin.so" ] && [ -e "$BUILD_ROOT/tools/thinpool" ]; then
	compare --rounds 1 --size 4 --seconds 0.1 --json \
		--work break-sharing-32 nbd-thin >"$dir/small.json" 2>"$dir/err" || die "$(cat "$dir/err")"
	"$python" - "$dir/small.json" <<'PY'
import json, sys
told = json.load(open(sys.argv[1]))
figure = told["contenders"]["nbd-thin"].pop("break-sharing-32")
assert not told["contenders"]["nbd-thin"] and not told["left_out"], told
assert figure["raw"] > 0 and figure["own"] > 0, told
assert abs(figure["ratio"] * figure["raw"] / figure["own"] - 1) < 1e-6, told
PY
fi
[ -z "$(ls "$dir/files")" ] || die "something was left: $(ls -R "$dir/files")"
