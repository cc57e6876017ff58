#!/bin/bash
# bench/served measures what it says it does: there is a figure for each job.
# How good they are no test can tell.
set -euo pipefail
for tool in fio nbdkit fusermount3; do
	command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
[ "$(id -u)" = 0 ] && [ -w /dev/fuse ] || { echo "skipped: it takes root and FUSE to mount"; exit 77; }
for program in bench/passthrough examples/thinfs/thinfs examples/nbd/nbdkit-thinpool-plugin.so; do
	[ -e "${BUILD_ROOT:?}/$program" ] || { echo "skipped: $program was not built"; exit 77; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for how in fuse nbd; do
	"${SOURCE_ROOT:?}/bench/served" $how --rounds 1 --seconds 0.2 --size 16 --dir "$dir" --json >"$dir/$how.json"
	python3 - "$dir/$how.json" <<'PY'
import json, sys
jobs = json.load(open(sys.argv[1]))["jobs"]
assert len(jobs) == 6, jobs
for job in jobs:
    assert job["raw_mib_s"] > 0 and job["thin_mib_s"] > 0, job
    assert job["least"] <= job["ratio"] <= job["most"], job
PY
done
[ -z "$(find "$dir" -mindepth 1 ! -name '*.json')" ] || { ls -R "$dir"; echo "something was left"; exit 1; }
echo "a figure for each job"
