#!/bin/bash
# A host links us into its own program: the shared libraries show the names that
# the public headers declare, each with a version, and nothing else, and the
# static ones can collide with nobody.
set -euo pipefail
lib=${BUILD_ROOT:?}/src
include=${SOURCE_ROOT:?}/include/thinpool
mapfile -t headers < <(printf '%s\n' "$include"/*.h | grep -v '/simulator\.h$')

# A name that an instrumented build adds (__gcov_, __asan_, ...) is not ours.
strangers() { awk 'NF == 3 { print $3 }' | grep -vE "$1" | grep -vE '^(__|_fini|_init|mangle_path)' || true; }

# declared HEADER...: the functions in them.
declared() {
	python3 - "$@" <<'PY'
import re, sys
for path in sys.argv[1:]:
    text = re.sub(r'/\*.*?\*/|^\s*#.*?(?<!\\)$', '', open(path).read(), flags=re.S | re.M)
    text = re.sub(r'static inline [^;]*?\n}', '', text, flags=re.S)
    for name in re.findall(r'^[a-z][\w \t\n*]*?[ *](tp_\w+)\(', text, flags=re.M):
        print(name)
PY
}

# check_shared FILE NODE HEADER...: it shows what they declare, as of NODE or later.
check_shared() {
	local file=$1 node=$2 shown
	shift 2
	[ -f "$file" ] || return 0
	shown=$(nm -D --defined-only "$file" | strangers "^(tp_[a-z0-9_]*@@)?${node}_[0-9.]+\$")
	[ -z "$shown" ] || { echo "$file also shows: $shown"; exit 1; }
	diff <(declared "$@" | sort -u) \
		<(nm -D --defined-only "$file" | sed -n 's/.* T \(tp_[a-z0-9_]*\)@@.*/\1/p' | sort) ||
		{ echo "<: declared, >: shown by $file"; exit 1; }
}

check_static() {
	local names
	names=$(nm -g --defined-only "$1" 2>/dev/null | strangers '^tpi?_')
	[ -z "$names" ] || { echo "$1 also shows: $names"; exit 1; }
}

for shared in "$lib"/libthinpool.so.*.*.*; do
	check_shared "$shared" LIBTHINPOOL "${headers[@]}"
done
check_static "$lib/libthinpool.a"

simulator=$lib/simulator/libthinpool-simulator
for shared in "$simulator".so.*.*.*; do
	check_shared "$shared" LIBTHINPOOL_SIMULATOR "$include/simulator.h"
done
check_static "$simulator.a"

# Both may be linked statically into one program: no name is in both.
twice=$(nm -g --defined-only "$lib/libthinpool.a" "$simulator.a" 2>/dev/null |
	strangers '^$' | sort | uniq -d)
[ -z "$twice" ] || { echo "in both libraries: $twice"; exit 1; }
