#!/bin/bash
# Volumes as files: make, size, write, read, rename, unlink.  What was done is
# there after a remount, and the oracles find nothing wrong.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 256M
mount_pool

# Creating a file and truncating it makes and sizes a volume.
: >mnt/empty
truncate -s 1T mnt/base
same "$(size mnt/empty)" 0
same "$(size mnt/base)" $((1 << 40))
same "$(blocks mnt/base)" 0
same "$(ls mnt)" $'base\nempty'

# A size is any, but the pool keeps whole sectors.
printf hello >mnt/hello
printf ' there' >>mnt/hello
same "$(cat mnt/hello)" "hello there"
truncate -s 1000 mnt/hello
same "$(size mnt/hello)" 1000
echo 2 >/proc/sys/vm/drop_caches # the kernel forgets what it knows
same "$(size mnt/hello)" 1000
truncate -s 2 mnt/hello
truncate -s 400 mnt/hello
cmp mnt/hello <(printf he; zeroes 398)
: >mnt/nothing
printf something >mnt/nothing
: >mnt/nothing
same "$(size mnt/nothing)" 0

# A write beyond the end grows it, and leaves a hole.
random 3000000 >data
dd if=data of=mnt/grown bs=1000 seek=777 conv=notrunc status=none
same "$(size mnt/grown)" 3777000
cmp <(zeroes 777000; cat data) <(slice mnt/grown 0 3777000)

# Any offset and length, in a file and in a volume: what is next to it stays.
truncate -s 4M plain mnt/odd
python3 - <<'PY'
import os, random
random.seed(1)
with open('plain', 'r+b', 0) as a, open('mnt/odd', 'r+b', 0) as b:
    for _ in range(300):
        at, n = random.randrange(4 << 20), random.choice((1, 7, 511, 512, 513, 5000, 70000))
        data = os.urandom(min(n, (4 << 20) - at))
        assert os.pwrite(a.fileno(), data, at) == os.pwrite(b.fileno(), data, at) == len(data)
PY
cmp plain mnt/odd

# Shorter, then longer: what was cut off does not come back.
truncate -s 1M mnt/odd
truncate -s 4M mnt/odd
cmp <(slice plain 0 1M; zeroes 3M) mnt/odd
[ "$(blocks mnt/odd)" -le 2048 ] || die "what was cut off is still mapped"

# Names.
mv mnt/grown mnt/moved
fails "File exists" python3 -c 'import os; os.open("mnt/base", os.O_CREAT | os.O_EXCL)'
fails "Invalid argument" touch "mnt/$(printf 'a\tb')"
fails "Invalid argument" touch mnt/.thinfs-deleted-1
fails "not permitted" mkdir mnt/sub
fails "not permitted" ln -s a mnt/b
fails "not permitted" ln mnt/base mnt/b
fails "not permitted" chmod 644 mnt/base
fails "No such file" stat mnt/grown
fails "not permitted" mkfifo mnt/fifo
touch -d @1000000000 mnt/base
same "$(stat -c %Y mnt/base)" 1000000000

remount_pool
same "$(ls mnt)" $'base\nempty\nhello\nmoved\nnothing\nodd'
cmp mnt/hello <(printf he; zeroes 510)
same "$(size mnt/base) $(size mnt/empty)" "$((1 << 40)) 0"
cmp data <(slice mnt/moved 777000 3000000)
rm mnt/moved mnt/odd mnt/hello mnt/nothing
same "$(ls mnt)" $'base\nempty'
unmount_pool
check_pool
same "$(thinpool list pool | wc -l)" 3
thinpool export pool empty copy
same "$(size copy)" 0
