#!/usr/bin/env bash
# azurite on this machine: Microsoft's own emulator of Azure Blob Storage.
#
#     scripts/servers/azurite.sh start [PORT]    installs it if it is missing (from npm, into target/servers/azurite-npm),
#                                                starts it, prints the environment that leads clients there; PORT of 10000 if
#                                                none is given
#     scripts/servers/azurite.sh stop
#
# The container `fieldglow-test` is there, in the account that every azurite has.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/servers/common.sh
D=$SERVERS/azurite N=$SERVERS/azurite-npm
command=${1:-start} port=${2:-10000}
account=devstoreaccount1
# Published with azurite; it opens nothing else.
key=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==

stop() {
    stop_all "$D/pid"
    rm -rf "$D"
}

# Makes the container: one request, signed by the account's key.
container() {
    local date version=2021-08-06 path="/$account/fieldglow-test" hex text signature
    date=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')
    text=$(printf 'PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:%s\nx-ms-version:%s\n/%s%s\nrestype:container' "$date" "$version" "$account" "$path")
    hex=$(printf %s "$key" | base64 -d | od -An -tx1 | tr -d ' \n')
    signature=$(printf %s "$text" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hex" -binary | base64)
    curl -sf --max-time 120 -X PUT -H "x-ms-date: $date" -H "x-ms-version: $version" -H 'Content-Length: 0' \
        -H "Authorization: SharedKey $account:$signature" "http://127.0.0.1:$port$path?restype=container" > /dev/null
}

start() {
    for program in curl openssl; do
        command -v $program > /dev/null || install_packages curl openssl
    done
    command -v npm > /dev/null || install_packages nodejs npm
    if [ ! -e "$N/ready" ]; then
        mkdir -p "$N"
        npm install --silent --no-audit --no-fund --prefix "$N" azurite@3.35.0 < /dev/null > "$N/log" 2>&1 \
            || failed "installing azurite from npm: is there a network?" "$N/log"
        touch "$N/ready"
    fi
    [ ! -d "$D" ] || stop
    mkdir -p "$D"
    setsid "$N/node_modules/.bin/azurite-blob" --silent --inMemoryPersistence --blobHost 127.0.0.1 --blobPort "$port" \
        --skipApiVersionCheck --disableTelemetry < /dev/null > "$D/log" 2>&1 &
    echo $! > "$D/pid"
    wait_until "azurite on port $port" 120 listens "$port"
    container || failed "the container cannot be made" "$D/log"
    echo "AZURE_STORAGE_ENDPOINT=http://127.0.0.1:$port/$account AZURE_STORAGE_ACCOUNT_NAME=$account AZURE_STORAGE_ACCOUNT_KEY=$key"
}

"$command"
