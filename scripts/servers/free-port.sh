#!/usr/bin/env bash
# Prints a port of 20000 to 30999 that nobody listens on, nor on the two after it, which Ceph takes as well. From 32768 on
# the system gives ports to clients.
set -euo pipefail
. "$(dirname "$0")/common.sh"
for _ in $(seq 100); do
    port=$((20000 + RANDOM % 11000))
    if ! listens $port && ! listens $((port + 1)) && ! listens $((port + 2)); then
        echo $port
        exit
    fi
done
failed "no free port was found"
