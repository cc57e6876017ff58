#!/bin/bash
# Two million mappings, no two of them a run, as thin_restore wrote them: all
# are listed, and a change here and there leaves the others alone.
. "$(dirname "$0")/support.sh"

now() { date +%s%N; }
took() { echo "  $1: $((($(now) - $2) / 1000000)) ms"; }

# What was deleted lies above all ids that a host may use until it is emptied,
# a little at a time, whenever the pool is open.
emptied() {
	for ((i = 0; i < 60; i++)); do
		sleep 1 | tool -
		thin_dump --skip-mappings metadata >thins
		grep -q 'dev_id="167772' thins || return 0
	done
	die "$(cat thins)"
}

step "restored"
blank_pool 128M 64G
python3 "$interop/make-xml" million >pool.xml
thin_restore -q -i pool.xml -o metadata
dumped_mappings metadata >before
same "$(wc -l <before)" 2000000

step "opened and listed"
begin=$(now)
same "$(status thins)" 2
took "open and close" "$begin"
begin=$(now)
tool map-dump >ours
took "open, list 2000000 mappings and close" "$begin"
cmp before ours
sound --tolerate-restore

step "checked"
begin=$(now)
thin_check -q metadata
took "thin_check" "$begin"
begin=$(now)
"${THINPOOL:?}" check --quiet metadata
took "thinpool check, which counts data blocks and looks at sharing too" "$begin"

step "changed"
tool - <<S
write 1 $((500000 * 128)) $((20 * 128)) a
snapshot 3 2
write 3 $((123456 * 128)) 1 b
discard 2 $((700000 * 128)) $((1000 * 128))
create 4
write 4 0 1000 c
S
agrees --tolerate-restore
without='!($2 >= 500000 && $2 < 500020 || $2 == 123456 || $2 >= 700000 && $2 < 701000 || $1 > 2)'
diff <(awk "$without" before) <(awk "$without" ours) >differ || die "$(head differ)"
diff <(awk '$1 == 2 && $2 != 123456 { print $2, $3 }' before) \
	<(awk '$1 == 3 && $2 != 123456 { print $2, $3 }' ours) >differ || die "$(head differ)"

step "a volume of a million mappings deleted: gone at once, emptied in time"
begin=$(now)
grep -v '^1 ' ours >want
tool delete 1
took "delete and close" "$begin"
sound --tolerate-restore
dumped_thins metadata | awk '$1 < 16777216 { print $1 }' | cmp - <(printf '%s\n' 2 3 4)
begin=$(now)
emptied
took "emptied" "$begin"
agrees --tolerate-restore
cmp want ours

step "and the rest"
printf 'delete %s\n' 2 3 4 | tool -
sound --tolerate-restore
emptied
agrees --tolerate-restore
same "$(status used_data_blocks)" 0
