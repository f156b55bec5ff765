#!/usr/bin/env bash
# Draws docs/images/demo.png from what `make demo` wrote: true colour on the left, NDVI on the right.
#
#     scripts/picture.sh [PRODUCTS [PNG]]
#
# Needs the GDAL programs (Debian: gdal-bin). NDVI: dark brown is water, light brown bare soil and houses, green dense crop.
set -euo pipefail
cd "$(dirname "$0")/.."
products=${1:-out/products/agriculture}
png=${2:-docs/images/demo.png}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The demo's scene, 1240 pixels of 3 m a side, at a third of its size.
window=(-srcwin 1136 728 1240 1240 -outsize 413 413 -r average)
side=413

# True colour: stored reflectance (step 0.0001) of 0.04 to 0.28 as black to white.
gdalbuildvrt -q "$work/reflectance.vrt" "$products"/*/*/*/reflectance.tif
gdal_translate -q "${window[@]}" -b 3 -b 2 -b 1 -ot Byte -scale 400 2800 1 255 -a_nodata 0 \
    "$work/reflectance.vrt" "$work/left.tif"

# NDVI: stored value to colour.
gdalbuildvrt -q "$work/ndvi.vrt" "$products"/*/*/*/ndvi.tif
gdal_translate -q "${window[@]}" "$work/ndvi.vrt" "$work/ndvi.tif"
cat > "$work/colours.txt" <<'C'
nv 0 0 0
-3000 110 80 60
0 166 124 82
1500 214 188 130
3000 244 236 180
5000 150 196 96
7000 52 140 60
8000 16 90 40
C
gdaldem color-relief -q "$work/ndvi.tif" "$work/colours.txt" "$work/right.tif"

# Side by side: the same picture, moved to the right by its width and eight pixels.
gdal_translate -q -a_ullr 0 "$side" "$side" 0 -a_srs EPSG:32651 -a_nodata none -a_scale 1 -a_offset 0 "$work/left.tif" "$work/a.tif"
gdal_translate -q -a_ullr $((side + 8)) "$side" $((2 * side + 8)) 0 -a_srs EPSG:32651 -a_nodata none \
    "$work/right.tif" "$work/b.tif"
gdalbuildvrt -q "$work/both.vrt" "$work/a.tif" "$work/b.tif"
gdal_translate -q -of PNG -co ZLEVEL=9 "$work/both.vrt" "$work/demo.png"
mkdir -p "$(dirname "$png")"
mv "$work/demo.png" "$png"
echo "$png"
