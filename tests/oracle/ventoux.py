"""Pléiades PAN and multispectral crops of Mont Ventoux through scene.toml, against gdalwarp.

    ventoux.py FIELDGLOW WORK DATA [--ms-resolution 2.0]

DATA is a folder with left_image.tif, lowres_color_image.tif, their .RPB and dem_ellipsoidal_crop.tif (CNES/shareloc's
phr_ventoux; the crops keep the origin within the full scene as a geotransform, which is no map position, so the RPC must
win). The files are copied. Level `dn`, products float32. Same comparison and limits as gdalwarp_truth.py, in DN; with the
DEM and at one constant height, the mean of the DEM.
"""

import argparse
import shutil
import sys
from pathlib import Path

from osgeo import gdal

from common import Report, run
from warp import compare, require_recent_gdal

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
height = { HEIGHT, datum = "ellipsoid" }
[[product]]
name = "ms"
kind = "bands"
bands = ["B", "G", "R", "N"]
[[product]]
name = "pan"
kind = "bands"
bands = ["PAN"]
resolution = 0.5
[[product]]
name = "qa"
kind = "qa"
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--ms-resolution", default="2.0")
    a = parser.parse_args()
    require_recent_gdal()
    scene = a.work.absolute() / "ventoux"
    scene.mkdir(parents=True, exist_ok=True)
    for name in ("dem_ellipsoidal_crop.tif", *IMAGES.values()):
        for file in (a.data / name, (a.data / name).with_suffix(".RPB")):
            if file.is_file():
                shutil.copyfile(file, scene / file.name)
    (scene / "scene.toml").write_text(SCENE)
    images = {part: str(scene / name) for part, name in IMAGES.items()}
    dem = str(scene / "dem_ellipsoidal_crop.tif")
    mean = round(float(gdal.Open(dem).ReadAsArray().mean()), 3)

    def ms(dn):
        return [(role, dn[ORDER.index(role)], 1.0) for role in "BGRN"]

    report = Report()
    print(f"GDAL {gdal.__version__}; multispectral {a.ms_resolution} m, PAN 0.5 m")
    for label, height, line in (("dem", dem, f'dem = "{dem}"'), ("constant", mean, f"constant = {mean}")):
        pipeline = PIPELINE.replace("HEIGHT", line).replace("RESOLUTION", a.ms_resolution)
        out = run(a.fieldglow, a.work / "ventoux_runs", label, pipeline, scene / "scene.toml")
        compare(out, "ms", images["MS"], height, None, ms, f"{label:8}", report, window=48)
        compare(out, "pan", images["PAN"], height, None, lambda dn: [("PAN", dn[0], 1.0)], f"{label:8}", report)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
