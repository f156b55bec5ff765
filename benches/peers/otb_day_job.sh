#!/usr/bin/env bash
# The day job with the Orfeo ToolBox: the indices in one pass of BandMathX, pixel states in another; GDAL makes the COGs.
# usage: otb_day_job.sh SCENE.tif OUTDIR   (coefficients as in gdal_chain_day_job.sh)
set -e
in=$1; o=$2; rm -rf "$o"; mkdir -p "$o"
cog="-q -of COG -co COMPRESS=ZSTD -co LEVEL=3 -co PREDICTOR=YES -co NUM_THREADS=ALL_CPUS -co RESAMPLING=AVERAGE -co BIGTIFF=IF_SAFER"
gdal_translate $cog -ot Int16 -a_nodata -32768 -scale_1 0 4095 0 10000 -scale_2 0 4095 0 9800 -scale_3 0 4095 0 9500 -scale_4 0 4095 0 9900 "$in" "$o/reflectance.tif"
math() { otbcli_BandMathX -il "$1" -out "$o/$2.tmp.tif?&gdal:co:BIGTIFF=IF_SAFER" "$3" -exp "$4" -ram 1024 -progress 0 > "$o/$2.log"; rm "$o/$2.log"; }
b='(im1b1*1e-4)' g='(im1b2*1e-4)' r='(im1b3*1e-4)' n='(im1b4*1e-4)'
math "$o/reflectance.tif" indices int16 "1e4*($n-$r)/($n+$r+1e-9); 1e4*2.5*($n-$r)/($n+6*$r-7.5*$b+1); 1e4*1.5*($n-$r)/($n+$r+0.5); 1e4*($g-$n)/($g+$n+1e-9); 1e4*($n-$g)/($n+$g+1e-9)"
k=0
for index in ndvi evi savi ndwi gndvi; do k=$((k + 1)); gdal_translate $cog -b $k -a_nodata -32768 "$o/indices.tmp.tif" "$o/$index.tif"; done
rm "$o/indices.tmp.tif"
math "$in" qa uint16 "(((im1b1==0) and (im1b2==0) and (im1b3==0) and (im1b4==0)) ? 1 : 0) + (((im1b1>=4095) or (im1b2>=4095) or (im1b3>=4095) or (im1b4>=4095)) ? 2 : 0)"
gdal_translate $cog -co PREDICTOR=NO -co RESAMPLING=MODE "$o/qa.tmp.tif" "$o/qa.tif"; rm "$o/qa.tmp.tif"
