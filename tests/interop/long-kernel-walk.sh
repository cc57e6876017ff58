#!/bin/bash
# The same random walk on two pools, one by us and one by the kernel, which are
# exchanged after each third of it.  At each exchange every volume has the same
# content in both.  SEED=N repeats a walk.
. "$(dirname "$0")/kernel-support.sh"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "SEED=$seed"

in_pool() { cd "$dir/$1"; }

# by_kernel PART; by_us PART: hashes of what is live go to 'hashes'.
by_kernel() {
	local all
	all=$(cat "$dir/walk$1.live")
	{
		echo pool_create
		[ "$1" = 1 ] || echo "activate $(cat "$dir/walk$(($1 - 1)).live")"
		cat "$dir/walk$1"
		echo "hashes $all >\$OUT/hashes"
	} | in_kernel $bs
	mv out/hashes hashes
}
by_us() {
	tool - <"$dir/walk$1"
	# shellcheck disable=SC2046 # ids, a word each
	hashes_here $(cat "$dir/walk$1.live") >hashes
}

for bs in 128 384 2048; do
	SECTORS=$((16 * bs))
	python3 "$interop/make-walk" "$seed" $bs $SECTORS 60 "$dir/walk"
	rm -rf "$dir/a" "$dir/b"
	mkdir "$dir/a" "$dir/b"
	in_pool a && new_pool 4M $((bs * 250 / 2))K $bs
	in_pool b && blank_pool 4M $((bs * 250 / 2))K
	for part in 1 2 3; do
		step "$bs sectors, part $part"
		in_pool a && if [ $part = 2 ]; then by_kernel $part; else by_us $part; fi && agrees
		in_pool b && if [ $part = 2 ]; then by_us $part; else by_kernel $part; fi && agrees
		cmp "$dir/a/hashes" "$dir/b/hashes"
	done
done
