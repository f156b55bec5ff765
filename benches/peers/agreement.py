"""Whether the peers' pixels are ours: agreement.py JOB OURS PEER=FOLDER… prints JSON, exit code 1 if one does not agree.

Compared where both sides are valid, on windows of up to 512 × 512 spread over our files. In the day job reflectance must
be within one stored step, and an index within what ±½ step of each of its inputs and the two roundings imply; in the ortho
job, whose peers warp approximately, the same shares are told and the median difference of reflectance must be within 20
steps.
"""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window, from_bounds

STEP = 1e-4
FORMULAS = {
    "ndvi": lambda b, g, r, n: (n - r) / (n + r),
    "evi": lambda b, g, r, n: 2.5 * (n - r) / (n + 6 * r - 7.5 * b + 1),
    "savi": lambda b, g, r, n: 1.5 * (n - r) / (n + r + 0.5),
    "ndwi": lambda b, g, r, n: (g - n) / (g + n),
    "gndvi": lambda b, g, r, n: (n - g) / (n + g),
}


def windows(dataset):
    """Up to nine windows of a file."""
    starts = lambda n: sorted({0, max(0, n // 2 - 256), max(0, n - 512)})
    for r, c in itertools.product(starts(dataset.height), starts(dataset.width)):
        yield Window(c, r, min(512, dataset.width - c), min(512, dataset.height - r))


def cut(dataset, bounds, shape):
    window = from_bounds(*bounds, transform=dataset.transform).round_offsets().round_lengths()
    nodata = dataset.nodata if dataset.nodata is not None else 0
    return dataset.read(window=window, boundless=True, fill_value=nodata, out_shape=(dataset.count, *shape))


def compare(job, ours, peer):
    files = sorted(Path(ours).glob("*/*/*/*/reflectance.tif"))
    # The one-pass script calls its reflectance `r`.
    reflectance = next(p for n in ("reflectance", "r") if (p := Path(peer) / f"{n}.tif").exists())
    theirs = {"reflectance": rasterio.open(reflectance)} | {n: rasterio.open(Path(peer) / f"{n}.tif") for n in FORMULAS}
    within = {n: [0, 0] for n in theirs}
    differences = []
    for file in files:
        with rasterio.open(file) as d:
            for window in windows(d):
                mine = d.read(window=window)
                bounds = rasterio.windows.bounds(window, d.transform)
                other = cut(theirs["reflectance"], bounds, mine.shape[1:])
                # The peers take black borders for measurements of 0.
                valid = (mine != -32768).all(0) & (other > 0).all(0)
                if not valid.any():
                    continue
                off = np.abs(mine.astype(int) - other)[:, valid]
                within["reflectance"][0] += int((off <= 1).sum())
                within["reflectance"][1] += off.size
                differences.append(np.median(off))
                reflectance = [x[valid] * STEP for x in mine.astype(float)]
                for name, formula in FORMULAS.items():
                    with rasterio.open(file.with_name(f"{name}.tif")) as e:
                        index = e.read(1, window=window)[valid].astype(int)
                    their = cut(theirs[name], bounds, mine.shape[1:])[0][valid].astype(int)
                    with np.errstate(all="ignore"):
                        middle = formula(*reflectance)
                        bound = np.zeros_like(middle)
                        for signs in itertools.product((-1, 1), repeat=4):
                            moved = formula(*[x + s * 0.5 * STEP for x, s in zip(reflectance, signs)])
                            bound = np.maximum(bound, np.abs(moved - middle))
                    # Both sides round; ours from exact reflectance, theirs from stored.
                    fits = (np.abs(index - their) <= 2 * bound / STEP + 1) | (index == -32768) | (np.abs(middle) > 3.2)
                    within[name][0] += int(fits.sum())
                    within[name][1] += fits.size
    shares = {n: (a / b if b else 0.0) for n, (a, b) in within.items()}
    median = float(np.median(differences)) if differences else float("nan")
    agrees = min(shares.values()) == 1.0 if job == "day" else median <= 20
    pixels = within["reflectance"][1] // 4
    return {"agrees": bool(agrees), "pixels": pixels, "median_steps": median, "within": {n: round(s, 6) for n, s in shares.items()}}


def main():
    job, ours, *peers = sys.argv[1:]
    result = {p.split("=")[0]: compare(job, ours, p.split("=")[1]) for p in peers}
    print(json.dumps(result))
    return int(not all(r["agrees"] for r in result.values()))


if __name__ == "__main__":
    sys.exit(main())
