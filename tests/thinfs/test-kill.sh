#!/bin/bash
# Killed at any time, thinfs loses nothing that was synced, nor a name.  SEED
# says what else is written and when else it is killed.
. "$(dirname "$0")/support.sh"
. "$here/kill-rounds.sh"
kill_rounds 3 3 "${SEED:-1}"
