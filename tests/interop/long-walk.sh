#!/bin/bash
# A random walk over a pool of ours: after each third of it every volume has the
# content it should have, and all read the metadata alike; a dump of it,
# restored, is the same pool.  SEED=N repeats a walk.
. "$(dirname "$0")/support.sh"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "SEED=$seed"

for bs in 128 384; do
	sectors=$((40 * bs))
	python3 "$interop/make-walk" "$seed" $bs $sectors 250 walk
	new_pool 4M $((bs * 600 / 2))K $bs
	for part in 1 2 3; do
		step "$bs sectors, part $part"
		tool - <walk$part
		agrees
		mapfile -t live < <(cut -d' ' -f1 walk$part.hashes)
		hashes $sectors "${live[@]}" | cmp - walk$part.hashes
		same "$(tool list | cut -d' ' -f1)" "$(printf '%s\n' "${live[@]}" | sort -n)"
	done

	step "$bs sectors, restored"
	mv ours before
	thin_dump metadata >dump.xml
	rm metadata
	truncate -s 4M metadata
	thin_restore -q -i dump.xml -o metadata
	agrees --tolerate-restore
	cmp before ours
	hashes $sectors "${live[@]}" | cmp - walk3.hashes
done
