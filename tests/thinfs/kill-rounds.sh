# shellcheck shell=bash
# Sourced after support.sh: thinfs is killed while several write, and what it
# has promised them must be there.

# Each of so many writers has opened its file: a late one would find no file
# system any more, and write into what lies beneath.
have_begun() { [ "$(grep -l begin journal.* 2>/dev/null | wc -l)" = "$1" ]; }

# kill_rounds ROUNDS WRITERS SEED: each on a pool of its own.
kill_rounds() {
	local round writer seed=$3
	echo "SEED=$seed"
	RANDOM=$seed
	for ((round = 0; round < $1; round++)); do
		rm -rf pool journal.*
		thinpool create pool --size 256M
		mount_pool
		writers=()
		for ((writer = 0; writer < $2; writer++)); do
			python3 "$here/crash.py" write mnt journal.$writer $((seed + 100 * round + writer)) &
			writers+=($!)
		done
		await have_begun "$2" || die "nobody writes"
		sleep "$((RANDOM % 2)).$((RANDOM % 10))5"
		kill_thinfs
		# A mapped page that cannot be read any more is a SIGBUS.
		for writer in "${writers[@]}"; do
			wait "$writer" || [ $? = $((128 + 7)) ] || die "a writer has failed"
		done
		check_pool
		mount_pool
		python3 "$here/crash.py" check mnt journal.*
		unmount_pool
		check_pool
	done
}
