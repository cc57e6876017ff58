#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# read, write, discard and map: bytes at a place.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 64M
thinpool volume create pool v --size 16M >out
head -c 3000K /dev/urandom >data

thinpool write pool v 64K <data
thinpool read pool v 64K 3000K | cmp - data
thinpool read pool v 0 64K | cmp - <(head -c 64K /dev/zero)
thinpool read pool v 65536 512 | cmp - <(head -c 512 data)
thinpool read pool v 16M 0 | cmp - /dev/null
printf '%512s' x | thinpool write pool v 512
thinpool read pool v 0 1536 | cmp - <(head -c 512 /dev/zero; printf '%512s' x; head -c 512 /dev/zero)

fails 1 "multiple of 512" read pool v 100 512
fails 1 "multiple of 512" read pool v 0 100
fails 2 "OFFSET is no size" read pool v x 100
fails 1 "ends at 16777216" read pool v 16M 512
fails 1 "ends at 16777216" read pool v 0 17M
fails 1 "ends at 16777216" read pool v 16384T 512
fails 1 "ends at 16777216" discard pool v 0 17M
fails 1 "ends at" write pool v 17M
fails 1 'no volume "w"' read pool w 0 512

rc=0
head -c 1000 data | thinpool write pool v 0 2>err || rc=$?
same $rc 1
grep -q "no multiple of 512" err || die "$(cat err)"
rc=0
head -c 1M data | thinpool write pool v 15872K 2>err || rc=$?
same $rc 1
grep -q "ends at" err || die "$(cat err)"

# Nothing was written to the wrong place.
thinpool read pool v 64K 3000K | cmp - data

# Whole blocks go, what is left at the ends stays.
before=$(used pool)
thinpool discard pool v 100K 128K
same "$(used pool)" $((before - 1))
thinpool read pool v 128K 64K | cmp - <(head -c 64K /dev/zero)
thinpool read pool v 64K 64K | cmp - <(head -c 64K data)
thinpool discard pool v 0 16M
same "$(json 'd["extents"]' map pool v)" "[]"

head -c 128K data | thinpool write pool v 1M
same "$(json 'len(d["extents"])' map pool v)" 1
same "$(json 'd["extents"][0]["offset"]' map pool v)" $((1 << 20))
same "$(json 'd["extents"][0]["length"]' map pool v)" $((128 << 10))
same "$(json 'd["extents"][0]["shared"]' map pool v)" False
at=$(json 'd["extents"][0]["data_offset"]' map pool v)
cmp -n 65536 -i "$at:0" pool/data data
thinpool snapshot pool v s >out
same "$(json 'd["extents"][0]["shared"]' map pool s)" True
thinpool map pool s | grep -qE '^ +1048576 +131072 +[0-9]+ +yes$' || die "$(thinpool map pool s)"
