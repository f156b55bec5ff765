#!/usr/bin/env bash
# Draws docs/images/demo.png from what `make demo` wrote: true colour, NDVI, and the lights of the night.
#
#     scripts/picture.sh [PRODUCTS [PNG]]
#
# Needs the GDAL programs (Debian: gdal-bin). NDVI: dark brown is water, light brown bare soil and houses, green dense crop.
# Lights: by the square root of the radiance above the dark level, as it spans decades.
set -euo pipefail
cd "$(dirname "$0")/.."
products=${1:-out/products}
png=${2:-docs/images/demo.png}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The demo's scenes: 1240 pixels of 3 m a side by day, at a third of their size; 2480 of 0.9375 m at night, at a sixth.
side=413
day=(-srcwin 1136 728 1240 1240 -outsize $side $side -r average)
night=(-srcwin 288 3080 2480 2480 -outsize $side $side -r average)

# True colour: stored reflectance (step 0.0001) of 0.04 to 0.28 as black to white.
gdalbuildvrt -q "$work/reflectance.vrt" "$products"/agriculture/*/*/*/reflectance.tif
gdal_translate -q "${day[@]}" -b 3 -b 2 -b 1 -ot Byte -scale 400 2800 1 255 -a_nodata 0 \
    "$work/reflectance.vrt" "$work/1.tif"

# NDVI: stored value to colour.
gdalbuildvrt -q "$work/ndvi.vrt" "$products"/agriculture/*/*/*/ndvi.tif
gdal_translate -q "${day[@]}" "$work/ndvi.vrt" "$work/ndvi.tif"
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
gdaldem color-relief -q "$work/ndvi.tif" "$work/colours.txt" "$work/2.tif"

# Lights: 0 to 0.8 W·m⁻²·sr⁻¹·µm⁻¹ as dark gray to white, so that unlit ground differs from what was not imaged.
gdalbuildvrt -q "$work/lights.vrt" "$products"/night-light/*/*/*/lights.tif
gdal_translate -q "${night[@]}" -ot Byte -scale 0 0.8 24 255 -exponent 0.5 -a_nodata 0 \
    "$work/lights.vrt" "$work/3.tif"

# Side by side: each picture moved to the right of the one before it, eight pixels apart.
for k in 1 2 3; do
    left=$(((k - 1) * (side + 8)))
    gdal_translate -q -a_ullr $left $side $((left + side)) 0 -a_srs EPSG:32651 -a_nodata none -a_scale 1 -a_offset 0 \
        "$work/$k.tif" "$work/placed$k.tif"
done
gdalbuildvrt -q "$work/all.vrt" "$work"/placed?.tif
gdal_translate -q -of PNG -co ZLEVEL=9 "$work/all.vrt" "$work/demo.png"
mkdir -p "$(dirname "$png")"
mv "$work/demo.png" "$png"
echo "$png"
