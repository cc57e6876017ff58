#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# How the command explains itself, and what it says to wrong usage: exit status
# 2 for that, and one line.
. "$(dirname "$0")/support.sh"

commands=(create status list 'volume create' 'volume delete' 'volume rename'
	'volume resize' snapshot import export read write discard map check grow trim)

thinpool --version | grep -qE '^thinpool [0-9]+\.[0-9]+\.[0-9]+$' || die "no version"
thinpool --help >help
for command in "${commands[@]}"; do
	grep -qE "^  $command +[a-z]" help || die "--help leaves out $command"
	# shellcheck disable=SC2086
	thinpool $command --help | grep -q "^usage: thinpool $command POOL" || die "no help on $command"
	# shellcheck disable=SC2086
	fails 2 "too few words: thinpool $command POOL.*--help" $command
	# shellcheck disable=SC2086
	fails 2 "no option --frobnicate" $command --frobnicate pool
	# shellcheck disable=SC2086
	fails 2 "too many words" $command pool a b c d
done

fails 2 "there is no command"
fails 2 "no command 'frobnicate'" frobnicate
fails 2 "create, delete, rename or resize" volume
fails 2 "create, delete, rename or resize" volume frobnicate pool
fails 2 "takes no --json" create pool --json
fails 2 "takes no --id" status pool --id 3
# B-BAD-1: what is missing, and what is no number.
fails 2 "wants a value" create pool --size
fails 2 "'10X' is no size" create pool --size 10X
fails 2 "'' is no size" create pool --size ''
fails 2 "'1KK' is no size" create pool --size 1KK
fails 2 "'-1' is no size" create pool --size -1
fails 2 "'99999999999999999999' is no size" create pool --size 99999999999999999999
fails 2 "'99999999999T' is no size" create pool --size 99999999999T
fails 2 "no multiple of 512" create pool --size 1000
fails 2 "no number from 0" volume delete pool --id 16777216
fails 2 "no number from 0" volume delete pool --id x
[ ! -e pool ] || die "wrong usage made something"

# What cannot be printed is a failure, too.
rc=0
thinpool --help >/dev/full 2>err || rc=$?
same $rc 1
grep -q "standard output" err || die "says: $(cat err)"
