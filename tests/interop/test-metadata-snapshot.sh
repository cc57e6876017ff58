#!/bin/bash
# A metadata snapshot of ours: other tools, and we, read in it what was mapped
# then, whatever happens to the pool since, also while somebody has it open.
# MSN-03, MSN-04, MSN-06, MSN-08, MSN-09, TOL-15.
. "$(dirname "$0")/support.sh"
[ -n "${THINPOOL-}" ] || { echo "skipped: THINPOOL does not name a command"; exit 77; }
thinpool=$(realpath -- "$THINPOOL")

# What the command sees in the metadata snapshot, in the words of 'map-dump'.
mapped_then() {
	local id
	for id in $("$thinpool" list . --metadata-snapshot --json |
		python3 -c 'import json, sys; print(*(v["id"] for v in json.load(sys.stdin)["volumes"]))'); do
		"$thinpool" map . --id "$id" --size 1G --metadata-snapshot --json | python3 -c '
import json, sys
for e in json.load(sys.stdin)["extents"]:
    for i in range(0, e["length"], 65536):
        print(sys.argv[1], (e["offset"] + i) // 65536, (e["data_offset"] + i) // 65536)' "$id"
	done
}

# What two volumes have in common, by thin_delta and by the file 'seen'.
delta_of_others() {
	thin_delta -m --snap1 "$1" --snap2 "$2" metadata | tr '"' ' ' | awk '
		/<(different|same|left_only|right_only) / {
			for (i = 0; i < $5; i++) print $3 + i, substr($1, 2) }'
}
delta_of_ours() {
	awk -v a="$1" -v b="$2" '
		$1 == a { left[$2] = $3; any[$2] }
		$1 == b { right[$2] = $3; any[$2] }
		END {
			for (i in any)
				print i, (!(i in right) ? "left_only" : (!(i in left) ? "right_only" : \
					(left[i] == right[i] ? "same" : "different"))) }' seen | sort -n
}

all_see_it() {
	dumped_mappings -m metadata | cmp - as-it-was
	verified_mappings --held metadata | cmp - as-it-was
	mapped_then >seen
	cmp seen as-it-was
	"$thinpool" list . --metadata-snapshot --json | cmp - listed
	delta_of_others 0 1 >common
	[ -s common ] || die "thin_delta says nothing"
	delta_of_ours 0 1 | cmp - common
	"$thinpool" read . --id 1 0 1M --metadata-snapshot | cmp - content
}

new_pool 2M 64M 128
tool - <<S
create 0
write 0 0 20000 a
snapshot 1 0
write 1 1000 3000 b
set-transaction-id 0 5
S
tool map-dump >as-it-was
"$thinpool" read . --id 1 0 1M >content
"$thinpool" list . --json >listed
rc=0
"$thinpool" list . --metadata-snapshot 2>err || rc=$?
same "$rc" 1
grep -q "no metadata snapshot" err || die "says: $(cat err)"

step "reserved"
tool reserve-metadata-snapshot
agrees
same "$(status held_root)" 1
all_see_it

step "everything changed"
tool - <<S
write 0 0 9000 c
discard 1 0 12000
write 1 30 60 g
snapshot 2 1
write 2 100 3 d
create 3
delete 0
S
agrees
all_see_it

# Nobody else may look, but at that.
step "while somebody writes"
mkfifo commands
tool - <commands >dumped-live &
exec 3>commands
echo 'write 2 0 100 e' >&3
for ((i = 0; i < 600; i++)); do # it is not to find anybody else there
	! grep -q "WRITE .*:$(stat -c %i metadata) " /proc/locks || break
	sleep 0.1
done
"$thinpool" status . >/dev/null 2>err || :
grep -q "in use by another process" err || die "says: $(cat err)"
all_see_it
same "$("$thinpool" status . --metadata-snapshot | sed -n 's/^transaction id *//p')" 5

# What the pool maps at three times, all of them while it is open.
transaction_then() {
	"$thinpool" status . --metadata-snapshot 2>/dev/null | sed -n 's/^transaction id *//p'
}
: >seen-then
for level in 1 2 3; do
	printf '%s\n' release-metadata-snapshot "write 2 $((level * 3000)) 2500 f" \
		"set-transaction-id $((level + 4)) $((level + 5))" map-dump reserve-metadata-snapshot >&3
	for ((i = 0; i < 600; i++)); do
		[ "$(transaction_then 2>/dev/null || :)" != $((level + 5)) ] || break
		sleep 0.1
	done
	mapped_then >seen
	dumped_mappings -m metadata | cmp - seen
	cat seen >>seen-then
done
exec 3>&-
wait $!
cmp dumped-live seen-then
agrees

step "released"
tool release-metadata-snapshot
agrees
same "$(status held_root)" 0
printf 'delete %s\n' 1 2 3 | tool -
agrees
same "$(status used_data_blocks)" 0
