"""NDVI of a Sentinel-2 window in native mode, against spyndex.

    ndvi_spyndex.py FIELDGLOW WORK IMAGE

IMAGE is a GeoTIFF with B, G, R, NIR as reflectance × 10000 (sentinel2_10m_spyndex.tif, made from spyndex' own S2_10m data).
A copy is given a georeference: EPSG:32633, 10 m. spyndex computes from the same numbers in f64. Limits: 1e-6 for
float32, half a stored step of 1e-4 for int16 (and the rounding of f64 itself, 1e-9 steps), and the same pixels valid. Exit code: 0 if all are kept.
"""

import sys
from pathlib import Path

import numpy as np
import spyndex
from osgeo import gdal, osr

from common import Product, Report, run

STEP = 1e-4

PIPELINE = """schema = 1
name = "sentinel2"
[radiometry]
level = "toa"
[geometry]
mode = "native"
[[product]]
name = "ndvi"
kind = "index"
index = "NDVI"
[[product]]
name = "ndvi-f32"
kind = "index"
index = "NDVI"
type = "float32"
"""

BANDS = "BGRN"
RANGES = {"B": (458, 523), "G": (543, 578), "R": (650, 680), "N": (785, 899)}


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    binary, work, image = sys.argv[1], Path(sys.argv[2]).absolute(), sys.argv[3]
    scene = work / "sentinel2"
    scene.mkdir(parents=True, exist_ok=True)
    system = osr.SpatialReference()
    system.ImportFromEPSG(32633)
    copy = gdal.Translate(
        str(scene / "image.tif"), image, outputSRS=system.ExportToWkt(), outputBounds=(500000, 5203000, 503000, 5200000)
    )
    dn = copy.ReadAsArray().astype(np.float64)
    copy = None
    bands = "".join(
        f'[[part.band]]\nrole = "{role}"\nindex = {k}\nrange_nm = {list(RANGES[role])}\n'
        "reflectance = { gain = 1e-4, bias = 0.0, sun_corrected = true }\n"
        for k, role in enumerate(BANDS, 1)
    )
    (scene / "scene.toml").write_text(
        f"""schema = 1
id = "sentinel2"
time = 2020-07-01T10:00:00Z
[[part]]
name = "MS"
image = "image.tif"
fill = "none"
{bands}"""
    )
    out = run(binary, work / "sentinel2_runs", "native", PIPELINE, scene / "scene.toml")
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = spyndex.computeIndex("NDVI", params={"N": dn[3] * 1e-4, "R": dn[2] * 1e-4})
    report = Report()
    for name, limit in (("ndvi", (0.5 + 1e-9) * STEP), ("ndvi-f32", 1e-6)):
        ours = Product(out, name).values()[0]
        difference = np.abs(ours - expected)
        missing = int((np.isnan(ours) != np.isnan(expected)).sum())
        largest = np.nanmax(difference)
        beyond = int((difference > (0.5 + 1e-9) * STEP).sum())
        compared = int(np.isfinite(difference).sum())
        print(f"{name}: {compared} pixels, largest difference {largest / STEP:.6f} steps ({largest:.1e}), {beyond} over half")
        report.limit(f"{name} largest difference", largest, limit)
        report.limit(f"{name} pixels valid in one only", missing, 0)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
