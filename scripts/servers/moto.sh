#!/usr/bin/env bash
# moto on this machine: a second implementation of S3, with conditions on writes.
#
#     scripts/servers/moto.sh start [PORT]    installs it if it is missing (from PyPI, into target/servers/moto-venv), starts
#                                             it, prints the environment that leads clients there; PORT of 5001 if none is given
#     scripts/servers/moto.sh stop
#
# The bucket `fieldglow-test` is there. Any key is accepted.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/servers/common.sh
D=$SERVERS/moto V=$SERVERS/moto-venv
command=${1:-start} port=${2:-5001}

stop() {
    stop_all "$D/pid"
    rm -rf "$D"
}

start() {
    command -v curl > /dev/null || install_packages curl
    if [ ! -e "$V/ready" ]; then
        "${PYTHON:-python3}" -c 'import venv, ensurepip' 2> /dev/null || install_packages python3-venv
        "${PYTHON:-python3}" -m venv --clear "$V" || failed "making a Python environment"
        "$V/bin/pip" install -q --disable-pip-version-check uv && "$V/bin/uv" pip install -q --python "$V/bin/python" 'moto[server]==5.2.5' \
            || failed "installing moto from PyPI: is there a network?"
        touch "$V/ready"
    fi
    [ ! -d "$D" ] || stop
    mkdir -p "$D"
    setsid "$V/bin/moto_server" -H 127.0.0.1 -p "$port" < /dev/null > "$D/log" 2>&1 &
    echo $! > "$D/pid"
    wait_until "moto on port $port" 120 listens "$port"
    curl -sf --max-time 120 -X PUT "http://127.0.0.1:$port/fieldglow-test" > /dev/null || failed "the bucket cannot be made" "$D/log"
    echo "AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_REGION=us-east-1"
}

"$command"
