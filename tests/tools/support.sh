# shellcheck shell=bash
# Sourced by the tests of the thinpool command.  THINPOOL is the path of the
# binary to be tested (meson sets it); without it there is nothing to test.
set -Eeuo pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8

[ -n "${THINPOOL-}" ] || { echo "skipped: THINPOOL does not name a command"; exit 77; }
THINPOOL=$(realpath -- "$THINPOOL")

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR
cd "$dir"

die() { printf 'line %s: %s\n' "${BASH_LINENO[1]}" "$*" >&2; exit 1; }

thinpool() { "$THINPOOL" "$@"; }

# fails STATUS PATTERN ARG...: the command exits with STATUS and says one line on
# standard error, which matches.
fails() {
	local status=$1 pattern=$2 rc=0
	shift 2
	thinpool "$@" >out 2>err </dev/null || rc=$?
	[ $rc = "$status" ] || die "'$*' exits with $rc, not $status: $(cat err)"
	[ "$(wc -l <err)" = 1 ] || die "'$*' says not one line but: $(cat err)"
	grep -q -- "$pattern" err || die "'$*' says: $(cat err)"
	[ ! -s out ] || die "'$*' fails and prints: $(cat out)"
}

same() { [ "$1" = "$2" ] || die "not the same: '$1' and '$2'"; }

# json PYTHON ARG...: an expression of what the command reports with --json.
json() {
	local expression=$1
	shift
	thinpool "$@" --json | python3 -c "import json, sys; d = json.load(sys.stdin); print($expression)"
}
used() { json 'd["used_data_blocks"]' status "$1"; }
# volume POOL NAME FIELD
volume() { json "[v for v in d['volumes'] if v['name'] == '$2'][0]['$3']" list "$1"; }
names() { json '" ".join(v["name"] or "#%d" % v["id"] for v in d["volumes"])' list "$1"; }

# Blocks of 512 bytes that a file takes, as KiB.
takes() { echo $(($(stat -c %b "$1") / 2)); }
