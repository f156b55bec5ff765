"""A Landsat-8 band in native mode, reflectance coefficients from its MTL, against rio-toa's published result.

    landsat.py FIELDGLOW WORK DATA

DATA is a folder with tiny_LC81390452014295LGN00_B5.TIF, ..._B5_refl.TIF (reflectance × 54999.16, from mapbox/rio-toa) and
LC81390452014295LGN00_MTL.json. Compared are the product as int16 and as float32 with the file, and with the formula
(mult DN + add) / sin(sun elevation) in f64. Limits: float32 within 1e-6 of the formula, relatively; int16 within half a
stored step (0.5e-4) of the formula, give or take the rounding of f64 itself (1e-9 steps); the file within two units in the
last place of float32, which it was made in, of the formula; int16 within half a step of the file wherever the file and
the formula are on the same side of the border between two steps; every pixel with DN 0 is nodata. Exit code: 0 if all
are kept.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from osgeo import gdal

from common import Product, Report, run

STEM = "LC81390452014295LGN00"
EXPECTED_SCALE = 54999.16  # of the file
STEP = 1e-4
RELATIVE = 1e-6  # before quantising
ROUNDING = 1e-9  # of f64, in steps

PIPELINE = """schema = 1
name = "landsat"
[radiometry]
level = "toa"
[geometry]
mode = "native"
[[product]]
name = "reflectance"
kind = "bands"
bands = ["N"]
[[product]]
name = "reflectance-f32"
kind = "bands"
bands = ["N"]
type = "float32"
[[product]]
name = "qa"
kind = "qa"
"""


def find(tree, key):
    """The value of a key anywhere in nested objects."""
    if isinstance(tree, dict):
        if key in tree:
            return tree[key]
        return next((v for v in (find(t, key) for t in tree.values()) if v is not None), None)
    return None


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    binary, work, data = sys.argv[1], Path(sys.argv[2]).absolute(), Path(sys.argv[3])
    mtl = json.loads((data / f"{STEM}_MTL.json").read_text())
    mult, add = (float(find(mtl, f"REFLECTANCE_{k}_BAND_5")) for k in ("MULT", "ADD"))
    scene = work / "landsat"
    scene.mkdir(parents=True, exist_ok=True)
    image = scene / f"tiny_{STEM}_B5.TIF"
    shutil.copyfile(data / image.name, image)
    (scene / "scene.toml").write_text(
        f"""schema = 1
id = "{STEM}"
time = {find(mtl, "DATE_ACQUIRED")}T{find(mtl, "SCENE_CENTER_TIME")}
[sun]
elevation = {find(mtl, "SUN_ELEVATION")}
azimuth = {find(mtl, "SUN_AZIMUTH")}
[[part]]
name = "B5"
image = "{image.name}"
fill = 0
[[part.band]]
role = "N"
range_nm = [850, 880]
reflectance = {{ gain = {mult}, bias = {add}, sun_corrected = false }}
"""
    )
    out = run(binary, work / "landsat_runs", "native", PIPELINE, scene / "scene.toml")
    product = Product(out, "reflectance")
    source = gdal.Open(str(image))
    dn = source.ReadAsArray()
    expected = gdal.Open(str(data / f"tiny_{STEM}_B5_refl.TIF")).ReadAsArray().astype(float) / EXPECTED_SCALE
    same = np.allclose(product.dataset.GetGeoTransform(), source.GetGeoTransform(), rtol=0, atol=1e-6)
    ours = product.values()[0]
    report = Report()
    report.limit("geotransform and size differ", int(not same or ours.shape != dn.shape), 0)
    if report.missed:
        return report.close()
    floats = Product(out, "reflectance-f32").values()[0]
    measured = dn > 0
    formula = (mult * dn.astype(float) + add) / np.sin(np.radians(float(find(mtl, "SUN_ELEVATION"))))

    steps = np.rint(ours / STEP)

    def beyond(reference):
        """Pixels further than half a step from a reference."""
        return measured & ~(np.abs(steps - reference / STEP) <= 0.5 + ROUNDING)

    print(f"{measured.sum()} pixels with DN above 0; int16, largest difference in steps and pixels beyond half a step")
    for name, reference in (("f64 formula", formula), ("file", expected)):
        print(f"  to {name}: {np.max(np.abs(steps - reference / STEP)[measured]):.6f}, {beyond(reference).sum()} pixels")
    report.limit("int16 beyond half a step of the f64 formula", int(beyond(formula).sum()), 0)
    # Where the last place of float32 puts the file across the border between two steps, no value is near both.
    across = np.rint(formula / STEP) != np.rint(expected / STEP)
    print(f"  the file and the formula round to different steps in {(across & measured).sum()} pixels")
    report.limit("int16 beyond half a step of the file, same side", int((beyond(expected) & ~across).sum()), 0)
    ulps = np.max((np.abs(expected - formula) / np.spacing(formula.astype(np.float32)))[measured])
    report.limit("file to f64 formula, units in the last place of float32", ulps, 2)
    own = np.max(np.abs(expected / formula - 1)[measured])
    relative = np.max(np.abs(floats / formula - 1)[measured])
    print(f"float32 to f64 formula: {relative:.1e} relative; the file itself {own:.1e}")
    report.limit("float32 to f64 formula, relative", relative, RELATIVE)
    filled = int((~measured & ~np.isnan(ours)).sum())
    in_file = np.unique(expected[~measured] * EXPECTED_SCALE)
    print(f"{(~measured).sum()} pixels with DN 0: {filled} valid in ours; in the file {in_file}")
    report.limit("pixels with DN 0 that are valid", filled, 0)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
