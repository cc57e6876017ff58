#!/bin/bash
# A host links us into its own program: the shared library shows tp_ names and
# nothing else, and the static one can collide with nobody.
set -euo pipefail
lib=${BUILD_ROOT:?}/src

# A name that an instrumented build adds (__gcov_, __asan_, ...) is not ours.
strangers() { awk 'NF == 3 { print $3 }' | grep -vE "$1" | grep -vE '^(__|_fini|_init|mangle_path)' || true; }

for shared in "$lib"/libthinpool.so.*.*.*; do
	[ -f "$shared" ] || continue
	nm -D --defined-only "$shared" | awk 'NF == 3 { print $3 }' | grep -q '^tp_version$' ||
		{ echo "$shared does not show tp_version"; exit 1; }
	names=$(nm -D --defined-only "$shared" | strangers '^tp_')
	[ -z "$names" ] || { echo "$shared also shows: $names"; exit 1; }
done
names=$(nm -g --defined-only "$lib/libthinpool.a" 2>/dev/null | strangers '^tpi?_')
[ -z "$names" ] || { echo "libthinpool.a also shows: $names"; exit 1; }
