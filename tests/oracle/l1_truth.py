"""Simulated L1 deliveries over relief → TOA reflectance and NDVI, against the truth that was put in.

    l1_truth.py FIELDGLOW WORK [--seeds 1-5] [--size 1024] [--relief 80] [--roll 8] [--noise 3]

Each scene is run with its DEM and at one constant height, the mean of the DEM. Two comparisons:

- Values: stored pixels whose centre lies in a uniform patch of truth.json (patches keep 8 multispectral pixels from
  anything else) against the patch's reflectance; NDVI against the formula on it. Limit: median error 0.002 with the DEM.
- Position: the NIR band against truth_mss.tif, by correlation in many windows. Limit with the DEM: median length of the
  shift 0.05 multispectral pixel. At constant height the shift must be larger than that: else the test sees nothing.

Printed are median and 95 % absolute error, the median signed error (`bias`), and the pixel count. Exit code: 0 if all
limits are kept.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from osgeo import gdal

from common import Product, Report, estimator_error, integers, run, shift_summary, shifts, simulate

MEDIAN_LIMIT = 0.002
SHIFT_LIMIT_PX = 0.05
MS_M, PAN_M = 3.0, 0.75

PIPELINE = f"""schema = 1
name = "l1"
[radiometry]
level = "toa"
[geometry]
mode = "ortho"
crs = "utm"
resolution = {MS_M}
height = {{ HEIGHT, datum = "ellipsoid" }}
[[product]]
name = "reflectance"
kind = "bands"
bands = ["B", "G", "R", "N"]
[[product]]
name = "ndvi"
kind = "index"
index = "NDVI"
[[product]]
name = "pan"
kind = "bands"
bands = ["PAN"]
resolution = {PAN_M}
"""


def patch_errors(product, patches, expected):
    """Stored minus true values, a list per band, over the pixels with their centres inside the patches."""
    errors = [[] for _ in range(product.bands)]
    invalid = 0
    for patch in patches:
        x, y, half = patch["x"], patch["y"], patch["half_m"]
        top, left = product.position(x - half, y + half)
        bottom, right = product.position(x + half, y - half)
        # Pixels whose centre (n + 0.5) is inside.
        r0, c0, r1, c1 = (int(np.ceil(v - 0.5)) for v in (top, left, bottom, right))
        values = product.values(r0, c0, r1 - r0, c1 - c0)
        for b, plane in enumerate(values):
            invalid += int(np.isnan(plane).sum())
            errors[b].append((plane - expected(patch["reflectance"])[b]).ravel())
    errors = [np.concatenate(e) for e in errors]
    return [e[~np.isnan(e)] for e in errors], invalid


def steepest(dem, patches):
    """Largest slope of the DEM at the patches."""
    d = gdal.Open(str(dem))
    heights = d.ReadAsArray().astype(float)
    x0, dx, _, y0, _, dy = d.GetGeoTransform()
    slopes = []
    for p in patches:
        east, north = 111320 * np.cos(np.radians(p["lat_deg"])) * dx, 111320 * -dy
        r, c = int((p["lat_deg"] - y0) / dy), int((p["lon_deg"] - x0) / dx)
        around = heights[r - 1 : r + 2, c - 1 : c + 2]
        slopes.append(np.hypot((around[1, 2] - around[1, 0]) / 2 / east, (around[0, 1] - around[2, 1]) / 2 / north))
    return max(slopes)


def on_truth(product, truth_file):
    """NIR of the truth and the product's last band where both are, and the map coordinates of their first corner."""
    d = gdal.Open(str(truth_file))
    x0, pixel, _, y0, _, _ = d.GetGeoTransform()
    row, col = product.position(x0, y0)
    if pixel != product.pixel or abs(row - round(row)) + abs(col - round(col)) > 1e-6:
        sys.exit(f"{truth_file} does not lie on the lattice of the product")
    truth = d.GetRasterBand(4).ReadAsArray().astype(float)
    row, col = round(row), round(col)
    # The truth may be larger than what the cells cover.
    r0, c0 = max(0, -row), max(0, -col)
    rows = min(truth.shape[0], product.dataset.RasterYSize - row) - r0
    cols = min(truth.shape[1], product.dataset.RasterXSize - col) - c0
    ours = product.values(row + r0, col + c0, rows, cols)[3]
    return truth[r0 : r0 + rows, c0 : c0 + cols], ours, (x0 + c0 * pixel, y0 - r0 * pixel)


def truth_shift(product, truth_file):
    """Shift of the product's last band, NIR, against the truth, in windows."""
    truth, ours, _ = on_truth(product, truth_file)
    return shift_summary(shifts(truth, ours)), estimator_error(truth)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=integers, default=integers("1-5"))
    parser.add_argument("--size", default="1024")
    parser.add_argument("--relief", type=float, default=80.0)
    parser.add_argument("--roll", type=float, default=8.0)
    parser.add_argument("--noise", type=float, default=3.0)
    a = parser.parse_args()
    report = Report()
    print(f"size {a.size}, relief ±{a.relief:g} m, roll {a.roll:g}°, noise {a.noise:g} DN; errors × 1e4")
    print("seed height    what  median    95 %    bias  pixels")
    for seed in a.seeds:
        scene = (a.work / f"l1_{seed}_{a.size}_{a.relief:g}_{a.roll:g}_{a.noise:g}").absolute()
        truth = simulate(a.fieldglow, scene, seed=seed, size=a.size, relief=a.relief, roll=a.roll, noise=a.noise)
        patches = truth["patches"]["list"]
        mean = float(gdal.Open(str(scene / "dem.tif")).ReadAsArray().mean())
        heights = {"dem": f'dem = "{scene}/dem.tif"', "constant": f"constant = {mean:.3f}"}
        for height, line in heights.items():
            out = run(a.fieldglow, scene / "runs", height, PIPELINE.replace("HEIGHT", line), scene)
            reflectance = Product(out, "reflectance")
            lists = {}
            errors, invalid = patch_errors(reflectance, patches, lambda r: [r[k] for k in "BGRN"])
            lists.update(zip("BGRN", errors))
            index = Product(out, "ndvi")
            (errors,), more = patch_errors(index, patches, lambda r: [(r["N"] - r["R"]) / (r["N"] + r["R"])])
            lists["NDVI"] = errors
            (errors,), again = patch_errors(Product(out, "pan"), patches, lambda r: [r["PAN"]])
            lists["PAN"] = errors
            for what, e in lists.items():
                median, p95 = np.median(np.abs(e)), np.percentile(np.abs(e), 95)
                bias = np.median(e)
                print(f"{seed:4} {height:8} {what:>5} {median * 1e4:7.2f} {p95 * 1e4:7.2f} {bias * 1e4:+7.2f} {len(e):7}")
                if height == "dem":
                    report.limit(f"seed {seed} median error of {what}", median, MEDIAN_LIMIT)
            shift, own = truth_shift(reflectance, scene / "truth" / "truth_mss.tif")
            print(
                f"{seed:4} {height:8} shift rows {shift['rows']:+.4f} cols {shift['cols']:+.4f} px; length median"
                f" {shift['median']:.4f}, 95 % {shift['p95']:.4f} px; {shift['windows']} windows;"
                f" estimator's own error {own:.4f} px"
            )
            if height == "dem":
                report.limit(f"seed {seed} shift, px", shift["median"], SHIFT_LIMIT_PX)
                report.limit(f"seed {seed} invalid pixels in patches", invalid + more + again, 0)
                residual = max(r["max_px"] for r in truth["geometry"]["rpc_residual"].values())
                slope = steepest(scene / "dem.tif", patches)
                print(f"{seed:4} {len(patches)} patches, slopes up to {slope:.3f}; RPC fit within {residual:.1e} px")
            else:
                report.limit(f"seed {seed} shift at constant height is seen, px", shift["median"], SHIFT_LIMIT_PX, True)
        sys.stdout.flush()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
