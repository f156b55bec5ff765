#!/usr/bin/env bash
# The same products as `fieldglow run` with reflectance, NDVI and qa, as one would script them with the GDAL command line:
# gdalwarp with RPC and DEM to one UTM GeoTIFF, then gdal_translate / gdal_calc, each to a COG (ZSTD 3, predictor).
# usage: ortho_chain.sh MSS.tif DEM.tif OUTDIR PIXEL_M EPSG   (linear coefficients stand in for gain, bias and sun: same cost)
set -euo pipefail
in=$1 dem=$2 o=$3 px=$4 epsg=$5
rm -rf "$o" && mkdir -p "$o"
gdalwarp -q -rpc -to RPC_DEM="$dem" -t_srs "EPSG:$epsg" -tr "$px" "$px" -tap -r bilinear -multi -wo NUM_THREADS=ALL_CPUS \
  -wm 512 -srcnodata 0 -dstnodata 0 -co TILED=YES -co BIGTIFF=IF_SAFER "$in" "$o/warped.tif"
cog="-q -of COG -co COMPRESS=ZSTD -co LEVEL=3 -co PREDICTOR=YES -co NUM_THREADS=ALL_CPUS -co RESAMPLING=AVERAGE -co BIGTIFF=IF_SAFER"
# shellcheck disable=SC2086
gdal_translate $cog -ot Int16 -a_nodata -32768 -scale_1 0 4095 0 7100 -scale_2 0 4095 0 7050 -scale_3 0 4095 0 7060 -scale_4 0 4095 0 7060 \
  "$o/warped.tif" "$o/reflectance.tif"
f='.astype(numpy.float32)*1e-4'
gdal_calc.py --quiet --overwrite -C "$o/reflectance.tif" --C_band=3 -D "$o/reflectance.tif" --D_band=4 --outfile="$o/ndvi.tmp.tif" \
  --type=Int16 --NoDataValue=-32768 --calc="1e4*(D$f-C$f)/(D$f+C$f+1e-9)"
# shellcheck disable=SC2086
gdal_translate $cog "$o/ndvi.tmp.tif" "$o/ndvi.tif"
w="$o/warped.tif"
gdal_calc.py --quiet --overwrite -A "$w" --A_band=1 -B "$w" --B_band=2 -C "$w" --C_band=3 -D "$w" --D_band=4 --outfile="$o/qa.tmp.tif" \
  --type=UInt16 --calc="((A==0)&(B==0)&(C==0)&(D==0))*1+((A>=4095)|(B>=4095)|(C>=4095)|(D>=4095))*256"
# shellcheck disable=SC2086
gdal_translate ${cog/RESAMPLING=AVERAGE/RESAMPLING=MODE} -co PREDICTOR=NO "$o/qa.tmp.tif" "$o/qa.tif"
rm "$o"/*.tmp.tif "$o/warped.tif"
