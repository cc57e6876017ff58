#!/bin/bash
# For more than a minute, random requests to three volumes, one of them a snapshot
# of another, each compared with a model, and so are instants of the volumes taken
# meanwhile; then the server ends, or is killed, and what it had is there
# (B-CRASH-2, B-SNAP-3).  SEED replays the requests, SECONDS_OF_WALK shortens it.
. "$(dirname "$0")/support.sh"
needs_libnbd
seed=${SEED:-$RANDOM}
echo "SEED=$seed"
walk=${SECONDS_OF_WALK:-80}
rounds=8

as_modelled() {
	local volume
	for volume in a b c; do
		[ ! -e $volume.model ] ||
			same "$(thinpool export pool $volume - | sum)" "$(sum <$volume.model)"
	done
}

thinpool create pool --size 128M >out
thinpool volume create pool a --size 4M >out
thinpool volume create pool b --size 3149312 >out # ends within a block
thinpool volume create pool c --size 1M >out
for ((round = 0; round < rounds; round++)); do
	serve "$NBD_PLUGIN" pool
	$python "$here/walk.py" "$dir/socket" $((seed + round)) $((walk / rounds)) a b c
	if ((round % 2)); then stop; else kill_server; fi
	check_pool
	as_modelled

	# What is shared anew has to be copied anew.
	origin=a
	((round % 2)) || origin=b
	thinpool volume delete pool c
	thinpool snapshot pool $origin c >out
	cp $origin.model c.model
done
