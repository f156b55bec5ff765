"""Comparing Fieldglow's resampled products with gdalwarp of a recent GDAL. Used by gdalwarp_truth.py, ventoux.py and
averages.py.

GDAL warps the digital numbers to float32 on the exact pixels of every cell (METHOD=RPC, RPC_PIXEL_ERROR_THRESHOLD=0.001,
error threshold 0); a formula in f64 then makes physical values of them.
"""

import numpy as np
from osgeo import gdal

from common import Product, erode, shift_summary, shifts, valid

# Pixels nearer than this to an invalid one, in either image, are not compared: near it weights are renormalised here, and
# gdalwarp goes back to bilinear interpolation.
EDGE_PX = {"bilinear": 3, "cubic": 4, "lanczos": 6, "average": 3}
SHARE_LIMIT = 0.999
SHIFT_LIMIT_PX = 0.02

# A kernel of so many source pixels whatever the ratio of the pixel sizes: without it GDAL widens the kernel where output
# pixels are larger than source pixels, which is another filter than interpolation.
PLAIN_KERNEL = ["XSCALE=1", "YSCALE=1"]


def require_recent_gdal():
    """GDAL before 3.10 has half-pixel faults in RPC warping."""
    if int(gdal.VersionInfo()) < 3100000:
        raise SystemExit(f"GDAL 3.10 or newer is needed, this is {gdal.__version__}")


def warp(image, like, height, fill, kernel, resampling="bilinear"):
    """The image's digital numbers on the pixels of a dataset: (band, row, col) float32, NaN where invalid.

    `height`: the file of a DEM, or a number, above the ellipsoid; None for an image on a map.
    """
    x0, dx, _, y0, _, dy = like.GetGeoTransform()
    cols, rows = like.RasterXSize, like.RasterYSize
    options = ["METHOD=RPC", "RPC_PIXEL_ERROR_THRESHOLD=0.001"]
    if height is None:
        options = []
    elif isinstance(height, float):
        options.append(f"RPC_HEIGHT={height}")
    else:
        options += [f"RPC_DEM={height}", "RPC_DEMINTERPOLATION=bilinear"]
    # Cells reach beyond the DEM, and GDAL warns of every block that does; errors are raised all the same.
    with gdal.quiet_warnings():
        made = gdal.Warp(
            "",
            image,
            format="MEM",
            dstSRS=like.GetProjection(),
            outputBounds=(x0, y0 + rows * dy, x0 + cols * dx, y0),
            width=cols,
            height=rows,
            resampleAlg=resampling,
            errorThreshold=0,
            transformerOptions=options,
            warpOptions=list(kernel),
            outputType=gdal.GDT_Float32,
            workingType=gdal.GDT_Float32,
            srcNodata=fill,
            dstNodata=float("nan"),
            warpMemoryLimit=1024,
        )
    return made.ReadAsArray().reshape(made.RasterCount, rows, cols)


class Tally:
    """Differences of one band over all cells, in stored or physical units and in input DN."""

    def __init__(self):
        self.dn, self.within = [], 0

    def add(self, difference, per_dn, least):
        """Differences, what one DN is worth there, and the least tolerance."""
        self.dn.append((difference / per_dn).astype(np.float32))
        self.within += int((difference <= np.maximum(per_dn, least)).sum())

    def line(self):
        dn = np.concatenate(self.dn) if self.dn else np.zeros(0)
        if not len(dn):
            return {"count": 0, "share": 0.0, "outside": 0, "max": np.nan, "median": np.nan, "p999": np.nan}
        return {
            "count": len(dn),
            "share": self.within / len(dn),
            "outside": len(dn) - self.within,
            "max": float(dn.max()),
            "median": float(np.median(dn)),
            "p999": float(np.percentile(dn, 99.9)),
        }


def compare(output, product, image, height, fill, formula, label, report, kernel=PLAIN_KERNEL, window=128, resampling="bilinear"):
    """Compares a product with the warped image and prints the figures.

    `formula(dn)` turns warped DN (band, row, col, f64) into a list of (name, values, what one DN is worth), one entry per
    band of the product. `window`: side of the windows the shift is estimated in; None for images too small for it.
    """
    files = Product(output, product).files
    edge = EDGE_PX[resampling]
    tallies, footprint, found = {}, np.zeros(5, dtype=np.int64), []
    for file in files:
        d = gdal.Open(file)
        band = d.GetRasterBand(1)
        scale, nodata = band.GetScale() or 1.0, band.GetNoDataValue()
        is_float = band.DataType in (gdal.GDT_Float32, gdal.GDT_Float64)
        stored = d.ReadAsArray().reshape(d.RasterCount, d.RasterYSize, d.RasterXSize)
        dn = warp(image, d, height, fill, kernel, resampling)
        for k, (name, theirs, per_dn) in enumerate(formula(dn.astype(np.float64))):
            in_ours, in_theirs = valid(stored[k], nodata), ~np.isnan(theirs)
            inner = erode(in_ours, edge) & erode(in_theirs, edge)
            ours = np.where(in_ours, stored[k] * np.float64(scale), np.nan)
            difference = np.abs(ours - theirs)[inner]
            worth = np.broadcast_to(per_dn, theirs.shape)[inner]
            tallies.setdefault(name, Tally()).add(difference, worth, 0.0 if is_float else scale)
            if k == 0:
                only_ours, only_theirs = in_ours & ~in_theirs, in_theirs & ~in_ours
                # Farther than the edge's own width inside one image, but missing in the other: a hole.
                holes = (only_ours & erode(in_ours, edge)) | (only_theirs & erode(in_theirs, edge))
                footprint += [m.sum() for m in (in_ours & in_theirs, only_ours, only_theirs, holes, inner)]
            if window and k == len(stored) - 1:
                found.append(shifts(theirs, ours, window))
    for name, tally in tallies.items():
        t = tally.line()
        print(
            f"{label} {name:>5}: {t['count']:9} px compared, within one DN {t['share'] * 100:.4f} % ({t['outside']} not);"
            f" difference in DN: median {t['median']:.3f}, 99.9 % {t['p999']:.3f}, max {t['max']:.3f}"
        )
        report.limit(f"{label} {name} share within one DN", t["share"], SHARE_LIMIT, at_least=True)
    if window:
        s = shift_summary(np.concatenate(found))
        print(
            f"{label} shift rows {s['rows']:+.4f} cols {s['cols']:+.4f} px; length median {s['median']:.4f}, 95 %"
            f" {s['p95']:.4f} px; {s['windows']} windows"
        )
        report.limit(f"{label} shift, px", s["median"], SHIFT_LIMIT_PX)
    both, ours, theirs, holes, _ = footprint
    print(f"{label} footprint: {both} px in both, {ours} in ours only, {theirs} in GDAL's only, {holes} of these no edge")
    report.limit(f"{label} holes", holes, 0)
