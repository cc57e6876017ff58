#!/bin/bash
# Can the oracle fail?  Each patch in planted/ plants one mistake in the engine.
# Its first line tells which, its second how the simulator has to find it; and in
# the engine as it is nothing may be found by as many seeds.
#
#	planted-bugs.sh [NAME]...	these bugs; default: all
#
# What is built is a copy of the tree, in build-planted/, bug after bug in one
# build directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
tree=$root/build-planted/tree build=$root/build-planted/build

die() { echo "planted-bugs: $*" >&2; exit 1; }

# The tree as it is on disk; build directories have their own.
copy_tree() {
	rm -rf "$root/build-planted"
	mkdir -p "$tree"
	tar -c --exclude='./build*' --exclude=./.git . | tar -x -C "$tree"
	meson setup "$build" "$tree" -Dwerror=false >"$root/build-planted/setup.log" ||
		die "the copy cannot be configured, see build-planted/setup.log"
}

compile() {
	ninja -C "$build" tests/simulate >"$root/build-planted/ninja.log" ||
		die "$1 cannot be built, see build-planted/ninja.log"
}

change() { patch -d "$tree" -p1 -F0 --no-backup-if-mismatch -s "$@"; }

# simulate LOG ARG...: the seed that failed, if any, is in $found.
simulate() {
	local log=$1
	shift
	found=
	! "$build/tests/simulate" "$@" >"$log" 2>&1 </dev/null || return 0
	found=$(sed -n 's/^seed \([0-9]*\) FAILED: .*/\1/p' "$log" | head -1)
	[ -n "$found" ] || die "the simulator broke down, see $log"
}

# hunt NAME: plant it, find it, take it out again.
hunt() {
	local patch=$root/tests/simulator/planted/$1.patch log=$root/build-planted/$1.log
	local start=$SECONDS options
	[ -f "$patch" ] || die "there is no bug named $1"
	read -ra options < <(sed -n '2s/^simulate //p' "$patch")
	change <"$patch" || die "$1.patch does not fit the engine any more: plant the bug anew"
	compile "$1"
	simulate "$log" "${options[@]}"
	change -R <"$patch"
	if [ -n "$found" ]; then
		printf '%-24s seed %s, %d s: %s\n' "$1" "$found" $((SECONDS - start)) \
			"$(sed -n 's/^seed [0-9]* FAILED: //p' "$log" | head -1)"
	else
		printf '%-24s NOT FOUND by %s, %d s.  %s\n' "$1" "${options[*]}" \
			$((SECONDS - start)) "$(head -1 "$patch")"
		missed=$((missed + 1))
	fi
}

names=("$@")
[ $# -gt 0 ] || for patch in tests/simulator/planted/*.patch; do
	name=${patch##*/}
	names+=("${name%.patch}")
done

copy_tree
missed=0 most=2
for name in "${names[@]}"; do
	hunt "$name"
	[ "${found:-0}" -le "$most" ] || most=$found
done

compile "the engine as it is"
for faults in none some; do
	simulate "$root/build-planted/right.log" --seeds "$most" --faults=$faults
	[ -z "$found" ] || die "the engine as it is fails, too, see build-planted/right.log"
done
echo "${#names[@]} bugs, $missed not found; without them $most seeds are right"
[ $missed = 0 ]
