# shellcheck shell=bash
# Sourced after support.sh: random walks over files, beside a model in memory.

# walk_round WALKS STEPS SEED: several at once in one pool; what they leave is
# the same after a remount.
walk_round() {
	local walk walks=() before
	echo "SEED=$3"
	rm -rf pool
	thinpool create pool --size 256M
	mount_pool
	for ((walk = 0; walk < $1; walk++)); do
		python3 "$here/walk.py" mnt "$2" $(($3 + walk)) &
		walks+=($!)
	done
	for walk in "${walks[@]}"; do wait "$walk" || die "a walk has failed"; done
	before=$(cd mnt && sha256sum -- *)
	remount_pool
	same "$(cd mnt && sha256sum -- *)" "$before"
	unmount_pool
	check_pool
}
