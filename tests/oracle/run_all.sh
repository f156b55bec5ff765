#!/bin/sh
# Runs every oracle: run_all.sh FIELDGLOW WORK [DATA] [PYTHON]. See README.md beside this file.
# Exit code: 0 if every oracle that ran kept its limits.
set -u
if [ $# -lt 2 ]; then
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
fi
binary=$1 work=$2 data=${3:-} python=${4:-python3}
linked=${LINKED_PYTHON:-/usr/bin/python3} # whose GDAL is the one the binary is linked with
here=$(dirname "$0")
status=0
mkdir -p "$work" || exit 2

oracle() {
    echo "== $*"
    script=$1
    shift
    "$python" "$here/$script" "$@" || status=1
}

oracle l1_truth.py "$binary" "$work"
oracle l1_truth.py "$binary" "$work" --relief 150 --roll 20
oracle wrong_datum.py "$binary" "$work"
oracle occlusion.py "$binary" "$work"
oracle gdalwarp_truth.py "$binary" "$work"
oracle gdalwarp_truth.py "$binary" "$work" --relief 150 --roll 20
oracle grids.py "$binary" "$work"
oracle gdalwarp_truth.py "$binary" "$work" --resampling cubic
oracle gdalwarp_truth.py "$binary" "$work" --seeds 1 --resampling lanczos
oracle averages.py "$binary" "$work"
oracle night_truth.py "$binary" "$work"
oracle coregistration.py "$binary" "$work" ${data:+--ventoux "$data/vhr_rpc"}
oracle pansharpen.py "$binary" "$work" --resampling cubic ${data:+--data "$data"}
oracle pansharpen.py "$binary" "$work" --resampling lanczos ${data:+--data "$data"}
oracle determinism.py "$binary" "$work"
oracle cog_matrix.py "$binary" "$work"
oracle many_archives.py "$binary" "$work"
if [ -n "${FIELDGLOW_ORACLE_BUCKET:-}" ]; then
    oracle storage.py "$binary" "$work" --bucket "$FIELDGLOW_ORACLE_BUCKET"
else
    echo "== storage.py: not run, FIELDGLOW_ORACLE_BUCKET names no bucket of an S3 server"
fi
set -- "$work"/grids_1_256_l1/runs "$work"/grids_1_256_l3/runs "$work"/grids_1_256_seam/*/runs "$work"/l1_1_1024_80_8_3/runs "$work"/night_1_1024_3/runs
if [ -n "$data" ]; then
    for resampling in bilinear cubic lanczos; do
        oracle ventoux.py "$binary" "$work" "$data/vhr_rpc/pleiades_ventoux" \
            --right "$data/vhr_rpc/pleiades_ventoux_right" --resampling "$resampling"
    done
    oracle landsat.py "$binary" "$work" "$data/multispectral/landsat8_toa_139045"
    oracle ndvi_spyndex.py "$binary" "$work" "$data/multispectral/sentinel2_10m_spyndex.tif"
    oracle rpc_numbers.py "$binary" "$work" "$data/vhr_rpc"
    oracle rpc_physical.py "$binary" "$work" "$data/vhr_rpc"
    if "$linked" -c 'from osgeo import gdal_array' 2>/dev/null; then
        newest=$python python=$linked
        oracle odd_tiffs.py "$binary" "$work" "$data/tiff_odd"
        python=$newest
    else
        echo "== odd_tiffs.py: not run, $linked has no GDAL; name the Python of the GDAL that is linked with LINKED_PYTHON="
    fi
    set -- "$@" "$work/ventoux_runs" "$work/landsat_runs" "$work/sentinel2_runs"
else
    echo "== ventoux.py, landsat.py, ndvi_spyndex.py, rpc_numbers.py, rpc_physical.py, odd_tiffs.py: not run, no DATA given"
fi
oracle conform.py "$@"
exit $status
