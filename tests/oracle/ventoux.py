"""Pléiades PAN and multispectral crops of Mont Ventoux through scene.toml, against gdalwarp.

    ventoux.py FIELDGLOW WORK DATA [--right DATA_RIGHT] [--ms-resolution 2.0] [--resampling bilinear|cubic|lanczos]

DATA is a folder with left_image.tif, lowres_color_image.tif, their .RPB and dem_ellipsoidal_crop.tif (CNES/shareloc's
phr_ventoux; the crops keep the origin within the full scene as a geotransform, which is no map position, so the RPC must
win). The files are copied. Level `dn`, products float32. Same comparison and limits as gdalwarp_truth.py, in DN; with the
DEM and at one constant height, the mean of the DEM.

DATA_RIGHT holds the other image of the stereo pair (right_image.tif and its .RPB). It is compared likewise, and so is the
shift between the two orthorectified images on the ground they have in common: the DEM is too coarse for them to coincide,
and they must differ by as much as gdalwarp's do.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from osgeo import gdal

from common import Product, Report, run, shift_summary, shifts
from warp import PLAIN_KERNEL, SHIFT_LIMIT_PX, compare, require_recent_gdal, warp

IMAGES = {"PAN": "left_image.tif", "MS": "lowres_color_image.tif"}
ORDER = "RGBN"  # of the bands in the multispectral file

SCENE = """schema = 1
id = "ventoux-20130805"
time = 2013-08-05T10:42:19.4Z
constellation = "pleiades"
platform = "phr1b"
[[part]]
name = "PAN"
image = "left_image.tif"
fill = "none"
data_bits = 12
[[part.band]]
role = "PAN"
range_nm = [470, 830]
[[part]]
name = "MS"
image = "lowres_color_image.tif"
fill = "none"
""" + "".join(
    f'[[part.band]]\nrole = "{role}"\nindex = {k}\nrange_nm = {list(nm)}\n'
    for k, (role, nm) in enumerate(zip(ORDER, ((590, 710), (500, 620), (430, 550), (740, 940))), 1)
)

PIPELINE = """schema = 1
name = "ventoux"
[radiometry]
level = "dn"
[geometry]
mode = "ortho"
crs = "utm"
resolution = RESOLUTION
resampling = "RESAMPLING"
height = { HEIGHT, datum = "ellipsoid" }
"""
MS = """[[product]]
name = "ms"
kind = "bands"
bands = ["B", "G", "R", "N"]
"""
PAN = """[[product]]
name = "pan"
kind = "bands"
bands = ["PAN"]
resolution = 0.5
[[product]]
name = "qa"
kind = "qa"
"""

RIGHT = """schema = 1
id = "ventoux-20130805-right"
time = 2013-08-05T10:42:52.3Z
constellation = "pleiades"
platform = "phr1b"
[[part]]
name = "PAN"
image = "right_image.tif"
fill = "none"
data_bits = 12
[[part.band]]
role = "PAN"
range_nm = [470, 830]
"""


def copied(folder, data, names, sidecar):
    """A folder of copies of the images that a scene.toml describes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for file in (data / name, (data / name).with_suffix(".RPB")):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
    (folder / "scene.toml").write_text(sidecar)
    return folder


def left_to_right(ours, images, height, resampling, label, report):
    """The shift between two orthorectified images, in ours and in gdalwarp's."""
    products = [Product(out, "pan") for out in ours]
    boxes = []
    for p in products:
        rows, cols = np.nonzero(p.stored()[1][0])
        x, y = p.x0 + cols * p.pixel, p.y0 - rows * p.pixel_y
        boxes.append((x.min(), y.max(), x.max() + p.pixel, y.min() - p.pixel_y))
    left, right = max(b[0] for b in boxes), min(b[2] for b in boxes)
    top, bottom = min(b[1] for b in boxes), max(b[3] for b in boxes)
    first = products[0]
    shape = round((top - bottom) / first.pixel_y), round((right - left) / first.pixel)
    like = gdal.GetDriverByName("MEM").Create("", shape[1], shape[0])
    like.SetGeoTransform((left, first.pixel, 0, top, 0, -first.pixel_y))
    like.SetProjection(first.dataset.GetProjection())
    sides = {
        "ours": [p.values(*(round(v) for v in p.position(left, top)), *shape)[0] for p in products],
        "GDAL's": [warp(image, like, height, None, PLAIN_KERNEL, resampling)[0] for image in images],
    }
    medians = {}
    for side, (a, b) in sides.items():
        s = shift_summary(shifts(a.astype(float), b.astype(float), window=64))
        medians[side] = np.array([s["rows"], s["cols"]])
        print(f"{label} left to right, {side:>6}: rows {s['rows']:+.4f} cols {s['cols']:+.4f} px; {s['windows']} windows")
    difference = float(np.hypot(*(medians["ours"] - medians["GDAL's"])))
    report.limit(f"{label} left to right, ours against GDAL's, px", difference, SHIFT_LIMIT_PX)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--right", type=Path)
    parser.add_argument("--ms-resolution", default="2.0")
    parser.add_argument("--resampling", choices=("bilinear", "cubic", "lanczos"), default="bilinear")
    a = parser.parse_args()
    require_recent_gdal()
    scene = copied(a.work.absolute() / "ventoux", a.data, ("dem_ellipsoidal_crop.tif", *IMAGES.values()), SCENE)
    images = {part: str(scene / name) for part, name in IMAGES.items()}
    dem = str(scene / "dem_ellipsoidal_crop.tif")
    mean = round(float(gdal.Open(dem).ReadAsArray().mean()), 3)

    def ms(dn):
        return [(role, dn[ORDER.index(role)], 1.0) for role in "BGRN"]

    report = Report()
    print(f"GDAL {gdal.__version__}; multispectral {a.ms_resolution} m, PAN 0.5 m; {a.resampling}")
    more = {"resampling": a.resampling}
    for label, height, line in (("dem", dem, f'dem = "{dem}"'), ("constant", mean, f"constant = {mean}")):
        head = PIPELINE.replace("HEIGHT", line).replace("RESOLUTION", a.ms_resolution).replace("RESAMPLING", a.resampling)
        name = label if a.resampling == "bilinear" else f"{label}_{a.resampling}"
        pan = lambda dn: [("PAN", dn[0], 1.0)]
        out = run(a.fieldglow, a.work / "ventoux_runs", name, head + MS + PAN, scene / "scene.toml")
        compare(out, "ms", images["MS"], height, None, ms, f"{label:8}", report, window=48, **more)
        compare(out, "pan", images["PAN"], height, None, pan, f"{label:8}", report, **more)
        if a.right:
            folder = copied(a.work.absolute() / "ventoux_right", a.right, ["right_image.tif"], RIGHT)
            image = str(folder / "right_image.tif")
            right = run(a.fieldglow, a.work / "ventoux_runs", f"{name}_right", head + PAN, folder / "scene.toml")
            compare(right, "pan", image, height, None, pan, f"{label:8} right", report, **more)
            # At one height the two lie so far apart that they have no ground in common to be compared on.
            if label == "dem":
                left_to_right((out, right), (images["PAN"], image), height, a.resampling, f"{label:8}", report)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
