#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# import and export: to the byte, and sparse both ways (TOL-16).
. "$(dirname "$0")/support.sh"

thinpool create pool --size 256M

# 64 MiB with data at the start, in the middle, and in the last sector, and
# zeroes that are no hole.
head -c 5000K /dev/urandom >random
truncate -s 64M image
dd if=random of=image conv=notrunc status=none
dd if=random of=image conv=notrunc status=none bs=1K seek=20001 count=100
dd if=/dev/zero of=image conv=notrunc status=none bs=1M seek=30 count=4
printf 'the end' | dd of=image conv=notrunc status=none bs=1 seek=$(((64 << 20) - 512))

thinpool import pool v image
same "$(volume pool v size)" $((64 << 20))
mapped=$(volume pool v mapped_bytes)
[ "$mapped" -le $((5376 << 10)) ] || die "holes take space: $mapped"
thinpool export pool v copy
cmp image copy
same "$(stat -c %s copy)" $((64 << 20))
[ "$(takes copy)" -le 5400 ] || die "the copy takes $(takes copy) KiB"

# Streams.
thinpool export pool v - | cmp - image
thinpool import pool piped - <image
thinpool read pool piped 0 64M | cmp - image
cat image | thinpool import pool pipe -
same "$(volume pool pipe size)" $((64 << 20))
thinpool export pool pipe - | cmp - image
[ "$(volume pool pipe mapped_bytes)" -le "$mapped" ] || die "zeroes of a pipe take space"
thinpool volume delete pool piped
thinpool volume delete pool pipe

# A length that is no multiple of 512 is filled up.
head -c 1000 random >odd
thinpool import pool odd odd
same "$(volume pool odd size)" 1024
thinpool export pool odd - | cmp - <(cat odd; head -c 24 /dev/zero)
head -c 1000 random | thinpool import pool odd2 -
same "$(volume pool odd2 size)" 1024

# Over what was there: holes, zeroes and what is behind the end are zero, and
# give back their space.
thinpool volume create pool full --size 64M >out
head -c 64M /dev/zero | tr '\0' x | thinpool write pool full 0
thinpool import pool full image
thinpool export pool full - | cmp - image
[ "$(volume pool full mapped_bytes)" -le $((mapped + (1 << 20))) ] || die "zeroes do not give back space"
thinpool import pool full odd
thinpool export pool full copy
cmp <(cat odd; head -c $(((64 << 20) - 1000)) /dev/zero) copy
fails 1 "only 1024" import pool odd image
same "$(thinpool export pool odd - | sha256sum)" "$( (cat odd; head -c 24 /dev/zero) | sha256sum)"
rc=0
thinpool import pool odd - 2>err < <(cat image) || rc=$?
same $rc 1
grep -q "longer than volume odd" err || die "$(cat err)"

# Blocks that are no power of two, or larger than what is read at once.
for size in 192K 1M 3M; do
	thinpool create "pool-$size" --size 192M --block-size $size
	thinpool volume create "pool-$size" v --size 64M >out
	head -c 64M /dev/zero | tr '\0' x | thinpool write "pool-$size" v 0
	thinpool import "pool-$size" v image
	thinpool export "pool-$size" v - | cmp - image
	[ "$(volume "pool-$size" v mapped_bytes)" -le $((24 << 20)) ] || die "zeroes do not give back space: $size"
	rm -r "pool-$size"
done

# A size of its own.
thinpool import pool large odd --size 1M
same "$(volume pool large size)" $((1 << 20))
fails 1 "leave out --size" import pool large odd --size 2M
fails 1 "has 67108864 bytes and" import pool small image --size 1M

# Snapshots are not touched by what is imported over their origin.
thinpool snapshot pool v s >out
thinpool import pool v odd
thinpool export pool s - | cmp - image

# Over a file that has something already, and what must not be.
thinpool export pool odd copy
same "$(stat -c %s copy)" 1024
fails 1 "the pool itself" export pool v pool/data
fails 1 "the pool itself" export pool v pool/metadata
fails 1 "the pool itself" import pool v pool/data
fails 1 "is a directory" import pool v .
fails 1 "cannot open" import pool v nowhere
fails 1 "cannot open" export pool v nowhere/file
: >empty
fails 1 "is empty" import pool none empty
fails 1 "is empty" import pool none -
fails 1 "thin 99" import pool --id 99 odd
fails 1 'no volume "none"' export pool none copy

rc=0
thinpool export pool s - 2>err >/dev/full || rc=$?
same $rc 1
grep -q "cannot write" err || die "$(cat err)"

# What does not fit fails, and says what to do.
head -c 300M /dev/zero | tr '\0' y >huge
fails 1 "grow" import pool huge huge
thinpool volume delete pool huge
thinpool export pool s - | cmp - image
