# shellcheck shell=bash
# Sourced by the tests of this folder.  POOL_TOOL is the path of pool-tool, and
# METADATA_VERIFY and KERNEL_DM_THIN name the oracles (meson sets all three).
# A test works in a directory of its own, on the files 'metadata' and 'data'.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C

[ -n "${POOL_TOOL-}" ] || { echo "skipped: POOL_TOOL does not name a program"; exit 77; }
interop=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
oracles=$interop/../oracles
pool_tool=$(realpath -- "$POOL_TOOL")
verify=${METADATA_VERIFY:-$oracles/metadata-verify}
kernel=${KERNEL_DM_THIN:-$oracles/kernel-dm-thin}

for program in thin_check thin_dump thin_restore python3; do
	command -v $program >/dev/null || { echo "skipped: no $program"; exit 77; }
done

dir=$(mktemp -d)
trap 'rc=$?; rm -rf "$dir"; [ $rc = 0 ] || [ $rc = 77 ] || echo "failed in: ${step-}" >&2' EXIT
cd "$dir"

step() { step=$*; echo "- $*"; }
die() { printf 'line %s: %s\n' "${BASH_LINENO[1]}" "$*" >&2; exit 1; }
same() { [ "$1" = "$2" ] || die "not the same: '$1' and '$2'"; }

# With ORIGIN, a file, as the external origin of every volume.
tool() { "$pool_tool" ${ORIGIN:+--origin "$ORIGIN"} metadata data "$@"; }
status() { tool status | sed -n "s/^$1=//p"; }

# blank_pool METADATA_SIZE DATA_SIZE; new_pool METADATA_SIZE DATA_SIZE BLOCK_SECTORS
blank_pool() {
	rm -f metadata data
	truncate -s "$1" metadata
	truncate -s "$2" data
}
new_pool() {
	blank_pool "$1" "$2"
	tool format "$3"
}

# What thin_dump shows, in the words of 'pool-tool map-dump' and 'list'.
dumped_mappings() {
	thin_dump "$@" | awk -F'"' '
		/<device /         { dev = $2 }
		/<single_mapping / { print dev, $2, $4 }
		/<range_mapping /  { for (i = 0; i < $6; i++) print dev, $2 + i, $4 + i }'
}
dumped_thins() { thin_dump "$1" | awk -F'"' '/<device / { print $2, $4, $6, $8, $10 }'; }
verified_mappings() { "$verify" --dump "$@" | cut -d' ' -f1-3; }

# sound [VERIFY_OPTION]: the checkers find nothing.
sound() {
	thin_check -q metadata || die "thin_check: $(thin_check metadata 2>&1)"
	if [ -n "${THINPOOL-}" ]; then
		"$THINPOOL" check metadata >check.log 2>&1 || die "thinpool check: $(cat check.log)"
	fi
	"$verify" "$@" metadata || die "metadata-verify exits with $?"
}

# agrees [VERIFY_OPTION]: the metadata is sound, all read it alike, and to look
# at it changes nothing.
agrees() {
	local before
	before=$(sha256sum <metadata)
	sound "$@"
	tool map-dump >ours
	dumped_mappings metadata | cmp - ours
	verified_mappings metadata | cmp - ours
	tool list >ours.thins
	dumped_thins metadata | cmp - ours.thins
	"$pool_tool" --read-only metadata data map-dump | cmp - ours
	same "$(sha256sum <metadata)" "$before"
}

# hash ID SECTORS
hash() { tool read "$1" 0 "$2" | sha256sum | cut -d' ' -f1; }

# hashes SECTORS ID...: 'ID hash', a line each
hashes() {
	local sectors=$1 id
	shift
	for id in "$@"; do echo "$id $(hash "$id" "$sectors")"; done
}
