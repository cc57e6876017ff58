#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# Making pools: in a directory, on files that are there, and not over something.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 1G
same "$(stat -c %s pool/data)" $((1 << 30))
same "$(stat -c %s pool/metadata)" $((4 << 20))
[ "$(takes pool/data)" -lt 64 ] || die "the data file is not sparse"
same "$(json 'd["mode"]' status pool)" write
same "$(json 'd["data_blocks"]' status pool)" $((1 << 14))
same "$(used pool)" 0
same "$(json 'd["volumes"]' list pool)" "[]"
same "$(json 'd["statistics"]["writes"]' status pool)" "{'bios': 0, 'bytes': 0}"
same "$(json 'sum(d["statistics"]["commit_latency"])' status pool)" 0
thinpool status pool | grep -q '^mode  *write$' || die "no mode"

# Never over something.
cp -r pool before
fails 1 "holds a pool" create pool --size 1G
fails 1 "holds a pool" create pool --size 2G
fails 1 "holds a pool" create pool/metadata,other --size 1G
cmp pool/metadata before/metadata
[ ! -e other ] || die "what failed left a file"
echo text >text
fails 1 "holds" create text,other --size 1G
fails 1 "no directory" create text --size 1G

# Sizes of its own.
thinpool create big --size 16G --block-size 1M --metadata-size 8M
same "$(json 'd["data_block_size"]' status big)" $((1 << 20))
same "$(json 'd["metadata_blocks"]' status big)" 2048
thinpool create many --size 64G
same "$(stat -c %s many/metadata)" $((64 << 20))

# On files that are there, as they are.
truncate -s 8M m
truncate -s 256M d
fails 1 "leave out --size" create m,d --size 1G
thinpool create m,d
same "$(json 'd["data_blocks"]' status m,d)" 4096

# What cannot be leaves nothing behind.
fails 1 "say with --size" create none
fails 1 "cannot make the pool" create bad --size 1G --block-size 65K
fails 1 "smaller than one data block" create bad --size 32K
fails 1 "cannot make" create none/pool --size 1G
[ ! -e none ] && [ ! -e bad ] || die "what failed left something"

fails 1 "there is no .*'thinpool create'" status nowhere
mkdir empty
truncate -s 4M empty/metadata empty/data
fails 1 "cannot open pool empty" status empty
fails 1 "cannot open pool empty" volume create empty a --size 1M
fails 1 "cannot open pool" status pool/metadata,pool/metadata
