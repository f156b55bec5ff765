"""Ground that terrain hides from an oblique sensor: the bit of `qa`, against a march along every line of sight.

    occlusion.py FIELDGLOW WORK [--seed 3] [--size 320] [--roll 30]

A simulated delivery gives the sensor model; its DEM is replaced by hills of ten times the height, with a cliff and a wall.
For every stored pixel the height is interpolated, the image position computed, and the ground position of that image
position at heights above it, metre by metre, until no terrain is higher: hidden if the DEM stands above the line by more than
a metre. RPC, interpolation and march are written here in numpy and share nothing with Fieldglow.

Fieldglow follows lines from the nodes of the DEM, a pixel at a time, and interpolates between: it may differ where the edge
of a shadow runs through a pixel of the DEM. Limits: the bit is the same on 99 % of the valid pixels and on all that are
further than a pixel of the DEM from an edge; at least 2 % are hidden; without relief none is; with other thread counts the
bytes are the same; values of other products do not change with the bit.

Exit code: 0 if all limits are kept.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from osgeo import gdal, osr

from common import Product, Report, erode, product_files, run, simulate

TOLERANCE_M = 1.0
OCCLUDED = 1 << 12
PIXEL_M = 6.0

PIPELINE = f"""schema = 1
name = "occlusion"
[radiometry]
level = "toa"
[geometry]
mode = "ortho"
crs = "utm"
resolution = {PIXEL_M}
height = {{ dem = "DEM", datum = "ellipsoid" }}
[[product]]
name = "reflectance"
kind = "bands"
bands = ["B", "G", "R", "N"]
"""
QA = """[[product]]
name = "qa"
kind = "qa"
bands = ["B", "G", "R", "N"]
"""


class Rpc:
    """Image position of ground and ground position of image, for arrays."""

    def __init__(self, path):
        fields = {}
        for line in path.read_text().splitlines():
            if ":" in line:
                key, value = line.split(":", 1)
                fields[key.strip()] = float(value.split()[0])

        def coefficients(name):
            return np.array([fields[f"{name}_{k}"] for k in range(1, 21)])

        self.off = [fields[k] for k in ("LONG_OFF", "LAT_OFF", "HEIGHT_OFF", "SAMP_OFF", "LINE_OFF")]
        self.scale = [fields[k] for k in ("LONG_SCALE", "LAT_SCALE", "HEIGHT_SCALE", "SAMP_SCALE", "LINE_SCALE")]
        self.ratios = [
            (coefficients(f"{side}_NUM_COEFF"), coefficients(f"{side}_DEN_COEFF")) for side in ("SAMP", "LINE")
        ]

    def image(self, lon, lat, height):
        x, y, h = ((v - o) / s for v, o, s in zip((lon, lat, height), self.off, self.scale))
        one = np.ones_like(x)
        terms = [one, x, y, h, x * y, x * h, y * h, x * x, y * y, h * h, y * x * h, x**3, x * y * y, x * h * h]
        terms += [x * x * y, y**3, y * h * h, x * x * h, y * y * h, h**3]
        terms = np.stack(terms)
        col, row = (np.tensordot(n, terms, 1) / np.tensordot(d, terms, 1) for n, d in self.ratios)
        return col * self.scale[3] + self.off[3], row * self.scale[4] + self.off[4]

    def ground(self, col, row, height, lon, lat):
        """By Newton's method from a first guess."""
        lon, lat = lon.copy(), lat.copy()
        for _ in range(6):
            c, r = self.image(lon, lat, height)
            d = 1e-6
            c1, r1 = self.image(lon + d, lat, height)
            c2, r2 = self.image(lon, lat + d, height)
            a, b, e, f = (c1 - c) / d, (c2 - c) / d, (r1 - r) / d, (r2 - r) / d
            det = a * f - b * e
            lon += ((col - c) * f - (row - r) * b) / det
            lat += ((row - r) * a - (col - c) * e) / det
        return lon, lat


class Dem:
    def __init__(self, path):
        d = gdal.Open(str(path))
        self.heights = d.ReadAsArray().astype(float)
        self.x0, self.dx, _, self.y0, _, self.dy = d.GetGeoTransform()

    def at(self, lon, lat):
        c, r = (lon - self.x0) / self.dx - 0.5, (lat - self.y0) / self.dy - 0.5
        rows, cols = self.heights.shape
        inside = (c >= 0) & (r >= 0) & (c <= cols - 1) & (r <= rows - 1)
        c0, r0 = np.clip(np.floor(c).astype(int), 0, cols - 2), np.clip(np.floor(r).astype(int), 0, rows - 2)
        fc, fr = c - c0, r - r0
        h = self.heights
        upper = h[r0, c0] + (h[r0, c0 + 1] - h[r0, c0]) * fc
        lower = h[r0 + 1, c0] + (h[r0 + 1, c0 + 1] - h[r0 + 1, c0]) * fc
        return np.where(inside, upper + (lower - upper) * fr, np.nan)


def steep(source, target):
    """The DEM with its hills ten times as high, a cliff, and a wall, and wide enough for such heights."""
    d = gdal.Open(str(source))
    rim = 40
    h = np.pad(d.ReadAsArray().astype(float), rim, mode="edge")
    rows, cols = h.shape
    h = 220 + 10 * (h - 220)
    h[:, cols // 3 :] += 150
    h[rows // 4 : 3 * rows // 4, cols // 2 : cols // 2 + 2] += 300
    x0, dx, _, y0, _, dy = d.GetGeoTransform()
    copy = gdal.GetDriverByName("GTiff").Create(str(target), cols, rows, 1, gdal.GDT_Float32)
    copy.SetGeoTransform([x0 - rim * dx, dx, 0, y0 - rim * dy, 0, dy])
    copy.SetSpatialRef(d.GetSpatialRef())
    copy.GetRasterBand(1).WriteArray(h.astype(np.float32))
    copy.FlushCache()


def expected(product, rpc, dem):
    """Which pixels are hidden."""
    d = product.dataset
    rows, cols = d.RasterYSize, d.RasterXSize
    x = product.x0 + (np.arange(cols) + 0.5) * product.pixel
    y = product.y0 - (np.arange(rows) + 0.5) * product.pixel_y
    geographic = osr.SpatialReference()
    geographic.ImportFromEPSG(4326)
    geographic.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    grid = d.GetSpatialRef()
    grid.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    transform = osr.CoordinateTransformation(grid, geographic)
    points = np.array(transform.TransformPoints(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)))
    lon, lat = points[:, 0], points[:, 1]
    height = dem.at(lon, lat)
    col, row = rpc.image(lon, lat, height)
    hidden = np.zeros(len(lon), bool)
    top = np.nanmax(dem.heights)
    # The line is straight to a millimetre over a few hundred metres: two points of it give the rest.
    up = 500.0
    lon_up, lat_up = rpc.ground(col, row, height + up, lon, lat)
    for rise in np.arange(1.0, top - np.nanmin(height) + 1.0, 1.0):
        going = (height + rise < top) & ~hidden
        if not going.any():
            break
        t = rise / up
        surface = dem.at(lon[going] + (lon_up - lon)[going] * t, lat[going] + (lat_up - lat)[going] * t)
        hidden[going] |= surface > height[going] + rise + TOLERANCE_M
    return hidden.reshape(rows, cols)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--size", default="320")
    parser.add_argument("--roll", type=float, default=30.0)
    a = parser.parse_args()
    report = Report()
    scene = (a.work / f"occlusion_{a.seed}_{a.size}_{a.roll:g}").absolute()
    simulate(a.fieldglow, scene, "--no-pan", seed=a.seed, size=a.size, roll=a.roll, gsd=PIXEL_M)
    dem = scene / "dem_steep.tif"
    steep(scene / "dem.tif", dem)
    text = PIPELINE.replace("DEM", str(dem))
    out = run(a.fieldglow, scene / "runs", "steep", text + QA, scene, "--threads", "2")
    qa = Product(out, "qa")
    bits, valid = (plane[0] for plane in qa.stored())
    found = (bits & OCCLUDED) != 0
    rpc = Rpc(next(p for p in scene.glob("*/*_rpc.txt")))
    hidden = expected(qa, rpc, Dem(dem))
    share = found[valid].mean()
    same = (found == hidden)[valid].mean()
    spacing = 30.0
    reach = int(np.ceil(spacing / PIXEL_M)) + 1
    certain = valid & (erode(hidden, reach) | erode(~hidden, reach))
    wrong = int((found != hidden)[certain].sum())
    print(f"{valid.sum()} valid pixels, {share:.2%} hidden, expected {hidden[valid].mean():.2%}; the same on {same:.3%};")
    deep = int((hidden & certain).sum())
    print(f"{certain.sum()} further than {reach} pixels from an edge, {deep} of them hidden, {wrong} differ")
    report.limit("share of hidden pixels", share, 0.02, True)
    report.limit("share of pixels that are the same", same, 0.99, True)
    report.limit("pixels that differ beyond the edges of shadows", wrong, 0)
    report.limit("hidden pixels beyond the edges of shadows", deep, 100, True)
    report.limit("hidden pixels that are nodata", int((found & ~valid).sum()), 0)

    one = run(a.fieldglow, scene / "runs", "one", text + QA, scene, "--threads", "1")
    differ = [f for f, g in zip(product_files(out, "qa"), product_files(one, "qa")) if Path(f).read_bytes() != Path(g).read_bytes()]
    report.limit("files that differ with the number of threads", len(differ), 0)
    plain = run(a.fieldglow, scene / "runs", "plain", text, scene)
    with_bit, without = (Product(o, "reflectance").stored()[0] for o in (out, plain))
    report.limit("reflectances that change with the bit", int((with_bit != without).sum()), 0)
    flat = run(a.fieldglow, scene / "runs", "flat", PIPELINE.replace("DEM", str(scene / "dem.tif")) + QA, scene)
    bits = Product(flat, "qa").stored()[0]
    report.limit("pixels hidden by gentle hills", int(((bits & OCCLUDED) != 0).sum()), 0)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
