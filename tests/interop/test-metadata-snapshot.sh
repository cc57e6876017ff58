#!/bin/bash
# A metadata snapshot of ours: other tools read in it what was mapped then,
# whatever happens to the pool since.
. "$(dirname "$0")/support.sh"

new_pool 2M 64M 128
tool - <<S
create 0
write 0 0 20000 a
snapshot 1 0
write 1 1000 3000 b
set-transaction-id 0 5
S
tool map-dump >as-it-was

step "reserved"
tool reserve-metadata-snapshot
agrees
same "$(status held_root)" 1
dumped_mappings -m metadata | cmp - as-it-was
verified_mappings --held metadata | cmp - as-it-was

step "everything changed"
tool - <<S
write 0 0 9000 c
discard 1 0 12000
snapshot 2 1
write 2 100 3 d
create 3
delete 0
S
agrees
dumped_mappings -m metadata | cmp - as-it-was
verified_mappings --held metadata | cmp - as-it-was

step "released"
tool release-metadata-snapshot
agrees
same "$(status held_root)" 0
printf 'delete %s\n' 1 2 3 | tool -
agrees
same "$(status used_data_blocks)" 0
