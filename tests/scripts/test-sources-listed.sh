#!/bin/bash
# A source file that no meson.build lists is never compiled, and a test that
# none lists never runs; both look like success.
set -euo pipefail
cd "${SOURCE_ROOT:-$(dirname "$0")/../..}"

bad=0
missing() { echo "$1 does not list $2"; bad=1; }

for file in src/*/*.c tools/*.c bench/*.c examples/*/*.c; do
	[ ! -f "$file" ] || grep -qF "'${file##*/}'" "${file%/*}/meson.build" ||
		missing "${file%/*}/meson.build" "${file##*/}"
done
for file in examples/*.c; do
	[ ! -f "$file" ] || grep -qF "'$(basename "$file" .c)'" examples/meson.build ||
		missing examples/meson.build "${file##*/}"
done
for dir in src/*/; do
	grep -qF "subdir('$(basename "$dir")')" src/meson.build ||
		missing src/meson.build "$dir"
done
while read -r file; do
	grep -qF "'$file'" tests/meson.build || missing tests/meson.build "$file"
done < <(cd tests && find . -mindepth 2 -maxdepth 2 \( -name '*.c' -o -name 'test-*.sh' -o \
	-name 'long-*.sh' \) -not -path './fuzz/*' -printf '%P\n')

exit $bad
