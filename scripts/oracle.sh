#!/usr/bin/env bash
# What `make oracle` does: the comparisons of tests/oracle, with Python packages from PyPI in target/oracle.
#
#     make oracle [DATA=FOLDER] [PYTHON=python3.12]
#
# DATA is a folder with real images (tests/oracle/README.md); what needs them is left out, and said to be, without it.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
python=${PYTHON:-python3}
venv=$target/oracle

packages="gdal-wheel numpy scipy scikit-image spyndex rio-cogeo rio-tiler morecantile jsonschema referencing rpcm"

# Made anew when it lacks something that is needed now.
if [ "$(cat "$venv/ready" 2> /dev/null)" != "$packages" ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' \
        || { echo "error: Python 3.12 or newer is needed; name one with PYTHON=" >&2; exit 1; }
    "$python" -m venv --clear "$venv"
    # shellcheck disable=SC2086 # a list
    "$venv/bin/pip" install -q $packages
    echo "$packages" > "$venv/ready"
fi
command -v strace > /dev/null || (. scripts/servers/common.sh && install_packages strace)
trap 'scripts/servers/ceph.sh stop' EXIT
ceph=$(scripts/servers/ceph.sh start "$(scripts/servers/free-port.sh)")
env $ceph FIELDGLOW_ORACLE_BUCKET=fieldglow-test tests/oracle/run_all.sh "$target/release/fieldglow" out/oracle "${DATA:-}" "$venv/bin/python"
