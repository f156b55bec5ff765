#!/usr/bin/env bash
# Runs a command while Ceph, moto and azurite are up, and stops them afterwards. Installs what is missing.
#
#     scripts/servers/with.sh COMMAND...
#
# The command finds their environments in FIELDGLOW_TEST_CEPH, FIELDGLOW_TEST_MOTO and FIELDGLOW_TEST_AZURITE.
set -euo pipefail
here=$(realpath "$(dirname "$0")")

started=()
stop() {
    local server
    for server in "${started[@]}"; do "$here/$server.sh" stop || true; done
}
trap stop EXIT

for server in ceph moto azurite; do
    port=$("$here/free-port.sh")
    started+=("$server")
    echo "starting $server on port $port" >&2
    environment=$("$here/$server.sh" start "$port")
    export "FIELDGLOW_TEST_${server^^}=$environment"
done
"$@"
