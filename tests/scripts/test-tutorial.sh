#!/bin/bash
# Who copies the tutorial's pieces into one file has an NBD server that real
# clients are content with, and that loses nothing flushed when it is killed
# (B-CRASH-2).
. "$(dirname "$0")/../nbd/support.sh"
needs qemu-io cc

awk '/^```c$/ { on = 1; next } /^```$/ { if (on) print ""; on = 0 } on' \
	"${SOURCE_ROOT:?}/doc/tutorial.md" >little-nbd.c
[ -s little-nbd.c ] || die "the tutorial has no program"

# An instrumented library wants its instrument in the program.
flags=(-Wall -Wextra -Werror -I"$SOURCE_ROOT/include" -L"${BUILD_ROOT:?}/src")
case ${instrument-} in
*asan*) flags+=(-fsanitize=address -fsanitize=undefined) ;;
*tsan*) flags+=(-fsanitize=thread) ;;
esac
export LD_LIBRARY_PATH=$BUILD_ROOT/src
cc "${flags[@]}" little-nbd.c -o little-nbd -lthinpool

thinpool create pool --size 64M >out
thinpool volume create pool disk --size 1G >out
random 3M >content
truncate -s 8M content # and a hole

start() {
	./little-nbd pool/metadata pool/data disk socket 2>server.log &
	pid=$!
	await [ -S socket ] || die "it does not come up: $(cat server.log)"
}
finish() {
	kill "$pid"
	wait "$pid" || die "it exits with $?: $(cat server.log)"
}
io() {
	local c=()
	for command; do c+=(-c "$command"); done
	qemu-io -f raw "${c[@]}" "$(uri disk)" >io.out 2>&1 || die "qemu-io: $(cat io.out)"
	! grep -iE 'fail|error' io.out || die "qemu-io: $(cat io.out)"
}

start
same "$(exported "e['export-size'], e['can_flush'], e['can_fua'], e['can_trim'], e['can_zero']" disk)" \
	"1073741824 True True True True"
nbdcopy content "$(uri disk)"
nbdcopy "$(uri disk)" copy
truncate -s 8M copy
cmp copy content

# Requests that overlap, of more and less than whole blocks.
io 'aio_write -P 1 16M 4M' 'aio_write -P 2 24M 100k' 'aio_write -P 3 32256k 512' aio_flush \
	'read -P 1 16M 4M' 'read -P 2 24M 100k' 'read -P 0 25M 1M' 'read -P 3 32256k 512'
io 'write -z -u 16M 1M' 'discard 17M 1M' 'write -f -P 4 18M 64k' \
	'read -P 0 16M 1M' 'read -P 4 18M 64k' 'read -P 1 19M 1M'

# A client that talks nonsense is sent away, and the next one is served.
printf '%64s' nonsense | python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("socket")
s.sendall(sys.stdin.buffer.read())
try:
    while s.recv(4096): pass
except ConnectionResetError: pass'
io 'read -P 4 18M 64k'
finish
same "$(thinpool read pool disk 0 8M | sum)" "$(sum <content)"
check_pool

# Killed: what was flushed is there, in place of what a snapshot still has.
thinpool snapshot pool disk before >out
start
io 'write -P 7 0 1M' flush 'write -P 8 1M 64k'
kill_server
same "$(thinpool read pool disk 0 1M | sum)" "$(head -c 1M /dev/zero | tr '\0' '\7' | sum)"
same "$(thinpool read pool before 0 8M | sum)" "$(sum <content)"
check_pool
