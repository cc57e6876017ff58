#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# trim: the data file of a pool takes no more than what is in use.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 16M
thinpool volume create pool v --size 4M >out
head -c 4M /dev/urandom >random
thinpool write pool v 0 <random

# As if another program had used the rest, and freed it without a word.
head -c 8M /dev/urandom |
	dd of=pool/data bs=1M seek=8 conv=notrunc iflag=fullblock status=none
[ "$(takes pool/data)" -gt 12000 ] || die "the file takes $(takes pool/data) KiB"
free=$(json 'd["data_block_size"] * (d["data_blocks"] - d["used_data_blocks"])' status pool)
same "$(json 'd["trimmed_bytes"]' trim pool)" "$free"
[ "$(takes pool/data)" -lt 6000 ] || die "$(takes pool/data) KiB are left"
same "$(stat -c %s pool/data)" $((16 << 20))
thinpool read pool v 0 4M | cmp - random

thinpool volume delete pool v
thinpool trim pool | grep -qx "[0-9.]*M trimmed" || die "no word of it"
[ "$(takes pool/data)" -lt 2048 ] || die "$(takes pool/data) KiB are left"
fails 1 "there is no" trim nowhere
fails 2 "" trim pool more
