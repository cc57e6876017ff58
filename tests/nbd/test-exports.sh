#!/bin/bash
# What is there to be connected to: names, sizes, what a volume can do; and what
# nbdkit says when it cannot be started.
. "$(dirname "$0")/support.sh"

thinpool create pool --size 64M >out
thinpool volume create pool base --size 1G >out
thinpool volume create pool 'größe, with space' --size 512 >out
thinpool snapshot pool base snap >out

refuses "which pool" "$NBD_PLUGIN"
refuses "no parameter 'pol'" "$NBD_PLUGIN" pool pol=1
refuses "there is no .*/none/metadata: 'thinpool create' makes a pool" "$NBD_PLUGIN" none
refuses 'no volume "none"' "$NBD_PLUGIN" pool volume=none
refuses "boolean (perhaps)" "$NBD_PLUGIN" pool readonly=perhaps
mkdir empty
truncate -s 4M empty/metadata empty/data
refuses "not formatted" "$NBD_PLUGIN" empty

# The name is a directory, or the two files; nbdkit is in / when it opens them.
nbdkit -U "$dir/socket" -P "$dir/pid" "$NBD_PLUGIN" pool volume=base 2>>server.log
await [ -s pid ]
pid=$(cat pid)
refuses "in use\|uses" "$NBD_PLUGIN" pool
same "$(nbdinfo --size "$(uri)")" $((1 << 30))
same "$(nbdinfo --size "$(uri snap)")" $((1 << 30))
same "$(nbdinfo --size "$(uri 'gr%C3%B6%C3%9Fe,%20with%20space')")" 512
! nbdinfo --size "$(uri none)" 2>err || die "there is an export 'none'"
same "$(nbdinfo --list --no-content --json "$(uri)" | python3 -c '
import json, sys
for e in json.load(sys.stdin)["exports"]:
    print(e["export-name"], e["export-size"], e["description"], sep=": ")')" \
	"base: 1073741824: thin 0
größe, with space: 512: thin 1
snap: 1073741824: thin 2, a snapshot of thin 0"
kill "$pid"
await ended

# What clients are told.
serve "$NBD_PLUGIN" pool=pool/metadata,pool/data
! nbdinfo --size "$(uri)" 2>err || die "there is a default export, and nobody named it"
same "$(exported "*[e['can_' + what] for what in (
	'multi_conn', 'flush', 'fua', 'trim', 'zero', 'fast_zero', 'cache')]" base)" \
	"True True True True True True True"
same "$(exported "e['is_read_only'], e['block_size_minimum'], e['block_size_preferred']" base)" \
	"False 512 65536"
stop

# Thins that others made have a number only, and end where they are mapped.
"${POOL_TOOL:?}" pool/metadata pool/data create 77
"$POOL_TOOL" pool/metadata pool/data fill 77 128 128 120
serve "$NBD_PLUGIN" pool 'volume=#77'
same "$(nbdinfo --list --no-content --json "$(uri)" | grep -c '"export-name": "#77"')" 1
same "$(nbdcopy "$(uri)" - | sum)" "$( (head -c 64K /dev/zero; head -c 64K /dev/zero | tr '\0' x) | sum)"
same "$(nbdinfo --size "$(uri %2377)")" 131072
stop

# A block of three times 64K: the preferred size is a power of two.
thinpool create odd --size 12M --block-size 192K >out
thinpool volume create odd v --size 1M >out
serve "$NBD_PLUGIN" odd volume=v
same "$(exported "e['block_size_preferred'], e['export-size']")" "65536 $((1 << 20))"
stop

# nbdkit's own -r; and a pool that nothing is written to may be served twice.
serve -r "$NBD_PLUGIN" pool volume=base
same "$(exported "e['is_read_only']")" True
stop
before=$(cat pool/metadata pool/data | sum)
serve "$NBD_PLUGIN" pool volume=base readonly=true
same "$(exported "e['is_read_only']")" True
LD_PRELOAD=$instrument command nbdkit -f -U "$dir/second" -P "$dir/second.pid" "$NBD_PLUGIN" pool \
	readonly=true 2>>server.log &
await [ -s second.pid ]
same "$(nbdinfo --size "$(uri snap second)")" $((1 << 30))
thinpool list pool >out
kill "$(cat second.pid)"
stop
same "$(cat pool/metadata pool/data | sum)" "$before"

nbdkit "$NBD_PLUGIN" --dump-plugin >out
grep -q '^name=thinpool$' out && grep -q '^thread_model=parallel$' out || die "$(cat out)"
grep -q "^thinpool_library=$(thinpool --version | grep -o '[0-9.]*$')\$" out || die "$(cat out)"
