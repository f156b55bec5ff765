"""Simulated nights → radiance, lights above the dark level and their sums, against the truth that was put in.

    night_truth.py FIELDGLOW WORK [--seeds 1-3] [--size 1024] [--noise 3] [--picture]

- Radiance on lit pixels: product `radiance` less dark level and glow, against the lamps' true radiance, where no pixel
  within 3 is saturated. Limit: median relative error above 0.1 W·m⁻²·sr⁻¹·µm⁻¹ 2 %, and the sum 0.5 %.
- Dark residual: signed mean of `lights` over ground more than 3 pixels from any lamp. Its standard error is that of the
  means of blocks of 64 × 64 pixels (they differ by noise and glow) and that of the survey's dark level, squared and added.
  Limit: 3 of them.
- TNL and lit share: the truth is the lamps' radiance cut at saturation, summed and counted from the threshold of the
  scene's table on. Limits: 1 % and 2 % of the value. Sums that differ from those of the stored pixels by more than 1e-9
  fail.

`--picture` draws the lights of each seed as night_SEED.png in WORK. Exit code: 0 if all limits are kept.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
from osgeo import gdal

from common import Product, Report, erode, integers, run, simulate

BANDS = ["R", "G", "B"]
MARGIN = 3
BLOCK = 64

PIPELINE = """schema = 1
name = "night"
[radiometry]
level = "radiance"
[geometry]
mode = "ortho"
crs = "utm"
resolution = 1.0
height = { dem = "DEM", datum = "ellipsoid" }
[[product]]
name = "radiance"
kind = "bands"
bands = ["R", "G", "B"]
[[product]]
name = "lights"
kind = "night"
bands = ["R", "G", "B"]
[[product]]
name = "qa"
kind = "qa"
"""


def truth_raster(path, product):
    """A truth raster and where the product's pixels are on it: both lie on whole metres."""
    d = gdal.Open(str(path))
    t = d.GetGeoTransform()
    row, col = product.position(t[0], t[3])
    assert t[1] == product.pixel and row == int(row) and col == int(col), "one lattice"
    return d.ReadAsArray().astype(float), int(row), int(col)


def cut(product, row, col, shape):
    """The product's values on the lattice of a truth raster, NaN beyond the product."""
    out = np.full((product.bands, *shape), np.nan)
    d = product.dataset
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + shape[0], d.RasterYSize), min(col + shape[1], d.RasterXSize)
    out[:, top - row : bottom - row, left - col : right - col] = product.values(top, left, bottom - top, right - left)
    return out


def block_means(values, mask):
    """Means over the blocks that are at least half in the mask."""
    rows, cols = (n // BLOCK * BLOCK for n in mask.shape)
    v = np.where(mask, values, 0)[:rows, :cols].reshape(rows // BLOCK, BLOCK, cols // BLOCK, BLOCK).sum((1, 3))
    n = mask[:rows, :cols].reshape(rows // BLOCK, BLOCK, cols // BLOCK, BLOCK).sum((1, 3))
    return v[n >= BLOCK * BLOCK / 2] / n[n >= BLOCK * BLOCK / 2]


def draw(path, lights):
    """Square root of the lights, white where one pixel in a thousand is brighter."""
    top = np.nanpercentile(lights, 99.9)
    shown = np.nan_to_num(255 * np.sqrt(np.clip(lights / top, 0, 1))).astype(np.uint8)
    memory = gdal.GetDriverByName("MEM").Create("", shown.shape[2], shown.shape[1], 3, gdal.GDT_Byte)
    memory.WriteArray(shown)
    gdal.GetDriverByName("PNG").CreateCopy(str(path), memory)


def check(report, binary, work, seed, size, noise, picture):
    folder = work / f"night_{seed}_{size}_{noise:g}"
    truth = simulate(binary, folder, "--night", seed=seed, size=size, gsd=1.0, noise=noise)
    out = run(binary, folder / "runs", "night", PIPELINE.replace("DEM", str((folder / "dem.tif").absolute())), folder)
    lights, radiance = Product(out, "lights"), Product(out, "radiance")
    lamps, row, col = truth_raster(folder / "truth/truth_lamps.tif", lights)
    glow, *_ = truth_raster(folder / "truth/truth_glow.tif", lights)
    net, total = (cut(p, row, col, lamps.shape[1:]) for p in (lights, radiance))
    if picture:
        draw(work / f"night_{seed}.png", net)
    seen = ~np.isnan(net).any(0)
    far = erode((lamps == 0).all(0) & seen, MARGIN)
    scene = next(Path(out).glob("*/scenes/*"))
    survey = json.loads((scene / "survey.json").read_text())["dark"]
    table = {r["band"]: {k: float(v) for k, v in r.items() if k not in ("product", "band")}
             for r in csv.DictReader((scene / "night.csv").open())}
    stored = lights.values()
    print(f"seed {seed}, {size}², noise {noise:g} DN: {seen.sum()} pixels, {far.sum()} of dark ground")
    for k, band in enumerate(BANDS):
        spec = next(s for s in truth["radiometry"]["bands"] if s["role"] == band)
        gain, saturation = spec["gain"], spec["saturation_radiance"]
        full = lamps[k] + glow[k] + spec["dark_radiance"]
        clear = erode(seen & (full < 0.98 * saturation), MARGIN)
        light = total[k] - glow[k] - spec["dark_radiance"]
        bright = clear & (lamps[k] >= 0.1)
        relative = np.abs(light[bright] / lamps[k][bright] - 1)
        some = clear & (lamps[k] > 0)
        whole = light[some].sum() / lamps[k][some].sum() - 1
        means = block_means(net[k], far)
        residual = net[k][far].mean()
        error = np.hypot(means.std(ddof=1) / np.sqrt(len(means)), survey[band]["standard_error"] * gain)
        threshold = table[band]["lit_threshold"]
        # What the camera can tell: the lamps above the dark level up to where it saturates.
        most = saturation - spec["dark_radiance"] - glow[k]
        expected = np.minimum(lamps[k], most)
        lit, lit_true = seen & (net[k] >= threshold), seen & (expected >= threshold)
        tnl = net[k][lit].sum() / expected[lit_true].sum() - 1
        share = lit.sum() / lit_true.sum() - 1
        all_lit = stored[k] >= threshold
        summed = stored[k][all_lit].sum()
        print(
            f"  {band}: radiance on {bright.sum()} lit pixels: median error {100 * np.median(relative):.2f} %, "
            f"sum {100 * whole:+.3f} %; dark residual {residual:+.2e} ± {error:.1e} ({residual / error:+.2f} s.e.); "
            f"TNL {100 * tnl:+.2f} %, lit share {100 * lit.sum() / seen.sum():.2f} % ({100 * share:+.2f} %)"
        )
        name = f"seed {seed} {band}"
        report.limit(f"{name}: median relative error on lit pixels", np.median(relative), 0.02)
        report.limit(f"{name}: sum of radiance", abs(whole), 0.005)
        report.limit(f"{name}: dark residual, standard errors", abs(residual / error), 3)
        report.limit(f"{name}: TNL", abs(tnl), 0.01)
        report.limit(f"{name}: lit share", abs(share), 0.02)
        report.limit(f"{name}: the table's TNL", abs(table[band]["tnl"] / summed - 1), 1e-9)
        report.limit(f"{name}: the table's lit pixels", abs(table[band]["lit_pixels"] - all_lit.sum()), 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fieldglow")
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", default="1-3")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--noise", type=float, default=3.0)
    parser.add_argument("--picture", action="store_true")
    a = parser.parse_args()
    report = Report()
    for seed in integers(a.seeds):
        check(report, a.fieldglow, a.work, seed, a.size, a.noise, a.picture)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
