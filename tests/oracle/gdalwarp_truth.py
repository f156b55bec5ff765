"""Simulated L1 deliveries → TOA reflectance and NDVI, against gdalwarp and the formula in f64.

    gdalwarp_truth.py FIELDGLOW WORK [--seeds 1-5] [--size 1024] [--relief 80] [--roll 8] [--noise 3] [--gdal-kernel]
                      [--resampling bilinear|cubic|lanczos]

The digital numbers, warped by GDAL (see warp.py) onto the pixels of our cells, are turned into reflectance with
π (gain DN + bias) d² / (E0 cos θ), coefficients and sun from truth.json, and into NDVI. Done with the DEM and at one
constant height, the mean of the DEM.

Limits: values within the equivalent of one input DN, at least one stored step of 1e-4, on 99.9 % of the pixels that are 3
pixels or more (cubic 4, lanczos 6) from an invalid one in both images; shift 0.02 pixel; no pixel that is valid in one image and missing in
the other away from the edges. Exit code: 0 if all are kept.

--gdal-kernel leaves the width of the kernel to GDAL, for comparison.
"""

import argparse
import math
import sys
from pathlib import Path

from osgeo import gdal

from common import Report, integers, run, simulate
from l1_truth import PIPELINE
from warp import PLAIN_KERNEL, compare, require_recent_gdal


def reflectance_of(truth, roles):
    """Gain and bias from DN to reflectance for each role, f64."""
    sun = truth["sun"]
    bands = {b["role"]: b for b in truth["radiometry"]["bands"]}
    coefficients = []
    for role in roles:
        b = bands[role]
        per_radiance = math.pi * sun["distance_au"] ** 2 / (b["e0_w_m2_um"] * math.cos(math.radians(sun["zenith_deg"])))
        coefficients.append((b["gain"] * per_radiance, b["bias"] * per_radiance))
    return coefficients


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=integers, default=integers("1-5"))
    parser.add_argument("--size", default="1024")
    parser.add_argument("--relief", type=float, default=80.0)
    parser.add_argument("--roll", type=float, default=8.0)
    parser.add_argument("--noise", type=float, default=3.0)
    parser.add_argument("--gdal-kernel", action="store_true")
    parser.add_argument("--resampling", choices=("bilinear", "cubic", "lanczos"), default="bilinear")
    a = parser.parse_args()
    require_recent_gdal()
    kernel = [] if a.gdal_kernel else PLAIN_KERNEL
    report = Report()
    print(f"GDAL {gdal.__version__}; size {a.size}, relief ±{a.relief:g} m, roll {a.roll:g}°, noise {a.noise:g} DN; {a.resampling}")
    for seed in a.seeds:
        scene = (a.work / f"l1_{seed}_{a.size}_{a.relief:g}_{a.roll:g}_{a.noise:g}").absolute()
        truth = simulate(a.fieldglow, scene, seed=seed, size=a.size, relief=a.relief, roll=a.roll, noise=a.noise)
        images = {part: str(next(scene.glob(f"*_{part}/*_{part}.tif"))) for part in ("MSS", "PAN")}
        dem = str(scene / "dem.tif")
        mean = round(float(gdal.Open(dem).ReadAsArray().mean()), 3)
        ms = reflectance_of(truth, "BGRN")

        def reflectance(dn):
            return [(role, g * x + b, g) for role, x, (g, b) in zip("BGRN", dn, ms)]

        def ndvi(dn):
            (_, red, per_r), (_, nir, per_n) = reflectance(dn)[2:]
            total = red + nir
            # One DN in each band, to first order.
            return [("NDVI", (nir - red) / total, 2 * (abs(red) * per_n + abs(nir) * per_r) / total**2)]

        (pan_gain, pan_bias), = reflectance_of(truth, ["PAN"])

        def pan(dn):
            return [("PAN", pan_gain * dn[0] + pan_bias, pan_gain)]

        for label, height, line in (("dem", dem, f'dem = "{dem}"'), ("constant", mean, f"constant = {mean}")):
            pipeline = PIPELINE.replace("HEIGHT", line).replace("height =", f'resampling = "{a.resampling}"\nheight =')
            name = label if a.resampling == "bilinear" else f"{label}_{a.resampling}"
            out = run(a.fieldglow, scene / "runs", name, pipeline, scene)
            label = f"seed {seed} {label:8}"
            more = {"kernel": kernel, "resampling": a.resampling}
            compare(out, "reflectance", images["MSS"], height, 0, reflectance, label, report, **more)
            compare(out, "ndvi", images["MSS"], height, 0, ndvi, label, report, **more)
            compare(out, "pan", images["PAN"], height, 0, pan, label, report, **more)
            sys.stdout.flush()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
