#!/bin/bash
# Two random walks, always the same.  SEED has them take another way.
. "$(dirname "$0")/support.sh"
. "$here/walk-rounds.sh"
walk_round 2 1000 "${SEED:-1}"
