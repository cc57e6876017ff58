#!/bin/bash
# Someone who has only what 'meson install' put there, and pkg-config, can
# build a program, against the shared library and against the static one.
set -euo pipefail
command -v pkg-config >/dev/null || { echo "skipped: no pkg-config"; exit 77; }
# An instrumented library needs its instrument at link time: not a host's case.
if meson introspect --buildoptions "${BUILD_ROOT:?}" |
	python3 -c 'import json, sys
o = {x["name"]: x["value"] for x in json.load(sys.stdin)}
sys.exit(o["b_sanitize"] == "none" and not o["b_coverage"])'; then
	echo "skipped: an instrumented build"
	exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
DESTDIR=$dir/root meson install -C "$BUILD_ROOT" --no-rebuild --quiet >install.log 2>&1 ||
	{ cat install.log; exit 1; }
pc=$(dirname "$(find root -name libthinpool.pc)")
export PKG_CONFIG_PATH=$dir/$pc PKG_CONFIG_SYSROOT_DIR=

# Every public header must stand alone, and be C11 that a strict host accepts, and
# C++11.
flags=(-std=c11 -Wall -Wextra -Wpedantic -Werror)
prefix=(--define-variable=prefix="$dir/root$(pkg-config --variable=prefix libthinpool)")
package() { pkg-config "${prefix[@]}" "$@"; }
read -ra cflags < <(package --cflags libthinpool)
for header in root/*/*/include/thinpool/*.h root/*/include/thinpool/*.h; do
	[ -f "$header" ] || continue
	echo "#include <thinpool/${header##*/}>" >header.c
	gcc "${flags[@]}" "${cflags[@]}" -fsyntax-only header.c
	clang -x c++ -std=c++11 -Wall -Wextra -Werror "${cflags[@]}" -fsyntax-only header.c
done

# Every function has a page in the manual.
man=$(dirname "$(find root -name libthinpool.7)")/../man3
while read -r name; do
	[ -f "$man/$name.3" ] || { echo "no page for $name"; exit 1; }
	page=$(sed -n 's,^\.so man3/,,p' "$man/$name.3")
	grep -q "$name(" "$man/$page" || { echo "$page does not tell of $name"; exit 1; }
done < <(nm -D --defined-only "$(find root -name 'libthinpool.so.*.*.*')" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }')

cat >host.c <<'C'
#include <stdio.h>
#include <thinpool/thinpool.h>

int main(void)
{
	return printf("thinpool %s\n", tp_version()) < 0;
}
C
# The simulator's package brings the library's along.
cat >simulate.c <<'C'
#include <stdio.h>
#include <thinpool/simulator.h>

int main(void)
{
	struct tp_simulator *simulator;

	if (tp_simulator_new(NULL, &simulator))
		return 1;
	tp_simulator_free(simulator);
	return printf("thinpool %s\n", tp_version()) < 0;
}
C
want="thinpool $(pkg-config --modversion libthinpool)"
libdir=$(dirname "$pc")

# build PROGRAM PACKAGE [--static]
build() {
	local cflags libs
	read -ra cflags < <(package --cflags "$2")
	read -ra libs < <(package ${3-} --libs "$2")
	gcc "${flags[@]}" "${cflags[@]}" "$1.c" -o "$1" "${libs[@]}"
}

build host libthinpool
build simulate libthinpool-simulator
export LD_LIBRARY_PATH=$dir/$libdir
[ "$(./host)" = "$want" ]
[ "$(./simulate)" = "$want" ]
ldd ./host | grep libthinpool.so.0 >/dev/null
ldd ./simulate | grep libthinpool-simulator.so.0 >/dev/null

rm "$libdir"/libthinpool*.so*
build host libthinpool --static
build simulate libthinpool-simulator --static
[ "$(./host)" = "$want" ]
[ "$(./simulate)" = "$want" ]
! ldd ./host ./simulate | grep libthinpool >/dev/null || exit 1
echo "$want, shared and static"
