#!/usr/bin/env bash
# Prints a port of 20000 to 30999 that nobody listens on, nor on those 10,000 and 10,001 above, which Ceph takes as well.
set -euo pipefail
. "$(dirname "$0")/common.sh"
for _ in $(seq 100); do
    port=$((20000 + RANDOM % 11000))
    if ! listens $port && ! listens $((port + 10000)) && ! listens $((port + 10001)); then
        echo $port
        exit
    fi
done
failed "no free port was found"
