#!/bin/bash
# Arrows point down only: io < btree < space-map < pool < the houses on top
# (catalogue, ...).  Public headers know nothing of src/; programs, and the
# simulator, which is a library of its own, know the public headers and what
# lies beside them, examples the folder besides that they share.
set -euo pipefail
cd "${SOURCE_ROOT:-$(dirname "$0")/../..}"

declare -A floor=([io]=1 [btree]=2 [space-map]=3 [pool]=4) # all others: 5

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
		from=${file#src/} from=${from%%/*}
		case $name in
		*/*) to=${name%%/*} ;;
		*) [ -f "${file%/*}/$name" ] && return 0 || return 1 ;;
		esac
		[ -d "src/$to" ] || return 1
		[ "$from" = "$to" ] || [ "${floor[$to]-5}" -lt "${floor[$from]-5}" ]
		;;
	*) [ -f "${file%/*}/$name" ] ;;
	esac
}

bad=0 nr=0
while IFS=: read -r file line include; do
	[[ $include =~ [\<\"][^\>\"]*[\>\"] ]] && include=${BASH_REMATCH[0]}
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
