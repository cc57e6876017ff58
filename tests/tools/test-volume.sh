#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# Volumes: make, list, rename, resize, snapshot, delete, by name and by number.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 256M
thinpool volume create pool base --size 1T | grep -q '^base: id 0, 1T$' || die "no report"
same "$(json 'd["id"]' volume create pool 'with space' --size 512)" 1
same "$(json 'd["size"]' volume create pool 'größe' --size 64K)" 65536
same "$(names pool)" "base größe with space"

fails 1 '"base" already' volume create pool base --size 1M
fails 1 "say with --size" volume create pool other
fails 1 "'/'" volume create pool a/b --size 1M
fails 1 "is empty" volume create pool '' --size 1M
fails 1 "'.'" volume create pool . --size 1M
fails 1 "control" volume create pool $'a\nb' --size 1M
fails 1 "not UTF-8" volume create pool $'a\xff' --size 1M
fails 1 "longer" volume create pool "$(printf 'x%.0s' {1..256})" --size 1M
thinpool volume create pool "$(printf 'x%.0s' {1..255})" --size 1M >out
thinpool volume delete pool --id 3
thinpool volume create pool -- -dash --size 1M >out 2>&1 && die "options end at --"
thinpool volume create pool --size 1M -- -dash >out
thinpool volume delete pool -- -dash

thinpool volume rename pool 'with space' small
fails 1 'no volume "with space".*list' volume rename pool 'with space' x
fails 1 '"base" already' volume rename pool small base
thinpool volume resize pool small --size 1M
same "$(volume pool small size)" $((1 << 20))
fails 1 "say with --size" volume resize pool small

head -c 1M /dev/urandom >data
thinpool write pool small 0 <data
same "$(volume pool small mapped_bytes)" $((1 << 20))
# TOL-10: what is mapped, and what of it no other volume has.
same "$(volume pool small exclusive_bytes)" $((1 << 20))
before=$(used pool)

thinpool snapshot pool small snap | grep -q '^snap: id 3, 1M$' || die "no report"
same "$(json 'd["origin_id"]' snapshot pool snap snap2)" 3
same "$(used pool)" "$before"
same "$(volume pool snap origin)" small
same "$(volume pool snap2 origin)" snap
same "$(volume pool snap2 mapped_bytes)" $((1 << 20))
same "$(volume pool small exclusive_bytes)" 0
head -c 64K /dev/zero | tr '\0' x | thinpool write pool snap 128K
same "$(volume pool snap exclusive_bytes)" 65536
same "$(used pool)" $((before + 1))
thinpool list pool | grep -qE '^snap +3 +1M +1M +64K +small$' || die "$(thinpool list pool)"
fails 1 'no volume "none"' snapshot pool none x
fails 1 '"snap" already' snapshot pool small snap

thinpool volume delete pool small
same "$(volume pool snap origin_id)" 1
thinpool volume delete pool snap
fails 1 'no volume "snap"' volume delete pool snap
same "$(names pool)" "base größe snap2"
same "$(used pool)" "$before"
thinpool read pool snap2 0 1M | cmp - data

thinpool volume delete pool --id "$(volume pool snap2 id)"
fails 1 "no thin 77" volume delete pool --id 77
same "$(used pool)" $((before - 16))
