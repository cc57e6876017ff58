#!/bin/bash
# The comparison with the last release (./dev abi) sees what breaks a host, and
# only that.
set -euo pipefail
for tool in git abidiff gcc; do
	command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/tree"
cd "$dir/tree"
cp -r "${SOURCE_ROOT:?}"/{meson.build,meson_options.txt,include,src,doc,tests,tools,examples,bench} .
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org
git init -q
git add -A
git commit -qm one

expect() {
	local want=$1 rc=0
	bash tests/scripts/abi >abi.log 2>&1 || rc=$?
	[ $rc = "$want" ] && grep -q "$2" abi.log || { cat abi.log; echo "$3: $rc"; exit 1; }
}

expect 0 "no release is tagged" "without a release"
git tag v0.1.0
expect 0 "holds what it promised" "unchanged"

# One more function harms nobody, nor a member at the end of a struct that tells
# how long the host thinks it is.
echo 'int tp_answer(void); int tp_answer(void) { return 42; }' >>src/pool/status.c
sed -i 's/^\(LIBTHINPOOL_0.1 {\)/LIBTHINPOOL_0.2 { global: tp_answer; };\n\1/' src/libthinpool.map
sed -i '/^struct tp_pool_options {/,/^};/s/^};/\tuint64_t newcomer;\n};/' include/thinpool/pool.h
expect 0 "holds what it promised" "a function and an option more"

# But one in its midst.
git checkout -q .
sed -i 's/^struct tp_pool_options {/&\n\tuint64_t newcomer;/' include/thinpool/pool.h
expect 1 "has changed since v0.1.0" "a changed struct"

git checkout -q .
sed -i '/^\t\ttp_pool_commit;/d' src/libthinpool.map
expect 1 "has changed since v0.1.0" "a function less"

# With a new soname that is no harm.
sed -i "s/soversion: '0'/soversion: '1'/" src/meson.build
expect 0 "another library" "a new soname"
echo "added, changed, removed, renamed: each is told apart"
