#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# 'map --picture' draws all of the data device, as SVG that parses: a cell for
# each block in use, in its volume's colour, with a dot where it is shared.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 32M
thinpool volume create pool base --size 16M >/dev/null
head -c 2M /dev/urandom | thinpool write pool base 0
thinpool snapshot pool base 'a<b & "c"' >/dev/null
head -c 1M /dev/urandom | thinpool write pool base 1M

# count TAG: in the picture.  It has the namespace of SVG.
count() {
	python3 - "$1" <<'PY'
import sys, xml.etree.ElementTree as tree
print(len(tree.parse("out.svg").findall(".//{http://www.w3.org/2000/svg}" + sys.argv[1])))
PY
}

thinpool map pool --picture out.svg
same "$(count title)" 48  # 32 blocks, of which 16 are copied
same "$(count circle)" 16 # are still shared
grep -qF 'a&lt;b &amp; "c"' out.svg || die "the name is not in the legend"
thinpool map pool --picture - >piped.svg
cmp out.svg piped.svg

# More blocks than cells: a cell stands for several.
thinpool create large --size 8G
thinpool volume create large v --size 1G >/dev/null
head -c 1M /dev/zero | tr '\0' x | thinpool write large v 0
thinpool map large --picture out.svg
grep -q "a cell is 32 blocks" out.svg || die "$(head -3 out.svg)"
same "$(count title)" 1

fails 1 "cannot make" map pool --picture no/such/place.svg
fails 1 "cannot write" map pool --picture /dev/full
fails 2 "goes with no other option" map pool --picture out.svg --json
fails 2 "wants a value" map pool --picture
fails 2 "too many words" map pool base --picture out.svg
