#!/bin/bash
# The rest of thin-provisioning-tools understands a pool of ours: it lists it,
# repairs it into an equal one, tells volumes apart; and a dump of it, restored,
# is the same pool (RST-01, RST-03).
. "$(dirname "$0")/support.sh"
for program in thin_ls thin_repair thin_delta thin_rmap; do
	command -v $program >/dev/null || { echo "skipped: no $program"; exit 77; }
done

new_pool 4M 128M 128
{
	echo create 1
	for ((i = 0; i < 600; i++)); do echo "fill 1 $((i * 7 % 600 * 128)) 1 $i"; done
	echo snapshot 2 1
	echo "write 2 $((100 * 128)) $((50 * 128)) a"
	echo "discard 2 $((400 * 128)) $((30 * 128))"
	echo "write 2 $((650 * 128)) 1 a"
	echo snapshot 3 2
	echo create 4
	echo set-transaction-id 0 9
} | tool -
agrees
tool list >list.before
hashes 90000 1 2 3 4 >hashes.before

step "thin_ls counts as we do"
thin_ls --no-headers -o DEV,MAPPED_BLOCKS,TRANSACTION,CREATE_TIME,SNAP_TIME metadata |
	awk '{ print $1, $2, $3, $4, $5 }' | cmp - list.before

step "thin_delta sees what differs"
thin_delta --thin1 1 --thin2 2 metadata >differences
want='different 100 50
left_only 400 30
right_only 650 1'
same "$(sed -n 's/.*<\(different\|left_only\|right_only\) begin="\([0-9]*\)" length="\([0-9]*\)".*/\1 \2 \3/p' differences |
	sort)" "$want"

step "thin_rmap finds the owner of a block"
owner=$(tool map-dump | awk '$1 == 2 && $2 == 650 { print $3 }')
thin_rmap --region "$owner..$((owner + 1))" metadata >owners
grep -q "data $owner..$((owner + 1)) -> thin(2) 650" owners || die "$(cat owners)"

step "thin_repair makes an equal pool"
mv metadata original
truncate -s 4M metadata
thin_repair -i original -o metadata >said || die "$(cat said)"
agrees --tolerate-restore
cmp list.before ours.thins
hashes 90000 1 2 3 4 | cmp - hashes.before

step "a dump, restored, is an equal pool"
thin_dump original >dump.xml
thin_dump original | cmp - dump.xml
blank_metadata() { rm metadata && truncate -s 4M metadata; }
blank_metadata
thin_restore -q -i dump.xml -o metadata
agrees --tolerate-restore
cmp list.before ours.thins
hashes 90000 1 2 3 4 | cmp - hashes.before

thin_dump metadata | cmp - dump.xml

step "and goes on from there"
tool - <<S
snapshot 5 3
write 5 0 1000 b
write 2 0 1000 c
delete 1
S
agrees --tolerate-restore
same "$(hash 3 90000)" "$(sed -n 's/^3 //p' hashes.before)"

# RST-02.
for stride in 1 377; do
	step "restored with blocks $stride apart, and overwritten where they are"
	{
		echo '<superblock uuid="" time="0" transaction="0" version="2" data_block_size="128" nr_data_blocks="1000">'
		echo '<device dev_id="1" mapped_blocks="200" transaction="0" creation_time="0" snap_time="0">'
		for ((i = 0; i < 200; i++)); do
			echo "<single_mapping origin_block=\"$i\" data_block=\"$((i * stride % 1000))\" time=\"0\"/>"
		done
		echo '</device></superblock>'
	} >strides.xml
	blank_metadata
	thin_restore -q -i strides.xml -o metadata
	tool map-dump >mappings
	same "$(awk '$2 == 199 { print $3 }' mappings)" $((199 * stride % 1000))
	tool - <<<"write 1 0 $((200 * 128)) a"
	agrees --tolerate-restore
	tool map-dump | cmp - mappings
done
