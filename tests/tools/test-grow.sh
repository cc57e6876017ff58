#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# grow, check, and what works on files that cannot be written.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 16M
thinpool volume create pool v --size 32M >out
head -c 20M /dev/urandom >random
rc=0
thinpool write pool v 0 <random 2>err || rc=$?
same $rc 1
same "$(wc -l <err)" 1
grep -q "thinpool grow" err || die "$(cat err)"

fails 1 "cannot shrink" grow pool --size 8M
thinpool grow pool --size 64M --metadata-size 8M
same "$(stat -c %s pool/data)" $((64 << 20))
same "$(json 'd["data_blocks"]' status pool)" 1024
same "$(json 'd["metadata_blocks"]' status pool)" 2048
same "$(json 'd["mode"]' status pool)" write
thinpool write pool v 0 <random
thinpool read pool v 0 20M | cmp - random

# What its files have become.
truncate -s 80M pool/data
thinpool grow pool
same "$(json 'd["data_blocks"]' status pool)" 1280
thinpool grow pool

if command -v thin_check >/dev/null; then
	thinpool check pool | grep -q "is sound" || die "no verdict"
	same "$(json 'd["clean"]' check pool)" True

	cp -r pool broken
	printf 'x' | dd of=broken/metadata bs=1 seek=200 conv=notrunc status=none
	rc=0
	thinpool check broken >out 2>err || rc=$?
	same $rc 1
	grep -q "not sound" err || die "$(cat err)"
	fails 1 "cannot open pool broken" status broken
fi
fails 1 "cannot open" check nowhere

# Nobody can write these, not even root: another mount would be needed for that,
# so ask for what was opened instead.
chmod a-w pool/metadata pool/data
sha256sum pool/metadata pool/data >before
thinpool status pool >out
thinpool list pool >out
thinpool map pool v >out
thinpool read pool v 0 20M | cmp - random
thinpool export pool v copy
cmp -n $((20 << 20)) copy random
sha256sum --quiet -c before
if [ "$(id -u)" != 0 ]; then
	fails 1 "cannot open" write pool v 0
fi
