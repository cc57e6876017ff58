#!/bin/bash
# Arrows point down only: io < btree < space-map < pool < the houses on top
# (catalogue, ...).  Public headers know nothing of src/; programs, and the
# simulator, which is a library of its own, know the public headers and what
# lies beside them.
set -euo pipefail
cd "${SOURCE_ROOT:-$(dirname "$0")/../..}"

floor() {
	case $1 in
	io) echo 1 ;;
	btree) echo 2 ;;
	space-map) echo 3 ;;
	pool) echo 4 ;;
	*) echo 5 ;;
	esac
}

# allowed FILE INCLUDE: INCLUDE as written, with its quotes or brackets.
allowed() {
	local file=$1 name=${2:1:-1} from to
	case $2 in
	*..*) return 1 ;;
	'<thinpool/'*) return 0 ;;
	'<'*) return 0 ;;
	esac
	case $file in
	include/*) return 1 ;;
	src/simulator/*) [ -f "${file%/*}/$name" ] ;;
	src/*)
		[ "$name" != config.h ] || return 0
		from=$(cut -d/ -f2 <<<"$file")
		case $name in
		*/*) to=${name%%/*} ;;
		*) [ -f "${file%/*}/$name" ] && return 0 || return 1 ;;
		esac
		[ -d "src/$to" ] || return 1
		[ "$from" = "$to" ] || [ "$(floor "$to")" -lt "$(floor "$from")" ]
		;;
	*) [ -f "${file%/*}/$name" ] ;;
	esac
}

bad=0 nr=0
while IFS=: read -r file line include; do
	include=$(sed -E 's/^[^<"]*([<"][^>"]*[>"]).*/\1/' <<<"$include")
	nr=$((nr + 1))
	allowed "$file" "$include" || {
		echo "$file:$line: may not include $include"
		bad=1
	}
done < <(find include src tools examples bench -name '*.[ch]' -exec \
	grep -nHE '^[[:space:]]*#[[:space:]]*include' {} +)

[ $nr -gt 0 ] || { echo "no includes found: is this the source tree?"; exit 1; }
[ $bad = 0 ] && echo "$nr includes, all downward"
exit $bad
