"""Simulated projected deliveries on a coarser grid, `resampling = "average"`, against gdalwarp's average.

    averages.py FIELDGLOW WORK [--seeds 1-3] [--size 1024] [--resolutions 6,8,20,30.72]

Level `dn`, float32. GDAL weighs each source pixel by its overlap with the output pixel as well; on a grid that is not turned
against the image the two definitions are the same. Limits as in gdalwarp_truth.py, in DN.
"""

import argparse
import sys
from pathlib import Path

from osgeo import gdal

from common import Report, integers, run, simulate
from warp import compare, require_recent_gdal

PIPELINE = """schema = 1
name = "averages"
[radiometry]
level = "dn"
[geometry]
mode = "grid"
resolution = RESOLUTION
resampling = "average"
[[product]]
name = "ms"
kind = "bands"
bands = ["B", "G", "R", "N"]
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=integers, default=integers("1-3"))
    parser.add_argument("--size", default="1024")
    parser.add_argument("--resolutions", default="6.0,8.0,20.0,30.72", type=lambda t: t.split(","))
    a = parser.parse_args()
    require_recent_gdal()
    report = Report()
    print(f"GDAL {gdal.__version__}; size {a.size}, source pixels of 3 m")
    for seed in a.seeds:
        scene = (a.work / f"l3_{seed}_{a.size}").absolute()
        simulate(a.fieldglow, scene, "--no-pan", seed=seed, size=a.size, level="l3")
        image = str(next(scene.glob("*_MSS/*_MSS.tif")))
        for resolution in a.resolutions:
            out = run(a.fieldglow, scene / "runs", f"average_{resolution}", PIPELINE.replace("RESOLUTION", resolution), scene)
            formula = lambda dn: [(role, x, 1.0) for role, x in zip("BGRN", dn)]
            label = f"seed {seed} {resolution:>5} m"
            # Of the coarser ones too little is left to estimate a shift from.
            window = 32 if float(resolution) < 10 else None
            compare(out, "ms", image, None, 0, formula, label, report, kernel=[], window=window, resampling="average")
            sys.stdout.flush()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
