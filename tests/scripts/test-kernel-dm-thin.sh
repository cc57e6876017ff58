#!/bin/bash
# The kernel makes a pool, the checker agrees with it and with thin_check; the
# content is what the functions' descriptions promise.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
oracles=$(cd "$(dirname "$0")/../oracles" && pwd)

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir out
truncate -s 4M metadata
truncate -s 64M data

rc=0
"$oracles/kernel-dm-thin" --out out metadata data 128 - >said <<'S' || rc=$?
pool_create
thin_create 0
thin_activate 0 65536
thin_pattern 0 0 4096 seed
thin_snap 1 0
thin_activate 1 65536
thin_fill 1 128 256 255
thin_hash 0 0 4096
thin_read 1 0 512 >$OUT/snapshot
thin_discard 1 2048 1024
head -c 65536 /dev/urandom >piece
thin_put 1 8192 piece
[ "$(thin_hash 1 8192 128)" = "$(sha256sum <piece | cut -d' ' -f1)" ]
thin_snap 2 1
thin_delete 2
pool_message reserve_metadata_snap
pool_commit
pool_status
exit 9
S
[ $rc != 77 ] || exit 77
[ $rc = 9 ] || { echo "exit $rc, not the script's 9"; exit 1; }

pattern() { awk -v n="$1" -v end="$2" 'BEGIN { for (; n < end; n++) printf "%-511s\n", "seed " n }'; }
[ "$(sed -n 1p said)" = "$(pattern 0 4096 | sha256sum | cut -d' ' -f1)" ]
sed -n 2p said | grep -q ' thin-pool 0 .* 35/1024 '
{
	pattern 0 128
	head -c 131072 /dev/zero | tr '\0' '\377'
	pattern 384 512
} | cmp - out/snapshot

"$oracles/metadata-verify" metadata
thin_check -q metadata
[ "$("$oracles/metadata-verify" --dump metadata | grep -c '^0 ')" = 32 ]
[ "$("$oracles/metadata-verify" --dump --held metadata | grep -c '^1 ')" = 25 ]
