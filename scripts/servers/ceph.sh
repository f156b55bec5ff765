#!/usr/bin/env bash
# A Ceph object gateway on this machine: a real S3 server, one process each of monitor, storage and gateway, all data in
# memory.
#
#     scripts/servers/ceph.sh start [PORT]    installs it if it is missing (Debian packages), starts it, prints the
#                                             environment that leads clients there; PORT of 7480 if none is given
#     scripts/servers/ceph.sh stop
#
# The bucket `fieldglow-test` is there. Everything it writes is below target/servers/ceph.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/servers/common.sh
D=$SERVERS/ceph
command=${1:-start} port=${2:-7480}

stop() {
    stop_all "$D"/run/osd.0.pid "$D"/run/mon.a.pid "$D"/run/client.admin.pid
    rm -rf "$D"
}

start() {
    for program in ceph-mon ceph-osd radosgw uuidgen curl openssl; do
        command -v $program > /dev/null || install_packages ceph-mon ceph-osd radosgw uuid-runtime curl openssl
    done
    [ ! -d "$D" ] || stop
    mkdir -p "$D"/{mon,osd,run,log}
    cd "$D"
    local fsid monitor messenger
    fsid=$(uuidgen)
    monitor=$((port + 1)) messenger=$((port + 2))
    cat > ceph.conf <<C
[global]
fsid = $fsid
mon initial members = a
mon host = [v2:127.0.0.1:$monitor,v1:127.0.0.1:$messenger]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = $D/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
osd objectstore = memstore
memstore device bytes = 4294967296
# A monitor ends itself where little of the disk is free, although nothing of this is on it.
mon data avail crit = 0
run dir = $D/run
admin socket = $D/run/\$name.asok
pid file = $D/run/\$name.pid
log file = $D/log/\$name.log
mon data = $D/mon
osd data = $D/osd
paxos propose interval = 0.05
[client.admin]
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw run sync thread = false
C
    # In a shell of its own, so that each command that fails ends it, and what it says is in the log and shown from there.
    # The monitor and the storage stay in the background with whatever they were given, so they are given nothing.
    # How long it may take says nothing of Ceph: the machine may be busy with something else.
    trap 'failed "Ceph did not start" "$D/log/start.log"' ERR
    (
        ceph-authtool --create-keyring keyring --gen-key -n mon. --cap mon 'allow *'
        ceph-authtool keyring --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
        monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$monitor,v1:127.0.0.1:$messenger]" monmap
        ceph-mon -c ceph.conf -i a --mkfs --monmap monmap --keyring keyring
        ceph-mon -c ceph.conf -i a
        osd=$(uuidgen)
        timeout 120 ceph -c ceph.conf osd new "$osd"
        ceph-authtool keyring --gen-key -n osd.0
        timeout 120 ceph -c ceph.conf auth add osd.0 mon 'allow profile osd' osd 'allow *' \
            -i <(ceph-authtool keyring -p -n osd.0 | sed 's/^/\tkey = /;1i [osd.0]')
        ceph-osd -c ceph.conf -i 0 --mkfs --osd-uuid "$osd"
        ceph-osd -c ceph.conf -i 0
        wait_until "Ceph's storage" 120 osd_is_up
        timeout 120 ceph -c ceph.conf osd crush set osd.0 1.0 root=default host=h
        timeout 300 radosgw-admin -c ceph.conf user create --uid=test --display-name=test \
            --access-key=AKIATEST --secret=SECRETTEST
        radosgw -c ceph.conf -n client.admin
    ) < /dev/null > log/start.log 2>&1
    trap - ERR
    wait_until "Ceph's gateway on port $port" 120 listens "$port"
    bucket || failed "the bucket cannot be made" log/client.admin.log
    echo "AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=AKIATEST AWS_SECRET_ACCESS_KEY=SECRETTEST AWS_REGION=us-east-1"
}

# Makes the bucket, and writes an object and begins an upload in it, which are gone again afterwards: the first of each makes
# pools of the gateway and takes its time, which nobody is to wait for who comes later.
bucket() {
    local upload
    request PUT /fieldglow-test > /dev/null || return
    request PUT /fieldglow-test/first --data-binary first > /dev/null || return
    request DELETE /fieldglow-test/first > /dev/null || return
    upload=$(request POST '/fieldglow-test/first?uploads' | sed -n 's/.*<UploadId>\([^<]*\)<.*/\1/p')
    [ -n "$upload" ] && request DELETE "/fieldglow-test/first?uploadId=$upload" > /dev/null
}

# A request, signed in the older way, which needs no more than a digest: METHOD RESOURCE [CURL'S OPTIONS].
request() {
    local method=$1 resource=$2 date signature
    shift 2
    date=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')
    signature=$(printf '%s\n\n\n%s\n%s' "$method" "$date" "$resource" | openssl dgst -sha1 -hmac SECRETTEST -binary | base64)
    curl -sf --max-time 300 -X "$method" -H "Date: $date" -H "Authorization: AWS AKIATEST:$signature" -H 'Content-Type:' \
        "$@" "http://127.0.0.1:$port$resource"
}

osd_is_up() { timeout 10 ceph -c ceph.conf osd stat 2> /dev/null | grep -q '1 up'; }

"$command"
