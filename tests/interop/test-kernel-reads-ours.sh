#!/bin/bash
# A pool of ours in the kernel, and back: all see the same, each goes on where
# the other left off.  The long tests do this at length.
. "$(dirname "$0")/kernel-support.sh"
SECTORS=4096

step "made by us"
new_pool 2M 32M 128
tool - <<S
create 1
write 1 0 2000 ours
snapshot 2 1
write 2 500 1000 ours-too
discard 2 0 256
S
hashes_here 1 2 >before

step "read and changed by the kernel"
in_kernel 128 <<'S'
pool_create
activate 1 2
hashes 1 2
snapshot 3 2
write 1 1000 1500 theirs
discard 2 1024 256
hashes 1 2 3
S
head -n 2 said | cmp - before

step "read and changed by us"
agrees
hashes_here 1 2 3 | cmp - <(tail -n 3 said)
tool - <<S
write 3 0 3000 ours-again
delete 2
S
agrees
same "$(hashes_here 1)" "$(tail -n 3 said | head -n 1)"
