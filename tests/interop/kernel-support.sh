# shellcheck shell=bash
# Sourced by the tests that need the kernel's own dm-thin, in user-mode Linux.

. "$(dirname "${BASH_SOURCE[0]}")/support.sh"

# in_kernel BLOCK_SECTORS: run standard input in it; what it says goes to 'said'.
# Written with the words of pool-tool, for SECTORS sectors a volume; with ORIGIN,
# a file, as the external origin of every volume.
in_kernel() {
	local rc=0
	cat - >script
	cat >words <<-'S'
		activate() { local id; for id; do thin_activate "$id" $SECTORS $BENEATH; done; }
		create() { thin_create "$1"; activate "$1"; }
		snapshot() { thin_snap "$1" "$2"; activate "$1"; }
		write() { thin_pattern "$@"; }
		fill() { thin_fill "$@"; }
		zero() { blkdiscard -z -o $(($2 * 512)) -l $(($3 * 512)) "/dev/mapper/thin-$1"; }
		discard() { thin_discard "$@"; }
		flush() { thin_flush "$1"; }
		delete() { thin_delete "$1"; }
		refused() { ! "$@" 2>refusal || { echo "'$*' succeeds" >&2; exit 1; }; }
		hashes() { local id; for id; do echo "$id $(thin_hash "$id")"; done; }
	S
	{
		echo "SECTORS=$SECTORS BENEATH=${ORIGIN:+/dev/ubdc}"
		cat words script
	} >whole
	mkdir -p out
	"$kernel" --out out ${ORIGIN:+--origin "$ORIGIN"} metadata data "$1" whole >said || rc=$?
	[ $rc != 77 ] || exit 77
	[ $rc = 0 ] || die "the kernel's side exits with $rc"
}

# The same for us.
hashes_here() { hashes "$SECTORS" "$@"; }

# sectors_of ID SECTOR COUNT SEED: each of them is all zeroes, or what 'write'
# with that seed puts there.
sectors_of() {
	tool read "$1" "$2" "$3" | python3 -c '
import sys
sector, seed = int(sys.argv[1]), sys.argv[2]
while content := sys.stdin.buffer.read(512):
    if any(content) and content != b"%-511s\n" % (b"%s %d" % (seed.encode(), sector)):
        sys.exit("sector %d: %r" % (sector, content[:20]))
    sector += 1' "$2" "$4" || die "volume $1"
}
