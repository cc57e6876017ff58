# shellcheck shell=bash
# Sourced by the shell tests of whatever serves a pool.
skip() { echo "skipped: $*"; exit 77; }
needs() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "there is no $tool"
	done
}

# Wait until a command succeeds, for a minute.
await() {
	local i
	for ((i = 0; i < 600; i++)); do
		! "$@" || return 0
		sleep 0.1
	done
	return 1
}
