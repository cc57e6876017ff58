#!/bin/bash
# Killed at any time, the server loses nothing that a flush or FUA has promised
# (B-CRASH-2), whatever connection it came on, and changes nothing else.  SEED says
# what is written and when it is killed.
. "$(dirname "$0")/support.sh"
. "$here/kill-rounds.sh"
kill_rounds 1
