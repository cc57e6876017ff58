#!/bin/bash
# Each rule, regression, scenario and fault is named by a test or excused; and
# the script that says so notices when one is not.
set -euo pipefail
root=${SOURCE_ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}
rules() { python3 "$root/tests/scripts/rules" "$@"; }

rules "$root" | tail -n 1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# project TEST EXCUSES: a small one, of four rules and three faults.
project() {
	rm -rf "$scratch/project"
	mkdir -p "$scratch/project/doc" "$scratch/project/tests/pool"
	cd "$scratch/project"
	printf -- '- %s: a title\n' B-PRE-1 B-PRE-2 B-PRE-3 CRE-01 >doc/rules.md
	printf '| %s | what fails | what is seen |\n' F-01 'F-02 to F-03' >doc/faults.md
	printf '%s\n' "$2" >doc/compatibility.md
	printf '%s\n' "$1" >tests/pool/test-one.c
}

fails() {
	local said
	! said=$(rules . 2>&1 >/dev/null) || { echo "accepted, but $1"; exit 1; }
	[ "$said" = "rules: $1" ] || { echo "'$said' instead of '$1'"; exit 1; }
}

project '/* B-PRE-1 to -3, CRE-01, F-01 to F-03. */' ''
rules . >/dev/null
project $'/* B-PRE-1,\n * -2 and -3; F-01..\n * 03. */' '| CRE-01 | too large |'
fails 'F-02 is named by no test and not excused
rules: F-03 is named by no test and not excused'
project $'/* B-PRE-1,\n * -2 and -3; F-01\n * to F-03. */' '| CRE-01 | too large |'
rules . >/dev/null
project '/* B-PRE-1 to -3, F-01 to F-03. */' '| a feature, CRE-01 | too large |'
fails 'CRE-01 is named by no test and not excused'
project '/* B-PRE-1 to -3, CRE-01, F-01 to F-03. */' '| CRE-01 | too large |'
fails 'CRE-01 is excused, but pool/one names it'
project '/* B-PRE-1 to -3, B-PRE-4, CRE-01, F-01 to F-03. */' ''
fails 'tests/pool/test-one.c names B-PRE-4, which is nothing'
project '/* B-PRE-1 to -3, CRE-01, F-01 to F-03. */' '| CRE-02 | too large |'
fails 'doc/compatibility.md excuses CRE-02, which is nothing'
project '/* B-PRE-3, CRE-01, F-01 to F-03. */' '| B-PRE-1, -2 | too large |'
rules . >/dev/null
