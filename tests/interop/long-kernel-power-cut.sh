#!/bin/bash
# Power fails while we work, at any request to a device, and some of what was
# not flushed is lost: the kernel opens what is left, shows in it what we show
# in it, and goes on; what had been flushed is there (V1, V4, S2).
. "$(dirname "$0")/kernel-support.sh"
bs=128
SECTORS=$((30 * bs))
metadata_sectors=4096 data_sectors=$((150 * bs))
cuts=(4 43 120 180 280 1000000)

step "before"
new_pool 2M $((data_sectors / 2))K $bs
tool - <<S
create 1
write 1 0 $((20 * bs)) a
snapshot 2 1
create 9
write 9 0 $((10 * bs)) untouched
create 3
S
mv metadata before.metadata
mv data before.data
# Step N writes COUNT sectors of volume 3, flushes, and stirs the others.
count=$((bs / 4 * 5))
for ((n = 0; n < 16; n++)); do
	echo "write 3 $((n * count)) $count step"
	echo "flush 3"
	echo "write 1 $((n * bs + n)) $((2 * bs)) n$n"
	echo "discard 2 $((n * bs)) $((bs * 3 / 2))"
	echo "snapshot $((10 + n)) $((n % 2 ? 1 : 2))"
	((n % 3)) || echo "write $((10 + n)) 0 $((n * bs + 9)) s$n"
	((n < 2)) || echo "delete $((8 + n))"
done >work

step "power fails, ${#cuts[@]} times"
for i in "${!cuts[@]}"; do
	cp before.metadata metadata
	cp before.data data
	done[i]=$("$pool_tool" --power-cut "${cuts[i]}" metadata data - <work)
	sound
	mv metadata $i.metadata
	mv data $i.data
done
echo "commands done: ${done[*]}"
same "${done[0]}" 0
same "${done[-1]}" "$(wc -l <work)"

step "read by us"
for i in "${!cuts[@]}"; do
	cp $i.metadata metadata
	cp $i.data data
	tool list | cut -d' ' -f1 >$i.ids
	mapfile -t ids <$i.ids
	hashes_here "${ids[@]}" >$i.hashes
	agrees
	same "$(hash 9 $((10 * bs)))" "$(awk -v n=0 -v end=$((10 * bs)) \
		'BEGIN { for (; n < end; n++) printf "%-511s\n", "untouched " n }' | sha256sum | cut -d' ' -f1)"
	flushed=$(head -n "${done[i]}" work | grep -c flush || true)
	tool read 3 0 $((flushed * count)) | cmp - <(awk -v n=0 -v end=$((flushed * count)) \
		'BEGIN { for (; n < end; n++) printf "%-511s\n", "step " n }')
done

step "read by the kernel, which goes on"
for i in "${!cuts[@]}"; do cat $i.metadata; done >metadata
for i in "${!cuts[@]}"; do cat $i.data; done >data
{
	echo 'disk() { echo "0 $3 linear $2 $(($1 * $3))"; }; metadata=$METADATA data=$DATA'
	echo 'METADATA=/dev/mapper/m DATA=/dev/mapper/d'
	for i in "${!cuts[@]}"; do
		mapfile -t ids <$i.ids
		cat <<-S
			dmsetup create m --table "\$(disk $i \$metadata $metadata_sectors)"
			dmsetup create d --table "\$(disk $i \$data $data_sectors)"
			pool_create
			activate ${ids[*]}
			hashes ${ids[*]} >\$OUT/$i.before
			write 1 $bs $((8 * bs)) kernel
			snapshot 100 1
			write 100 5 $((2 * bs)) kernel-too
			discard 3 0 $((3 * bs))
			hashes 1 3 100 >\$OUT/$i.after
			pool_remove
			dmsetup remove m
			dmsetup remove d
		S
	done
} | in_kernel $bs
mv metadata metadata.all
mv data data.all
for i in "${!cuts[@]}"; do
	cmp $i.hashes out/$i.before
	dd if=metadata.all of=metadata bs=512 skip=$((i * metadata_sectors)) count=$metadata_sectors status=none
	dd if=data.all of=data bs=$((bs * 512)) skip=$((i * data_sectors / bs)) count=$((data_sectors / bs)) status=none
	agrees
	hashes_here 1 3 100 | cmp - out/$i.after
done
