#!/bin/bash
# Random walks, others each time, for two minutes; or SEED's alone.
LIMIT=600
. "$(dirname "$0")/support.sh"
. "$here/walk-rounds.sh"
SECONDS=0
while [ $SECONDS -lt 120 ]; do
	walk_round 4 2000 "${SEED:-$((RANDOM * 4))}"
done
