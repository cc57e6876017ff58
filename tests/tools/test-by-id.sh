#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# A pool that others made: its volumes have numbers only.
. "$(dirname "$0")/support.sh"
command -v thin_restore >/dev/null || { echo "skipped: no thin_restore"; exit 77; }

mkdir pool
truncate -s 64M pool/data
truncate -s 4M pool/metadata
cat >pool.xml <<'XML'
<superblock uuid="" time="0" transaction="7" version="2" data_block_size="128" nr_data_blocks="1024">
  <device dev_id="5" mapped_blocks="2" transaction="3" creation_time="0" snap_time="0">
    <range_mapping origin_begin="1" data_begin="10" length="2" time="0"/>
  </device>
  <device dev_id="9" mapped_blocks="0" transaction="4" creation_time="0" snap_time="0">
  </device>
</superblock>
XML
thin_restore -i pool.xml -o pool/metadata >out
head -c 128K /dev/urandom >random
dd if=random of=pool/data conv=notrunc status=none bs=64K seek=10

same "$(names pool)" "#5 #9"
same "$(json 'd["transaction_id"]' status pool)" 7
same "$(json 'd["volumes"][0]["size"]' list pool)" $((192 << 10))
same "$(json 'd["volumes"][0]["name"]' list pool)" None
thinpool read pool --id 5 64K 128K | cmp - random
thinpool export pool --id 5 copy
same "$(stat -c %s copy)" $((192 << 10))
thinpool export pool --id 5 copy --size 1M
same "$(stat -c %s copy)" $((1 << 20))
same "$(json 'd["extents"][0]["data_offset"]' map pool --id 5)" $((640 << 10))
fails 1 "give --size" read pool --id 9 0 512
thinpool read pool --id 9 0 512 --size 1M | cmp - <(head -c 512 /dev/zero)
fails 1 "no thin 6" read pool --id 6 0 512
fails 2 "--size goes with --id" read pool name 0 512 --size 1M

printf '%512s' x | thinpool write pool --id 9 0 --size 1M
same "$(json 'd["volumes"][1]["size"]' list pool)" 65536
thinpool discard pool --id 9 0 1M --size 1M
fails 1 "no name" volume resize pool --id 9 --size 1M
fails 1 "no name" snapshot pool --id 9 s
fails 1 "how large" volume rename pool --id 9 nine

# A name, and with it a size.
thinpool volume rename pool --id 9 nine --size 2M
thinpool volume rename pool --id 5 five
same "$(names pool)" "five nine"
same "$(volume pool nine size)" $((2 << 20))
same "$(volume pool five size)" $((192 << 10))
fails 1 "volume resize" volume rename pool --id 9 ten --size 1M
thinpool volume rename pool --id 9 ten
thinpool snapshot pool --id 5 s >out
same "$(names pool)" "five s ten"
thinpool export pool s - | tail -c 128K | cmp - random

# Others still understand it.
thin_check -q pool/metadata
thin_dump pool/metadata >dump.xml
grep -q 'dev_id="5" mapped_blocks="2" transaction="3"' dump.xml || die "$(cat dump.xml)"
