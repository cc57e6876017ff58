#!/bin/bash
# A pool with names: the kernel opens it and works on the volumes, leaving the
# names, which lie in the pool, alone.  What it deletes has lost its name; what
# it makes has none.
. "$(dirname "$0")/kernel-support.sh"
[ -n "${THINPOOL-}" ] || { echo "skipped: THINPOOL does not name a command"; exit 77; }
thinpool=$(realpath -- "$THINPOOL")
SECTORS=8192

names() { "$thinpool" list metadata,data --json | python3 -c '
import json, sys
print(*sorted("%s=%d" % (v["name"] or "-", v["id"]) for v in json.load(sys.stdin)["volumes"]))'; }
id() { names | tr ' ' '\n' | sed -n "s/^$1=//p"; }
named_hash() { "$thinpool" export metadata,data "$1" - | sha256sum | cut -d' ' -f1; }

step "made by the command"
"$thinpool" create pool --size 64M >said
ln -s pool/metadata metadata
ln -s pool/data data
pattern() { awk -v n=0 -v end="$1" -v seed="$2" 'BEGIN { for (; n < end; n++) printf "%-511s\n", seed " " n }'; }
for name in a b c; do
	"$thinpool" volume create metadata,data $name --size 4M >said
	pattern 3000 $name | "$thinpool" write metadata,data $name 0
done
"$thinpool" snapshot metadata,data a s >said
pattern 100 again | "$thinpool" write metadata,data a 65536
sound
for name in a b c s; do echo "$(id $name) $(named_hash $name)"; done >before

step "worked on by the kernel"
in_kernel 128 <<S
pool_create
activate $(id a) $(id b) $(id c) $(id s)
hashes $(id a) $(id b) $(id c) $(id s) >\$OUT/before
write $(id a) 1000 3000 kernel
discard $(id s) 0 1024
delete $(id b)
delete $(id c)
create $(id c)
write $(id c) 0 100 anew
snapshot 4000 $(id s)
hashes $(id a) $(id s) >\$OUT/after
S
cmp before out/before
a=$(id a) s=$(id s) c=$(sed -n 3p before | cut -d' ' -f1)

step "seen by the command"
sound
same "$(names)" "-=$c -=4000 a=$a s=$s"
for name in a s; do echo "$(id $name) $(named_hash $name)"; done | cmp - out/after
"$thinpool" volume create metadata,data b --size 1M >said
"$thinpool" volume rename metadata,data --id 4000 t --size 4M >said
"$thinpool" volume delete metadata,data a >said
same "$(id t) $(id s)" "4000 $s"
same "$(named_hash t)" "$(sed -n "s/^$s //p" out/after)"
sound
