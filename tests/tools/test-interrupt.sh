#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# An import that is interrupted stops cleanly: what was copied is there.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 64M
head -c 4M /dev/urandom >random

for name in fresh old; do
	[ $name = fresh ] || thinpool volume create pool $name --size 8M >out
	mkfifo $name.fifo
	# Job control, so that the background job does not ignore SIGINT.
	set -m
	"$THINPOOL" import pool $name - <$name.fifo 2>err &
	pid=$!
	set +m
	exec 3>$name.fifo
	cat random >&3
	for ((i = 0; i < 600; i++)); do # until it has read all of it
		[ "$(sed -n 's/^rchar: //p' /proc/$pid/io)" -lt $((4 << 20)) ] || break
		sleep 0.1
	done
	sleep 0.5
	kill -INT $pid
	rc=0
	wait $pid || rc=$?
	exec 3>&-
	same $rc 1
	grep -q "interrupted: the first 4194304 bytes of - are in volume $name" err || die "$(cat err)"
	thinpool read pool $name 0 4M | cmp - random
done
same "$(volume pool fresh size)" $((4 << 20))
same "$(volume pool old size)" $((8 << 20))
