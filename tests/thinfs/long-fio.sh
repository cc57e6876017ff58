#!/bin/bash
# fio writes and verifies for a minute, in each way that a file can be written,
# while snapshots are taken: of each, all blocks are whole, and it stays as it
# was (FST-06).
LIMIT=900
. "$(dirname "$0")/support.sh"
needs fio

# How each file is written, a word in its name.
ways=(direct large buffered mapped)
options() {
	case $1 in
	direct) echo --ioengine=libaio --iodepth=16 --direct=1 --bs=4k ;;
	large) echo --ioengine=libaio --iodepth=4 --direct=1 --bs=64k ;;
	buffered) echo --ioengine=psync --bs=4k --fsync=100 ;;
	mapped) echo --ioengine=mmap --bs=4k ;;
	esac
}

# run_fio WAY FILE OPTION...: what it says in fio.FILE.
run_fio() {
	local way=$1 file=$2
	shift 2
	# shellcheck disable=SC2046
	fio --name="$way" --filename="mnt/$file" --size=32M --verify=crc32c --randseed=1 \
		--group_reporting $(options "$way") "$@" >"fio.$file" 2>&1 ||
		die "fio: $(cat "fio.$file")"
}

# Every block has its check sum, whoever wrote it last.
is_whole() { run_fio "${1%%.*}" "$1" --rw=read; }

thinpool create pool --size 3G
mount_pool
for way in "${ways[@]}"; do run_fio "$way" "$way" --rw=write --do_verify=0; done

writers=()
for way in "${ways[@]}"; do
	run_fio "$way" "$way" --rw=randrw --rwmixread=30 --verify_backlog=256 --time_based --runtime=70 &
	writers+=($!)
done
SECONDS=0
for ((i = 0; SECONDS < 60; i++)); do
	way=${ways[i % 4]}
	snapshot "mnt/$way" "$way.$i"
	(cd mnt && sha256sum "$way.$i") >>sums
	sleep 2
done
for writer in "${writers[@]}"; do wait "$writer" || die "a writer has failed"; done

compare() {
	local file
	(cd mnt && sha256sum --quiet -c ../sums)
	for file in $(cd mnt && ls); do is_whole "$file"; done
}
compare
remount_pool
compare
unmount_pool
check_pool
