# shellcheck shell=bash
# Sourced by the tests of the nbdkit plugin.  NBD_PLUGIN is the plugin to be
# tested, THINPOOL the command (meson sets them).
#
# Each test serves pools in a directory of its own, on sockets in it.
[ -n "${NBD_PLUGIN-}" ] || { echo "skipped: NBD_PLUGIN does not name a plugin"; exit 77; }
NBD_PLUGIN=$(realpath -- "$NBD_PLUGIN")
here=$(realpath -- "$(dirname "${BASH_SOURCE[0]}")")
. "$here/../tools/support.sh"
. "$here/../support/shell.sh"

needs nbdkit nbdinfo nbdcopy

# A python that has libnbd: the system's, where there are others.
needs_libnbd() {
	for python in python3 /usr/bin/python3; do
		! $python -c 'import nbd' 2>/dev/null || return 0
	done
	skip "there is no libnbd for python"
}

# An instrumented plugin wants its instrument in the program that loads it.
# What leaks is nbdkit's own, of connections that it does not close when it ends.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
instrument=$(ldd "$NBD_PLUGIN" | awk '/lib[at]san/ { print $3; exit }')
nbdkit() { LD_PRELOAD=$instrument command nbdkit "$@"; }

pid=
clean_up() {
	local rc=$?
	trap - ERR EXIT
	set +e
	# shellcheck disable=SC2046
	kill -9 $(cat pid ./*.pid 2>/dev/null) 2>/dev/null
	# shellcheck disable=SC2046
	kill $(jobs -p) 2>/dev/null
	wait 2>/dev/null
	[ $rc = 0 ] || [ $rc = 77 ] || [ ! -s "$dir/server.log" ] || cat "$dir/server.log" >&2
	cd /
	rm -rf "$dir"
	exit $rc
}
trap clean_up EXIT

#---------------------------- the server --------------------------------------

# uri [EXPORT] [SOCKET]
uri() { echo "nbd+unix:///${1-}?socket=$dir/${2-socket}"; }

# serve ARG...: pool=..., and what else nbdkit is to be told; its process is $pid.
# With FILE_LIMIT it cannot write beyond so many KiB of any file.
serve() {
	rm -f pid socket
	(
		[ -z "${FILE_LIMIT-}" ] || { trap '' XFSZ && ulimit -f "$FILE_LIMIT"; }
		LD_PRELOAD=$instrument exec nbdkit -f -U "$dir/socket" -P "$dir/pid" "$@" 2>>server.log
	) &
	pid=$!
	await serving || die "it does not come up: $(cat server.log)"
}
serving() {
	kill -0 "$pid" 2>/dev/null || die "it ended: $(cat server.log)"
	[ -s pid ]
}
ended() { ! kill -0 "$pid" 2>/dev/null; }

# Its exit status counts: sanitizers tell by it.
stop() {
	local rc=0
	kill "$pid"
	await ended || die "it does not end"
	wait "$pid" || rc=$?
	rm -f pid socket
	[ $rc = 0 ] || die "nbdkit exits with $rc: $(cat server.log)"
}

# As a power cut is to the process; the pool's files stay what they are.
kill_server() {
	kill -9 "$pid"
	wait "$pid" 2>/dev/null || true
	rm -f pid
}

# refuses PATTERN ARG...: nbdkit does not start, and says why in one line.  (With
# the address sanitizer in it nbdkit does not end after any message that strerror
# had a part in, whatever the plugin.)
refuses() {
	local pattern=$1
	shift
	if LD_PRELOAD=$instrument timeout 60 nbdkit -U "$dir/refused" -P "$dir/refused.pid" "$@" >out 2>err </dev/null; then
		die "'nbdkit $*' starts"
	fi
	[ "$(wc -l <err)" = 1 ] || die "'nbdkit $*' says not one line but: $(cat err)"
	grep -q -- "$pattern" err || die "'nbdkit $*' says: $(cat err)"
}

# logged PATTERN: perhaps in a moment, for it takes connections before it is ready.
logged() { await grep -q -- "$1" server.log || die "the server says: $(cat server.log)"; }

#---------------------------- asking ------------------------------------------

# exported PYTHON [EXPORT]: an expression of what nbdinfo tells of an export.
exported() {
	nbdinfo --no-content --json "$(uri "${2-}")" |
		python3 -c "import json, sys; e = json.load(sys.stdin)['exports'][0]; print($1)"
}

# check_pool [POOL]: two oracles find nothing wrong with the metadata.
check_pool() {
	python3 "${METADATA_VERIFY:-$here/../oracles/metadata-verify}" "${1-pool}/metadata" >verify.out ||
		die "metadata-verify: $(cat verify.out)"
	if command -v thin_check >/dev/null; then
		thin_check -q "${1-pool}/metadata" || die "thin_check finds something"
	fi
}

random() { head -c "$1" /dev/urandom; }
sum() { sha256sum | cut -d' ' -f1; }
