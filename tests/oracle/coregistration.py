"""Five simulated dates of one land, four with wrong RPC, laid on the first; a scene without features; Pléiades left and right.

    coregistration.py FIELDGLOW WORK [--size 768] [--seed 21] [--ventoux FOLDER]

The first date is made without a reference and is the reference of the others: its scene Item names the files. The others were
taken from other angles, of other crops on the same fields, one of them partly under a cloud, each with RPC that are 30
multispectral pixels (90 m) wrong in another direction.

Position: the NIR band of each output against the truth of its own date, in windows of 128 pixels, by an estimator that is not
Fieldglow's: scikit-image's phase_cross_correlation (unnormalised, upsampled 200 times), repeated until nothing is left, with the
image moved by scipy's cubic splines. Windows that show edges in one direction alone, or a cloud, are left out. The root mean
square length over all windows of a date counts: limit 0.1 pixel. Without co-registration it must be larger than 20: else
the test sees nothing.

A scene of one digital number must be refused with exit code 3 and the numbers of its windows.

With --ventoux (a folder that holds `pleiades_ventoux` and `pleiades_ventoux_right`) the right image is laid on the left one; what is
found is printed, there is no truth to compare with: the views differ by the relief that a DEM of 90 m does not have.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from osgeo import gdal
from scipy.ndimage import shift as moved
from skimage.registration import phase_cross_correlation

from common import Product, Report, _has_corners, run, simulate
from l1_truth import on_truth

LIMIT_PX = 0.1
MS_M = 3.0
WINDOW = 128
RIM = 16

# Roll, season, share under a cloud, lines and samples the RPC are off by.
DATES = [
    (8.0, 0, 0.0, (0.0, 0.0)),
    (-6.0, 1, 0.0, (30.0, 0.0)),
    (17.0, 2, 0.0, (-18.0, 24.0)),
    (2.0, 3, 0.15, (-21.3, -21.1)),
    (-14.0, 4, 0.0, (3.5, -29.8)),
]

PIPELINE = f"""schema = 1
name = "NAME"
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
SECTION
"""


def window_shift(truth, image):
    """Rows and columns by which `image` lies off `truth`; both with a rim."""
    inner = (slice(RIM, -RIM), slice(RIM, -RIM))
    line = np.hanning(truth.shape[0] - 2 * RIM)
    taper = line[:, None] * line[None, :]
    reference = truth[inner] - truth[inner].mean()
    total = np.zeros(2)
    for _ in range(6):
        back = moved(image, -total, order=3, mode="nearest")[inner]
        # What the first image has to be moved by to lie on the second: the negative of what is asked.
        left, *_ = phase_cross_correlation(
            (back - back.mean()) * taper, reference * taper, upsample_factor=200, normalization=None
        )
        total += left
        if np.abs(total).max() > RIM - 2:
            return None
        if np.abs(left).max() < 0.004:
            break
    return total


def position_errors(product, truth_file):
    """Shifts of the product's last band, NIR, against the truth, a row per window."""
    truth, ours, _ = on_truth(product, truth_file)
    rows, cols = truth.shape
    side = WINDOW + 2 * RIM
    found = []
    for r in range(0, rows - side + 1, WINDOW // 2):
        for c in range(0, cols - side + 1, WINDOW // 2):
            a, b = truth[r : r + side, c : c + side], ours[r : r + side, c : c + side]
            if np.isnan(b).any() or not _has_corners(a) or a.std() < 0.02:
                continue
            s = window_shift(a, b)
            if s is not None:
                found.append(s)
    return np.array(found).reshape(-1, 2)


def refused(binary, work, pipeline, scene):
    """Runs a pipeline that must fail; its exit code and message."""
    file = work / "refused.toml"
    file.write_text(pipeline)
    command = [str(Path(binary).absolute()), "run", str(file), str(scene), "--output", str(work / "refused_out")]
    done = subprocess.run([*command, "--progress", "off", "--force"], capture_output=True, text=True)
    return done.returncode, done.stderr


def section(item, asset, max_shift=150.0, more=""):
    return f'[coregistration]\nreference = "{item}"\nasset = "{asset}"\nmax_shift_m = {max_shift}\n{more}'


def scene_item(out):
    (item,) = Path(out).glob("*/scenes/*/item.json")
    return item


def told(out):
    return json.loads(scene_item(out).read_text())["properties"]["fieldglow:coregistration"]


def line(found):
    windows = f"{found['used']} of {found['tried']} windows"
    rejected = ", ".join(f"{found[k]} {k}" for k in ("invalid", "featureless", "unclear", "far", "inconsistent"))
    return (
        f"shift {found['shift_px'][0]:+.2f} cols {found['shift_px'][1]:+.2f} rows ="
        f" {found['shift_m'][0]:+.1f} m E {found['shift_m'][1]:+.1f} m N, rmse {found['rmse_px']:.3f} px;"
        f" {windows} ({rejected})"
    )


def dates(a, report):
    work = a.work.absolute()
    scenes = []
    for k, (roll, season, cloud, (lines, samples)) in enumerate(DATES):
        folder = work / f"coreg_{a.seed}_{a.size}_{k}"
        extra = ["--rpc-shift", str(lines), str(samples)] if lines or samples else []
        options = {"seed": a.seed, "size": a.size, "roll": roll, "season": season, "cloud": cloud, "relief": 80.0}
        simulate(a.fieldglow, folder, "--no-pan", *extra, **options)
        scenes.append(folder)
    runs = work / f"coreg_{a.seed}_{a.size}_runs"

    def text(name, k, with_section):
        dem = f"{scenes[k]}/dem.tif"
        return PIPELINE.replace("NAME", name).replace("DEM", dem).replace("SECTION", with_section)

    def errors(out, k):
        return position_errors(Product(out, "reflectance"), scenes[k] / "truth" / "truth_mss.tif")

    def rms(found):
        return float(np.sqrt((found**2).sum(axis=1).mean())) if len(found) else np.nan

    first = run(a.fieldglow, runs, "first", text("first", 0, ""), scenes[0])
    item = scene_item(first)
    own = errors(first, 0)
    print(f"date 0: {rms(own):.4f} px rms off its truth in {len(own)} windows, without a reference")
    for k in range(1, len(DATES)):
        out = run(a.fieldglow, runs, f"date{k}", text(f"date{k}", k, section(item, "reflectance")), scenes[k])
        found = errors(out, k)
        median = np.median(found, axis=0) if len(found) else [np.nan] * 2
        mean = found.mean(axis=0) if len(found) else [np.nan] * 2
        print(
            f"date {k}: {rms(found):.4f} px rms off its truth in {len(found)} windows; median rows {median[0]:+.4f} cols"
            f" {median[1]:+.4f}, mean rows {mean[0]:+.4f} cols {mean[1]:+.4f}; {line(told(out)['to_reference'])}"
        )
        report.limit(f"date {k} position error, px rms", rms(found), LIMIT_PX)
        report.limit(f"date {k} windows compared", len(found), 10, at_least=True)
        report.limit(f"date {k} position error put in, px", float(np.hypot(*DATES[k][3])), 20, at_least=True)
        lines, samples = DATES[k][3]
        cols, rows = told(out)["to_reference"]["shift_px"]
        report.limit(f"date {k} shift found, px", float(np.hypot(cols + samples, rows + lines)), 0.2)
        sys.stdout.flush()

    flat = work / f"coreg_{a.seed}_{a.size}_flat"
    shutil.rmtree(flat, ignore_errors=True)
    shutil.copytree(scenes[1], flat)
    (image,) = flat.glob("*_MSS/*_MSS.tif")
    d = gdal.Open(str(image), gdal.GA_Update)
    for band in range(1, d.RasterCount + 1):
        d.GetRasterBand(band).Fill(1234)
    d = None
    code, said = refused(a.fieldglow, runs, text("flat", 1, section(item, "reflectance")), flat)
    print(f"a scene of one value: exit code {code}: {said.strip().splitlines()[-1] if said.strip() else ''}")
    report.limit("exit code of a scene without features is 3", abs(code - 3), 0)
    report.limit("its message has numbers", said.count("windows"), 1, at_least=True)


SCENE = """schema = 1
id = "ventoux-SIDE"
time = 2013-08-05T10:42:TIMEZ
constellation = "pleiades"
platform = "phr1b"
[[part]]
name = "PAN"
image = "IMAGE"
fill = "none"
data_bits = 12
[[part.band]]
role = "PAN"
range_nm = [470, 830]
"""

VENTOUX = """schema = 1
name = "NAME"
[radiometry]
level = "dn"
[geometry]
mode = "ortho"
crs = "utm"
resolution = 0.5
height = { dem = "DEM", datum = "ellipsoid" }
[[product]]
name = "pan"
kind = "bands"
bands = ["PAN"]
SECTION
"""


def ventoux(a):
    """The right image on the left one: what is found, and what an independent look at the outputs says before and after."""
    work = a.work.absolute() / "coreg_ventoux"
    dem = a.ventoux / "pleiades_ventoux" / "dem_ellipsoidal_crop.tif"
    sides = {"left": ("pleiades_ventoux", "left_image"), "right": ("pleiades_ventoux_right", "right_image")}
    for (side, (folder, stem)), time in zip(sides.items(), ("19.4", "59.4")):
        target = work / side
        target.mkdir(parents=True, exist_ok=True)
        for ending in (".tif", ".RPB"):
            shutil.copyfile(a.ventoux / folder / (stem + ending), target / (stem + ending))
        scene = SCENE.replace("SIDE", side).replace("TIME", time).replace("IMAGE", f"{stem}.tif")
        (target / "scene.toml").write_text(scene)

    def make(name, side, with_section):
        text = VENTOUX.replace("NAME", name).replace("DEM", str(dem)).replace("SECTION", with_section)
        return run(a.fieldglow, work, name, text, work / side / "scene.toml")

    left = make("left", "left", "")
    images = {"before": make("before", "right", "")}
    for model in ("shift", "affine"):
        with_section = section(scene_item(left), "pan", 20.0, f'model = "{model}"\nwindow_px = 64\non_weak = "skip"')
        images[model] = make(model, "right", with_section)
        found = told(images[model])
        print(f"Ventoux right on left, {model}: {line(found['to_reference']) if 'to_reference' in found else found}")
    base = Product(left, "pan")
    for name, out in images.items():
        other = Product(out, "pan")
        x0, y0 = max(base.x0, other.x0), min(base.y0, other.y0)
        cut = []
        for p in (base, other):
            row, col = (round(v) for v in p.position(x0, y0))
            cut.append((p, row, col))
        rows = min(p.dataset.RasterYSize - row for p, row, _ in cut)
        cols = min(p.dataset.RasterXSize - col for p, _, col in cut)
        b, o = (p.values(row, col, rows, cols)[0] for p, row, col in cut)
        side, found = WINDOW // 2 + 2 * RIM, []
        for r in range(0, rows - side + 1, 32):
            for c in range(0, cols - side + 1, 32):
                x, y = b[r : r + side, c : c + side], o[r : r + side, c : c + side]
                if not (np.isnan(x).any() or np.isnan(y).any()):
                    s = window_shift(x, y)
                    if s is not None:
                        found.append(s)
        found = np.array(found).reshape(-1, 2)
        if len(found):
            rows, cols = np.median(found, axis=0)
            spread = np.median(np.hypot(*(found - (rows, cols)).T))
            print(f"  {name}: median shift rows {rows:+.2f} cols {cols:+.2f} px of 0.5 m, median spread {spread:.2f}, {len(found)} windows")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--size", default="768")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--ventoux", type=lambda text: Path(text).absolute())
    a = parser.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    report = Report()
    dates(a, report)
    if a.ventoux:
        ventoux(a)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
