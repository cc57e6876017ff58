#!/bin/bash
# As test-walk, for two minutes.
LIMIT=400
WALK_SECONDS=120
. "$(dirname "$0")/test-walk.sh"
