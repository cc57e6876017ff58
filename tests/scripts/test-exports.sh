#!/bin/bash
# A host links us into its own program: the shared libraries show tp_ names and
# nothing else, and the static ones can collide with nobody.
set -euo pipefail
lib=${BUILD_ROOT:?}/src

# A name that an instrumented build adds (__gcov_, __asan_, ...) is not ours.
strangers() { awk 'NF == 3 { print $3 }' | grep -vE "$1" | grep -vE '^(__|_fini|_init|mangle_path)' || true; }

# check_shared FILE NAME PATTERN: it shows NAME, and only what PATTERN matches.
check_shared() {
	local names
	[ -f "$1" ] || return 0
	nm -D --defined-only "$1" | awk 'NF == 3 { print $3 }' | grep "^$2\$" >/dev/null ||
		{ echo "$1 does not show $2"; exit 1; }
	names=$(nm -D --defined-only "$1" | strangers "$3")
	[ -z "$names" ] || { echo "$1 also shows: $names"; exit 1; }
}

check_static() {
	local names
	names=$(nm -g --defined-only "$1" 2>/dev/null | strangers '^tpi?_')
	[ -z "$names" ] || { echo "$1 also shows: $names"; exit 1; }
}

for shared in "$lib"/libthinpool.so.*.*.*; do
	check_shared "$shared" tp_version '^tp_'
done
check_static "$lib/libthinpool.a"

simulator=$lib/simulator/libthinpool-simulator
for shared in "$simulator".so.*.*.*; do
	check_shared "$shared" tp_simulator_new '^tp_'
done
check_static "$simulator.a"

# Both may be linked statically into one program: no name is in both.
twice=$(nm -g --defined-only "$lib/libthinpool.a" "$simulator.a" 2>/dev/null |
	strangers '^$' | sort | uniq -d)
[ -z "$twice" ] || { echo "in both libraries: $twice"; exit 1; }
