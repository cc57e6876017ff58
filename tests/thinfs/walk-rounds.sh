# shellcheck shell=bash
# Sourced after support.sh: random walks over files, beside a model in memory.

# What the kernel has cached of the files, as long as there is a file `walking`.
drop_caches() {
	local file
	while [ -e walking ]; do
		for file in mnt/*; do dd if="$file" iflag=nocache count=0 status=none || true; done
		sleep 0.3
	done 2>/dev/null
}

# walk_round WALKS STEPS SEED: several at once in one pool; what they leave is
# the same after a remount.
walk_round() {
	local walk walks=() dropper before
	echo "SEED=$3"
	rm -rf pool
	thinpool create pool --size 256M
	mount_pool
	: >walking
	drop_caches &
	dropper=$!
	for ((walk = 0; walk < $1; walk++)); do
		python3 "$here/walk.py" mnt "$2" $(($3 + walk)) &
		walks+=($!)
	done
	for walk in "${walks[@]}"; do wait "$walk" || die "a walk has failed"; done
	rm walking
	wait $dropper
	before=$(cd mnt && sha256sum -- *)
	remount_pool
	same "$(cd mnt && sha256sum -- *)" "$before"
	unmount_pool
	check_pool
}
