#!/bin/bash
# As nbd/kill, many times.
. "$(dirname "$0")/support.sh"
. "$here/kill-rounds.sh"
kill_rounds 15
