# shellcheck shell=bash
# Sourced after support.sh: the server is killed while a client writes, and what
# it has promised must be there.
needs_libnbd

# kill_rounds ROUNDS: the volume goes on from round to round; a snapshot of it,
# and a volume that nobody writes, stay what they are.
kill_rounds() {
	local round seed=${SEED:-$RANDOM} still snap
	echo "SEED=$seed"
	RANDOM=$seed
	thinpool create pool --size 64M >out
	random 3000K | thinpool import pool still - >out
	still=$(thinpool export pool still - | sum)
	for ((round = 0; round < $1; round++)); do
		thinpool volume create pool v$round --size 4M >out
		serve "$NBD_PLUGIN" pool
		write_and_kill v$round $((seed + round))
		serve "$NBD_PLUGIN" pool
		$python "$here/crash.py" check "$(uri v$round)" journal
		nbdcopy "$(uri v$round)" before
		stop

		# The next one overwrites what a snapshot shares.
		thinpool snapshot pool v$round snap >out
		snap=$(sum <before)
		serve "$NBD_PLUGIN" pool
		write_and_kill v$round $((seed + round))
		same "$(thinpool export pool snap - | sum)" "$snap"
		same "$(thinpool export pool still - | sum)" "$still"
		thinpool volume delete pool snap
		thinpool volume delete pool v$round
	done
}

# write_and_kill VOLUME SEED
write_and_kill() {
	local writer
	rm -f journal
	$python "$here/crash.py" write "$(uri "$1")" journal "$2" &
	writer=$!
	await eval '[ $(cat journal 2>/dev/null | wc -l) -ge 200 ]' || die "nobody writes"
	sleep "0.$((RANDOM % 10))5"
	kill_server
	wait $writer || die "a writer has failed"
	check_pool
}
