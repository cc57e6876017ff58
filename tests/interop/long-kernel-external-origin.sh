#!/bin/bash
# Volumes upon an external origin, which ends within a block of theirs, or after
# them: the kernel and we show, copy and show again the same of it, and leave it
# as it is (B-ORIG-1 to -4, EXT-06).
. "$(dirname "$0")/kernel-support.sh"
ORIGIN=$dir/origin

bs=256
SECTORS=$((8 * bs))
short=$((3 * bs + 40))
awk -v n=0 -v end=$((5 * bs + 24)) \
	'BEGIN { for (; n < end; n++) printf "%-511s\n", "origin " n }' >origin
sha256sum origin >origin.sum

step "made by the kernel"
blank_pool 4M 64M
in_kernel $bs <<S
	pool_create
	create 1
	hashes 1 >\$OUT/untouched
	write 1 $((bs / 2)) 10 a
	write 1 $((2 * bs)) $bs a
	write 1 $((5 * bs + 8)) 4 a
	write 1 $((6 * bs + 1)) 1 a
	snapshot 2 1
	write 2 $((3 * bs - 1)) 2 b
	write 1 $((5 * bs + 20)) 10 b
	discard 2 $((2 * bs)) $bs
	create 3
	write 3 $((5 * bs)) $((2 * bs)) c
	discard 3 $((5 * bs)) $bs
	SECTORS=$short create 4
	write 4 $((3 * bs + 30)) 10 d
	hashes 1 2 3 4 >\$OUT/after
S
same "$(cut -d' ' -f2 out/untouched)" \
	"$(cat origin <(head -c $(((3 * bs - 24) * 512)) /dev/zero) | sha256sum | cut -d' ' -f1)"

step "read by us, who go on"
agrees
{ hashes_here 1 2 3; hashes $short 4; } | cmp - out/after
tool - <<S
	write 3 $((5 * bs + 1)) 1 e
	write 3 7 1 e
	snapshot 5 3
	discard 5 0 $bs
	write 5 $((4 * bs + 5)) $bs e
	discard 1 $((5 * bs)) $((2 * bs))
	zero 1 0 $((bs / 4))
	create 6
	write 6 $((bs - 3)) 6 f
	write 4 $((2 * bs + 1)) 3 f
	delete 2
S
agrees
{ hashes_here 1 3 5 6; hashes $short 4; } >before

step "read by the kernel, which breaks what we share"
in_kernel $bs <<S
	pool_create
	activate 1 3 5 6
	SECTORS=$short activate 4
	hashes 1 3 5 6 4 >\$OUT/before
	write 3 $((5 * bs + 2)) 30 g
	write 5 10 $((2 * bs)) g
	snapshot 7 6
	discard 7 0 $((2 * bs))
	write 6 0 $((8 * bs)) g
	hashes 1 3 5 6 7 4 >\$OUT/after
S
cmp before out/before
agrees
{ hashes_here 1 3 5 6 7; hashes $short 4; } | cmp - out/after
same "$(hash 7 $SECTORS)" "$(cut -d' ' -f2 out/untouched)"
same "$(ORIGIN='' hash 7 $SECTORS)" "$(head -c $((SECTORS * 512)) /dev/zero | sha256sum | cut -d' ' -f1)"
sha256sum --quiet -c origin.sum

step "of another size when it is opened again"
head -c $((bs * 512)) origin >more
cat more >>origin
same "$(hash 7 $SECTORS)" \
	"$(cat origin <(head -c $(((2 * bs - 24) * 512)) /dev/zero) | sha256sum | cut -d' ' -f1)"
printf 'delete %s\n' 1 3 4 5 6 7 | tool -
agrees
same "$(status used_data_blocks)" 0
