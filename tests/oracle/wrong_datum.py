"""Simulated L1 deliveries over relief, with their DEM and with one on the wrong datum: 30 m too high and too low.

    wrong_datum.py FIELDGLOW WORK [--seeds 1-2] [--size 1024] [--relief 80] [--roll 20] [--wrong 30]

Heights above a geoid that are taken for ellipsoidal ones are wrong by its undulation, tens of metres and nearly the same
everywhere. Nothing in a scene proves it; what it does is known: the image moves towards the satellite by the height that is
too much, times the tangent of the view zenith. The NIR band is compared with truth_mss.tif, by correlation in many
windows; expected is that formula, along the view azimuth turned from true north to that of the grid, and divided by
1 − slope · tan(zenith): where the ground rises towards the satellite the line of sight meets it later. The slope is the
DEM's in the direction of the satellite, over each window. Zenith and azimuth are the simulator's, which knows its camera and
no RPC.

Limits, for the medians over the windows, in rows and in columns: within 0.05 pixel of what is expected, with the slopes and by
the plain formula; with the right DEM below 0.05 pixel. With the wrong datum declared in the DEM itself the run must be
refused.

Exit code: 0 if all limits are kept.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from osgeo import gdal, osr

from common import Product, Report, integers, placed_shifts, run, simulate
from l1_truth import on_truth

SHIFT_LIMIT_PX = 0.05
MS_M = 3.0
WINDOW = 128

PIPELINE = f"""schema = 1
name = "datum"
[radiometry]
level = "toa"
[geometry]
mode = "ortho"
crs = "utm"
resolution = {MS_M}
height = {{ dem = "DEM", datum = "ellipsoid" }}
[[product]]
name = "reflectance"
kind = "bands"
bands = ["B", "G", "R", "N"]
"""


def moved_dem(source, target, metres, vertical=None):
    """A copy of a DEM with all heights changed, and a vertical reference system if one is given."""
    copy = gdal.GetDriverByName("GTiff").CreateCopy(str(target), gdal.Open(str(source)))
    band = copy.GetRasterBand(1)
    band.WriteArray((band.ReadAsArray().astype(float) + metres).astype(np.float32))
    if vertical:
        srs = osr.SpatialReference()
        srs.SetFromUserInput(vertical)
        copy.SetSpatialRef(srs)
    copy.FlushCache()


def north_in_grid(to_grid, lon, lat):
    """Angle from the grid's north to true north, degrees clockwise: what is added to an azimuth."""
    (x0, y0, _), (x1, y1, _) = (to_grid.TransformPoint(lon, lat + d) for d in (-0.001, 0.001))
    return np.degrees(np.arctan2(x1 - x0, y1 - y0))


def transforms(product):
    """From longitude and latitude to the grid, and back."""
    geographic = osr.SpatialReference()
    geographic.ImportFromEPSG(4326)
    grid = product.dataset.GetSpatialRef()
    for system in (geographic, grid):
        system.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return osr.CoordinateTransformation(geographic, grid), osr.CoordinateTransformation(grid, geographic)


class Slopes:
    """Slope of a DEM in longitude and latitude in the direction of an azimuth, per metre."""

    def __init__(self, dem, azimuth_deg, lat):
        d = gdal.Open(str(dem))
        self.x0, self.dx, _, self.y0, _, self.dy = d.GetGeoTransform()
        metre = 111320 * self.dy, 111320 * self.dx * np.cos(np.radians(lat))
        north, east = np.gradient(d.ReadAsArray().astype(float), *metre)
        azimuth = np.radians(azimuth_deg)
        self.slope = east * np.sin(azimuth) + north * np.cos(azimuth)

    def around(self, points):
        """Slopes at longitudes and latitudes."""
        cols = ((points[:, 0] - self.x0) / self.dx).astype(int)
        rows = ((points[:, 1] - self.y0) / self.dy).astype(int)
        return self.slope[rows, cols]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=integers, default=integers("1-2"))
    parser.add_argument("--size", default="1024")
    parser.add_argument("--relief", type=float, default=80.0)
    parser.add_argument("--roll", type=float, default=20.0)
    parser.add_argument("--wrong", type=float, default=30.0)
    a = parser.parse_args()
    report = Report()
    for seed in a.seeds:
        scene = (a.work / f"datum_{seed}_{a.size}_{a.relief:g}_{a.roll:g}").absolute()
        truth = simulate(a.fieldglow, scene, seed=seed, size=a.size, relief=a.relief, roll=a.roll)
        view = {k.removeprefix("view_"): v for k, v in truth["geometry"].items()}
        zenith = 90.0 - view["elevation_deg"]
        for wrong in (0.0, a.wrong, -a.wrong):
            dem = scene / f"dem_{wrong:+g}.tif"
            moved_dem(scene / "dem.tif", dem, wrong)
            out = run(a.fieldglow, scene / "runs", f"dem_{wrong:+g}", PIPELINE.replace("DEM", str(dem)), scene)
            product = Product(out, "reflectance")
            to_grid, to_geographic = transforms(product)
            nir, ours, (x0, y0) = on_truth(product, scene / "truth" / "truth_mss.tif")
            found = placed_shifts(nir, ours, WINDOW)
            lon, lat = truth["options"]["center_lon_deg"], truth["options"]["center_lat_deg"]
            azimuth = np.radians(view["azimuth_deg"] + north_in_grid(to_grid, lon, lat))
            towards = np.array([-np.cos(azimuth), np.sin(azimuth)])  # rows, columns
            plain = wrong * np.tan(np.radians(zenith)) / MS_M
            slopes = Slopes(dem, view["azimuth_deg"], lat)
            factors = []
            for row, col in found[:, :2]:
                inside = np.arange(0.5, WINDOW, 8.0) * MS_M
                x, y = np.meshgrid(x0 + col * MS_M + inside, y0 - row * MS_M - inside)
                points = to_geographic.TransformPoints(np.stack([x, y], -1).reshape(-1, 2))
                slope = slopes.around(np.array(points))
                factors.append(np.mean(1.0 / (1.0 - slope * np.tan(np.radians(zenith)))))
            median = np.median(found[:, 2:], axis=0)
            with_slopes = np.median(np.outer(factors, plain * towards), axis=0)
            print(
                f"seed {seed} DEM {wrong:+g} m, zenith {zenith:.2f}°, azimuth {view['azimuth_deg']:.2f}°: shift rows"
                f" {median[0]:+.4f} cols {median[1]:+.4f} px; expected {with_slopes[0]:+.4f} {with_slopes[1]:+.4f}, on a"
                f" plain {plain * towards[0]:+.4f} {plain * towards[1]:+.4f}; {len(found)} windows"
            )
            what = f"seed {seed} DEM {wrong:+g} m, px beside"
            report.limit(f"{what} what is expected", np.abs(median - with_slopes).max(), SHIFT_LIMIT_PX)
            report.limit(f"{what} the formula on a plain", np.abs(median - plain * towards).max(), SHIFT_LIMIT_PX)
        stated = scene / "dem_stated.tif"
        moved_dem(scene / "dem.tif", stated, -a.wrong, "EPSG:4326+3855")
        file = scene / "runs" / "stated.toml"
        file.write_text(PIPELINE.replace("DEM", str(stated)))
        command = [str(a.fieldglow.absolute()), "plan", str(file), str(scene)]
        done = subprocess.run(command, capture_output=True, text=True)
        refused = done.returncode != 0 and "EGM2008" in done.stderr and "`ellipsoid`" in done.stderr
        print(f"seed {seed} DEM that states EGM2008 with datum `ellipsoid`: {'refused' if refused else done.stderr}")
        report.limit(f"seed {seed} a stated datum that contradicts is refused", float(refused), 1.0, True)
        sys.stdout.flush()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
