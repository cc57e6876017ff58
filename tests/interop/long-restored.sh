#!/bin/bash
# Metadata that thin_restore wrote: we list what its XML says, all of it; and a
# pool of that kind, changed by us, stays sound and otherwise as it was.
. "$(dirname "$0")/support.sh"

# restored SHAPE METADATA_SIZE DATA_SIZE
restored() {
	blank_pool "$2" "$3"
	python3 "$interop/make-xml" "$1" >pool.xml
	thin_restore -q -i pool.xml -o metadata
	dumped_mappings metadata >before
	agrees --tolerate-restore
}

# otherwise_as_before AWK: the mappings that the condition leaves out are now
# what they were.
otherwise_as_before() {
	diff <(awk "!($1)" before) <(awk "!($1)" ours) >differ || die "$(head differ)"
}

step "snapshots, ranges, counts of nine: read"
restored sharing 4M 2500M
same "$(awk '$1 == 0 && $2 == 274877906949' ours)" "0 274877906949 20003"
same "$(status transaction_id)" 42
same "$(status thins)" 14

step "written, where shared and where not"
tool - <<S
write 100 $((10 * 128)) 1 a
write 104 $((10 * 128)) $((128 * 3 + 1)) b
write 108 $((550 * 128 + 100)) 500 c
write 200 $((301 * 128 + 1)) 1 d
write 0 0 5000 e
write 0 $((1000 * 128)) $((4 * 128)) f
S
agrees --tolerate-restore
otherwise_as_before '$1 == 100 && $2 == 10 || $1 == 104 && $2 >= 10 && $2 <= 13 ||
	$1 == 108 && $2 >= 550 && $2 <= 554 || $1 == 200 && $2 == 301 ||
	$1 == 0 && ($2 >= 1000 && $2 <= 1003)'

step "created, snapshotted"
tool - <<S
create 50
write 50 12345 1000 g
snapshot 51 108
snapshot 52 51
write 51 0 100 h
write 108 $((300 * 128)) $((300 * 128)) i
S
agrees --tolerate-restore
changed='$1 >= 50 && $1 <= 52 || $1 == 108'
otherwise_as_before "$changed || \$1 == 100 && \$2 == 10 || \$1 == 104 && \$2 >= 10 && \$2 <= 13 ||
	\$1 == 200 && \$2 == 301 || \$1 == 0 && \$2 >= 1000 && \$2 <= 1003"

step "discarded, deleted"
tool - <<S
discard 0 $((500 * 128)) $((4900 * 128))
discard 0 $((274877906900 * 128)) $((100 * 128))
discard 102 $((100 * 128 + 1)) $((300 * 128))
discard 201 0 $((599 * 128))
delete 103
delete 100
delete 106
delete 1000
delete 16777215
S
agrees --tolerate-restore
otherwise_as_before '$1 != 101 && $1 != 105 && $1 != 107'

step "emptied: nothing is left over"
tool list | sed 's/ .*//; s/^/delete /' >rest
tool - <rest
agrees --tolerate-restore
same "$(status used_data_blocks)" 0

step "thousands of devices: read"
restored devices 32M 2G
same "$(status thins)" 4000

step "thousands of devices: changed"
{
	for ((i = 0; i < 4000; i += 40)); do
		echo "write $((i * 3)) $((i % 50 * 128)) 130 a"
		echo "delete $((i * 3 + 3))"
		echo "create $((i * 3 + 1))"
	done
	echo "snapshot-many 20000 20100 6"
	echo "write 20007 0 10000 b"
	echo "discard 6 0 100000"
} | tool -
agrees --tolerate-restore
otherwise_as_before '$1 % 120 == 0 || $1 % 120 == 3 || $1 == 6 || $1 >= 20000'
