# What the scripts beside this one share. Source it from the top of the tree.
SERVERS=$(realpath -m "${CARGO_TARGET_DIR:-target}/servers")

failed() { # failed MESSAGE [LOG]: says what went wrong, with the end of the log
    echo "error: $1" >&2
    [ $# -lt 2 ] || tail -n 20 "$2" >&2
    echo "everything that needs no server: make test-offline" >&2
    exit 1
}

listens() { (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

wait_until() { # wait_until WHAT SECONDS COMMAND...: until the command succeeds
    local what=$1 seconds=$2 end
    shift 2
    end=$((SECONDS + seconds))
    while [ $SECONDS -le $end ]; do
        ! "$@" || return 0
        sleep 0.1
    done
    failed "$what is not there after $seconds s"
}

install_packages() { # install_packages PACKAGE...: Debian packages
    command -v apt-get > /dev/null || failed "this machine has no apt-get; install in its own way: $*"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo > /dev/null || failed "run as root: apt-get install --no-install-recommends $*"
        as_root=(sudo)
    fi
    echo "installing with apt-get: $*" >&2
    "${as_root[@]}" apt-get update -qq < /dev/null > /dev/null || failed "apt-get update: is there a network?"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" < /dev/null > /dev/null || failed "installing $*"
}

stop_all() { # stop_all PIDFILE...: ends these processes, and no others
    local file pid
    for file in "$@"; do
        [ -s "$file" ] || continue
        pid=$(< "$file")
        kill "$pid" 2> /dev/null || continue
        for _ in $(seq 50); do
            kill -0 "$pid" 2> /dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2> /dev/null || true
    done
}
