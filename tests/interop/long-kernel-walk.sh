#!/bin/bash
# The same random walk on two pools, one by us and one by the kernel, which are
# exchanged after each third of it.  At each exchange every volume of both has
# the content that the walk gave it.  SEED=N repeats a walk.
. "$(dirname "$0")/kernel-support.sh"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "SEED=$seed"

live() { cut -d' ' -f1 "$dir/walk$1.hashes" | tr '\n' ' '; }

# by_kernel PART; by_us PART: hashes of what is live go to 'hashes'.
by_kernel() {
	{
		echo pool_create
		[ "$1" = 1 ] || echo "activate $(live $(($1 - 1)))"
		cat "$dir/walk$1"
		echo "hashes $(live "$1") >\$OUT/hashes"
	} | in_kernel $bs
	mv out/hashes hashes
}
by_us() {
	tool - <"$dir/walk$1"
	# shellcheck disable=SC2046 # ids, a word each
	hashes_here $(live "$1") >hashes
}

# Linux cuts a discard where a bit mask of the block size says, which for a size
# that is no power of two lies within a block, which is then kept: not so for one
# that begins at a multiple of four blocks of 192 KiB.  Others may begin anywhere.
for bs in 128 384 2048; do
	SECTORS=$((16 * bs))
	grain=
	[ $bs != 384 ] || grain=4
	python3 "$interop/make-walk" "$seed" $bs $SECTORS 40 "$dir/walk" $grain
	rm -rf "$dir/a" "$dir/b"
	mkdir "$dir/a" "$dir/b"
	cd "$dir/a"
	new_pool 4M $((bs * 250 / 2))K $bs
	cd "$dir/b"
	blank_pool 4M $((bs * 250 / 2))K
	for part in 1 2 3; do
		step "$bs sectors, part $part"
		if [ $part = 2 ]; then a=by_kernel b=by_us; else a=by_us b=by_kernel; fi
		cd "$dir/a"
		$a $part
		cmp hashes "$dir/walk$part.hashes"
		agrees
		cd "$dir/b"
		$b $part
		cmp hashes "$dir/walk$part.hashes"
		agrees
	done
done
