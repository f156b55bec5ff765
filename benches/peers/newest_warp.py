#!/usr/bin/env python3
"""The warp of the ortho job by the GDAL that this Python has (PyPI's gdal-wheel), as `gdalwarp` would be told to do it.

    newest_warp.py IMAGE DEM OUT EPSG PIXEL bilinear|cubic
"""

import sys

from osgeo import gdal

gdal.UseExceptions()
image, dem, out, epsg, pixel, resampling = sys.argv[1:]
gdal.Warp(
    out, image, rpc=True, transformerOptions=[f"RPC_DEM={dem}"], dstSRS=f"EPSG:{epsg}", xRes=float(pixel), yRes=float(pixel),
    targetAlignedPixels=True, resampleAlg=resampling, multithread=True, warpOptions=["NUM_THREADS=ALL_CPUS"],
    warpMemoryLimit=512, srcNodata=0, dstNodata=0, creationOptions=["TILED=YES", "BIGTIFF=IF_SAFER"],
)
