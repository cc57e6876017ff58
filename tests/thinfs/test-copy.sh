#!/bin/bash
# copy_file_range: as much of a snapshot as was asked for, byte by byte where it
# cannot be one, and the same content in any case.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 256M
mount_pool
cat >copy.py <<'PY'
# copy.py FROM TO (OFFSET LENGTH [TO-OFFSET])...: until each is done.
import os, sys
a = os.open(sys.argv[1], os.O_RDONLY)
b = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT, 0o600)
for piece in sys.argv[3:]:
    if piece.startswith('!'):
        os.system(piece[1:])
        continue
    at, left, *to = map(int, piece.split(','))
    to = to[0] if to else at
    while left:
        n = os.copy_file_range(a, b, left, at, to)
        if not n: break
        at, to, left = at + n, to + n, left - n
PY
copy() { python3 copy.py "$@"; }
M=$((1 << 20))

random 8M >one
cp one mnt/v
truncate -s 5G mnt/v
random 2M | dd of=mnt/v bs=1M seek=4500 conv=notrunc status=none

# All at once, and in pieces: no space, little time.
before=$(free_bytes)
SECONDS=0
copy mnt/v mnt/whole 0,$((5120 * M))
copy mnt/v mnt/pieces 0,$((8 * M)) $((4500 * M)),$((2 * M))
truncate -s 5G mnt/pieces
[ $SECONDS -lt 10 ] || die "it took $SECONDS s"
same "$(free_bytes)" "$before"
for copy in whole pieces; do
	same "$(size mnt/$copy)" $((5120 * M))
	same "$(xattr mnt/$copy origin) $(xattr mnt/$copy shared)" "v $((10 * M))"
	cmp one <(slice mnt/$copy 0 8M)
	cmp <(slice mnt/v 4400M 200M) <(slice mnt/$copy 4400M 200M)
done

# Only a part: the rest is not there, whatever is done then.
copy mnt/v mnt/part 0,$((3 * M))
same "$(size mnt/part) $(blocks mnt/part)" "$((3 * M)) 6144"
truncate -s 8M mnt/part
cmp mnt/part <(slice one 0 3M; zeroes 5M)
copy mnt/v mnt/part2 0,100352 "!printf x | dd of=mnt/part2 bs=1 seek=$((5 * M)) conv=notrunc status=none"
cmp mnt/part2 <(slice one 0 100352; zeroes $((5 * M - 100352)); printf x)
copy mnt/v mnt/part3 0,100352 "!fallocate -l 1M mnt/part3"
cmp mnt/part3 <(slice one 0 100352; zeroes $((M - 100352)))
copy mnt/v mnt/gap 0,65536 $((2 * M)),65536
cmp mnt/gap <(slice one 0 65536; zeroes $((2 * M - 65536)); slice one 2M 65536)
copy mnt/v mnt/later $((2 * M)),$((6 * M))
cmp mnt/later <(zeroes 2M; slice one 2M 6M)
copy mnt/v mnt/odd 0,1000001 1000001,1048576
cmp mnt/odd <(slice one 0 2048577)

# The origin changes between two pieces: each is as it was when it was copied.
copy mnt/v mnt/changed 0,$M "!printf YYYY | dd of=mnt/v bs=1 seek=$((2 * M)) conv=notrunc status=none" $M,$((7 * M))
{ slice one 0 2M; printf YYYY; slice one $((2 * M + 4)) 8M; } >now
cmp now <(slice mnt/v 0 8M)
cmp now mnt/changed
# And the copy does: that stays.
copy mnt/v mnt/marked 0,$M "!printf ZZ | dd of=mnt/marked bs=1 seek=5 conv=notrunc status=none" $M,$((7 * M))
cmp mnt/marked <(slice now 0 5; printf ZZ; slice now 7 8M)
# A hole punched beyond what is shown ends there.
copy mnt/v mnt/punched 0,$M "!fallocate -p -o $((M - 65536)) -l $((3 * M)) mnt/punched" $M,$((7 * M))
cmp mnt/punched <(slice now 0 $((M - 65536)); zeroes 65536; slice now $M 8M)

# To another place, within one, over what is there, from beyond the end.
copy mnt/v mnt/moved "0,$M,512"
cmp mnt/moved <(zeroes 512; slice now 0 1M)
copy mnt/moved mnt/moved "512,300000,$((2 * M + 7))"
cmp <(slice now 0 300000) <(slice mnt/moved $((2 * M + 7)) 300000)
copy mnt/v mnt/moved "$((4 * M)),$M,0"
cmp <(slice now 4M 1M) <(slice mnt/moved 0 1M)
copy mnt/v mnt/none $((6 << 30)),$M
same "$(size mnt/none)" 0

truncate -s %512 mnt/odd mnt/part2
sums=$(cd mnt && sha256sum changed marked punched gap later odd part part2 part3)
remount_pool
same "$(cd mnt && sha256sum changed marked punched gap later odd part part2 part3)" "$sums"
rm mnt/*
await eval '[ "$(free_bytes)" -ge $((254 << 20)) ]' || die "something is left: $(df mnt)"
unmount_pool
check_pool
