"""Pansharpened products against the truth, against plain numpy, and beside gdal_pansharpen and OTB.

    pansharpen.py FIELDGLOW WORK [--data DATA] [--size 256] [--seeds 1-2] [--resampling bilinear]

- Full reference: simulated scenes whose reflectance is known at the pixels of PAN, as L1 with RPC and DEM (`ortho`) and as
  projected images (`grid`). The other programs get the projected images, as reflectance.
- Reduced resolution (Wald): PAN and MS of DATA/vhr_rpc/pleiades_ventoux and DATA/pansharpen, low-passed by Gaussians
  with the gains 0.3 (MS) and 0.15 (PAN) at the Nyquist frequency of the coarser pixels and decimated by their ratio, so that
  the MS is the truth. Only the first, where nothing had resampled the bands before, has limits.
- Numpy: MTF-GLP-HPM in f64 by the published equations, on the whole image: dense Gaussian matrices, decimation,
  interpolation. Once with the product's own statistics: every pixel is compared.
- Seams: the same scene on cells half as large, whose units are cut elsewhere. Nodata: a hole in PAN and one in MS.

Measures: ERGAS, SAM and Q4 (32 x 32 blocks), checked against kernels/tests/fusion_metrics.txt first. Limits of the default
at reduced resolution: no other program has a better ERGAS, nor a better SAM or Q4 where `--resampling` is `cubic` as theirs
is, or `lanczos`, which the other equations of numpy do not beat either; and by each measure it is what its own equations give,
to 2 %.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from osgeo import gdal, osr

from common import Product, Report, erode, integers, run, simulate

ROLES = "BGRN"
REFERENCE = Path(__file__).parents[2] / "kernels" / "tests" / "fusion_metrics.txt"
MS_GAIN, PAN_GAIN = 0.3, 0.15
FLOOR = 0.25  # of the scene's mean: below it PAN is not divided by (docs/pansharpening.md)

# --- measures ------------------------------------------------------------------------------------------------------


def sam(truth, fused):
    """Mean spectral angle, degrees."""
    norm = np.sqrt((truth**2).sum(0) * (fused**2).sum(0))
    keep = norm > 0
    cosine = (truth * fused).sum(0)[keep] / norm[keep]
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def ergas(truth, fused, ratio):
    """Relative dimensionless global error; `ratio` of the pixel sizes, above 1."""
    square = [((t - f) ** 2).mean() / t.mean() ** 2 for t, f in zip(truth, fused)]
    return float(100 / ratio * np.sqrt(np.mean(square)))


def uiqi(x, y):
    """Universal image quality index of one block."""
    c = np.cov(x.ravel(), y.ravel())
    return 4 * c[0, 1] * x.mean() * y.mean() / ((c[0, 0] + c[1, 1]) * (x.mean() ** 2 + y.mean() ** 2))


def quaternion(a, b):
    a0, a1, a2, a3 = a
    b0, b1, b2, b3 = b
    return np.array(
        [
            a0 * b0 - a1 * b1 - a2 * b2 - a3 * b3,
            a0 * b1 + a1 * b0 + a2 * b3 - a3 * b2,
            a0 * b2 - a1 * b3 + a2 * b0 + a3 * b1,
            a0 * b3 + a1 * b2 - a2 * b1 + a3 * b0,
        ]
    )


def q4(truth, fused, block=32):
    """Q4 of Alparone et al. 2004: mean over blocks."""
    found = []
    for r in range(0, truth.shape[1] - block + 1, block):
        for c in range(0, truth.shape[2] - block + 1, block):
            x, y = (v[:, r : r + block, c : c + block].reshape(4, -1) for v in (truth, fused))
            n = x.shape[1]
            mx, my = x.mean(1), y.mean(1)
            dx, dy = x - mx[:, None], y - my[:, None]
            covariance = quaternion(dx, dy * np.array([[1], [-1], [-1], [-1]])).sum(1) / (n - 1)
            spread = ((dx**2).sum() + (dy**2).sum()) / (n - 1)
            above = 4 * np.linalg.norm(covariance) * np.linalg.norm(mx) * np.linalg.norm(my)
            below = spread * ((mx**2).sum() + (my**2).sum())
            if below > 0:
                found.append(above / below)
    return float(np.mean(found))


def check_measures():
    lines = [x for x in REFERENCE.read_text().splitlines() if not x.startswith("#")]
    for k in range(0, len(lines), 9):
        expected = [float(v) for v in lines[k].split()]
        planes = np.array([[float(v) for v in x.split()] for x in lines[k + 1 : k + 9]]).reshape(2, 4, 8, 8)
        t, f = planes
        found = [sam(t, f), ergas(t, f, 4), *(uiqi(a, b) for a, b in zip(t, f)), q4(t, f, 8)]
        assert np.allclose(found, expected, rtol=1e-9), (found, expected)


# --- the equations in numpy ----------------------------------------------------------------------------------------


def low_pass_matrix(n, ratio, gain):
    """From n fine samples to the n / ratio coarse ones under them: a Gaussian with this gain at the coarse Nyquist."""
    sigma = np.sqrt(-2 * np.log(gain)) / np.pi
    at = (np.arange(n) + 0.5) / ratio - 0.5
    distance = at[None, :] - np.arange(n // ratio)[:, None]
    reach = np.ceil(3.5 * sigma)
    weights = np.where(np.abs(distance) < reach, np.exp(-(distance**2) / (2 * sigma**2)), 0)
    return weights / weights.sum(1, keepdims=True)


def degrade(image, ratio, gain):
    return low_pass_matrix(image.shape[0], ratio, gain) @ image @ low_pass_matrix(image.shape[1], ratio, gain).T


def up_matrix(n, ratio, kind):
    """From n coarse samples to the n * ratio fine ones over them; the outermost are repeated beyond the edge."""

    def keys(d):  # Keys 1981, a = -1/2
        d = abs(d)
        return 1.5 * d**3 - 2.5 * d**2 + 1 if d <= 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2

    def lanczos(d):  # three lobes; the taps are divided by their sum
        return np.sinc(d) * np.sinc(d / 3)

    reach = {"bilinear": range(0, 2), "cubic": range(-1, 3), "lanczos": range(-2, 4)}[kind]
    kernel = {"bilinear": lambda d: 1 - abs(d), "cubic": keys, "lanczos": lanczos}[kind]
    weights = np.zeros((n * ratio, n))
    for i in range(n * ratio):
        at = (i + 0.5) / ratio - 0.5
        base = int(np.floor(at))
        f = at - base
        taps = [(j, kernel(f - j)) for j in reach]
        total = sum(w for _, w in taps)
        for j, w in taps:
            weights[i, min(max(base + j, 0), n - 1)] += w / total
    return weights


def enlarge(image, ratio, kind):
    return up_matrix(image.shape[0], ratio, kind) @ image @ up_matrix(image.shape[1], ratio, kind).T


def undecimated(image, ratio, gain):
    sigma = ratio * np.sqrt(-2 * np.log(gain)) / np.pi

    def matrix(n):
        d = np.arange(n)[None, :] - np.arange(n)[:, None]
        w = np.exp(-(d**2) / (2 * sigma**2))
        return w / w.sum(1, keepdims=True)

    return matrix(image.shape[0]) @ image @ matrix(image.shape[1]).T


def mtf_glp_hpm(ms, pan, ratio, kind="bilinear", decimated=True, fit="moments", seen=None):
    """The fused bands, f64. `seen`: per band mean, sd, mean and sd of low-passed PAN, correlation; else of the image."""
    fused = []
    coarse = degrade(pan, ratio, MS_GAIN)
    low = enlarge(coarse, ratio, kind) if decimated else undecimated(pan, ratio, MS_GAIN)
    for b, band in enumerate(ms):
        if seen is None:
            r = np.corrcoef(coarse.ravel(), band.ravel())[0, 1]
            mean, sd, pan_mean, pan_sd = band.mean(), band.std(), coarse.mean(), coarse.std()
        else:
            mean, sd, pan_mean, pan_sd, r = seen[b]
        slope = sd / pan_sd * (1 if fit == "moments" else r)
        # PAN fitted to the band, and its low-pass.
        p, p_low = (slope * (v - pan_mean) + mean for v in (pan, low))
        fused.append(enlarge(band, ratio, kind) * (1 + (p - p_low) / np.maximum(p_low, FLOOR * mean)))
    return np.array(fused)


def brovey(ms, pan, ratio, kind="bilinear"):
    """Brovey with weights by least squares at the pixels of the bands."""
    coarse = degrade(pan, ratio, MS_GAIN)
    design = np.c_[ms.reshape(len(ms), -1).T, np.ones(coarse.size)]
    weights = np.linalg.lstsq(design, coarse.ravel(), rcond=None)[0]
    bands = np.array([enlarge(b, ratio, kind) for b in ms])
    return bands * pan / (np.tensordot(weights[:-1], bands, 1) + weights[-1])


def formulas(ms, pan, ratio):
    """What the equations make of two images, by name. The first is the default's."""
    return [
        ("numpy MTF-GLP-HPM, regression, bilinear", mtf_glp_hpm(ms, pan, ratio, fit="regression")),
        ("numpy MTF-GLP-HPM, regression, cubic", mtf_glp_hpm(ms, pan, ratio, "cubic", fit="regression")),
        ("numpy MTF-GLP-HPM, regression, lanczos", mtf_glp_hpm(ms, pan, ratio, "lanczos", fit="regression")),
        ("numpy MTF-GLP-HPM, moments, bilinear", mtf_glp_hpm(ms, pan, ratio)),
        ("numpy MTF-GLP-HPM, moments, cubic", mtf_glp_hpm(ms, pan, ratio, "cubic")),
        ("numpy MTF-HPM undecimated, moments, bilinear", mtf_glp_hpm(ms, pan, ratio, decimated=False)),
        ("numpy Brovey, regression, bilinear", brovey(ms, pan, ratio)),
    ]


# --- other programs ------------------------------------------------------------------------------------------------


def write(path, planes, x0, y0, pixel, epsg, dtype=gdal.GDT_Float32):
    planes = np.atleast_3d(planes) if planes.ndim == 3 else planes[None]
    d = gdal.GetDriverByName("GTiff").Create(str(path), planes.shape[2], planes.shape[1], len(planes), dtype)
    d.SetGeoTransform((x0, pixel, 0, y0, 0, -pixel))
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(epsg)
    d.SetProjection(srs.ExportToWkt())
    for b, plane in enumerate(planes, 1):
        d.GetRasterBand(b).WriteArray(plane)
    d.Close()


def read(path):
    return gdal.Open(str(path)).ReadAsArray().astype(float)


def peers(folder, pan, ms):
    """What gdal_pansharpen and OTB make of two files: name and bands."""
    found = []
    out = folder / "gdal.tif"
    command = [sys.executable, "-m", "osgeo_utils.gdal_pansharpen", pan, ms, out, "-r", "cubic", "-q"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"gdal_pansharpen: {done.stdout}{done.stderr}")
    found.append(("gdal_pansharpen (Brovey, equal weights, cubic)", read(out)))
    if shutil.which("otbcli_Pansharpening") is None:
        print("OTB is not installed: its three methods are left out")
        return found
    up = folder / "up.tif"
    otb = [["otbcli_Superimpose", "-inr", pan, "-inm", ms, "-interpolator", "bco", "-out", up, "float"]]
    for method in ("rcs", "lmvm", "bayes"):
        fused = folder / f"otb_{method}.tif"
        otb.append(["otbcli_Pansharpening", "-inp", pan, "-inxs", up, "-method", method, "-out", fused, "float"])
    for command in otb:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{command[0]}: {done.stdout}{done.stderr}")
    return found + [(f"OTB {m}", read(folder / f"otb_{m}.tif")) for m in ("rcs", "lmvm", "bayes")]


# --- running -------------------------------------------------------------------------------------------------------

METHODS = {
    "sharp": "",
    "sharp-moments": 'fit = "moments"',
    "sharp-brovey": 'method = "brovey"',
}


def pipeline(level, geometry, pan_m, resampling, more=""):
    text = f'schema = 1\nname = "sharpen"\n[radiometry]\nlevel = "{level}"\n[geometry]\n{geometry}\n'
    text += f'resampling = "{resampling}"\n'
    for name, keys in METHODS.items():
        text += f'[[product]]\nname = "{name}"\nkind = "pansharpen"\nbands = {list(ROLES)}\n'.replace("'", '"')
        text += f'resolution = {pan_m}\ntype = "float32"\n{keys}\n'
    for name, bands in (("up", list(ROLES)), ("pan", ["PAN"])):
        text += f'[[product]]\nname = "{name}"\nkind = "bands"\nbands = {bands}\n'.replace("'", '"')
        text += f'resolution = {pan_m}\ntype = "float32"\n'
    return text + f'[[product]]\nname = "qa"\nkind = "qa"\nresolution = {pan_m}\n' + more


SCENE = """schema = 1
id = "ID"
time = 2026-07-15T02:30:00Z
platform = "any-1"
[[part]]
name = "PAN"
image = "pan.tif"
fill = FILL
[[part.band]]
role = "PAN"
range_nm = [450, 800]
[[part]]
name = "MS"
image = "ms.tif"
fill = FILL
""" + "".join(
    f'[[part.band]]\nrole = "{role}"\nindex = {k}\nrange_nm = {list(nm)}\n'
    for k, (role, nm) in enumerate(zip(ROLES, ((450, 520), (520, 600), (630, 690), (770, 890))), 1)
)

EPSG, PIXEL, X0, Y0 = 32651, 0.75, 400_500.0, 4_800_300.0


def projected_scene(folder, name, pan, ms, ratio, fill='"none"', dtype=gdal.GDT_Float32):
    """Two images on one corner, and a scene.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "pan.tif", pan, X0, Y0, PIXEL, EPSG, dtype)
    write(folder / "ms.tif", ms, X0, Y0, PIXEL * ratio, EPSG, dtype)
    (folder / "scene.toml").write_text(SCENE.replace("ID", name).replace("FILL", fill))
    return folder / "scene.toml"


def window(output, name, x0, y0, rows, cols):
    """A product's values on pixels from a corner on."""
    product = Product(output, name)
    row, col = product.position(x0, y0)
    assert abs(row - round(row)) < 1e-6 and abs(col - round(col)) < 1e-6, "on the product's pixels"
    return product.values(round(row), round(col), rows, cols)


def table(title, truth, rows, ratio, edge):
    """Prints the measures of all rows; returns them by name."""
    keep = (slice(None), slice(edge, -edge), slice(edge, -edge))
    t = truth[keep]
    print(f"\n{title}\n{'':52s}{'ERGAS':>9s}{'SAM':>9s}{'Q4':>9s}")
    measured = {}
    for name, fused in rows:
        f = fused[keep]
        assert not np.isnan(f).any(), name
        measured[name] = m = (ergas(t, f, ratio), sam(t, f), q4(t, f))
        print(f"{name:52s}{m[0]:9.4f}{m[1]:9.4f}{m[2]:9.4f}")
    return measured


def keep_limits(title, measured, resampling, report):
    """The default against its equations and against other programs."""
    own = measured["fieldglow mtf-glp-hpm, regression"]
    same = measured[f"numpy MTF-GLP-HPM, regression, {resampling}"]
    for what, a, b in zip(("ERGAS", "SAM", "Q4"), own, same):
        report.limit(f"{title}: {what} against its equations", abs(a / b - 1), 0.02)
    for name, m in measured.items():
        is_program = name.startswith(("gdal", "OTB"))
        if not (is_program or resampling == "lanczos" and name.startswith("numpy") and resampling not in name):
            continue
        report.limit(f"{title}: ERGAS against {name}", own[0] - m[0], 0)
        if resampling != "bilinear":
            report.limit(f"{title}: SAM against {name}", own[1] - m[1], 0)
            report.limit(f"{title}: Q4 against {name}", m[2] - own[2], 0)


def own_rows(output, x0, y0, rows, cols):
    names = [("sharp", "fieldglow mtf-glp-hpm, regression"), ("sharp-moments", "fieldglow mtf-glp-hpm, moments")]
    names += [("sharp-brovey", "fieldglow brovey"), ("up", "fieldglow bands, only interpolated")]
    return [(label, window(output, name, x0, y0, rows, cols)) for name, label in names]


def quality(output):
    item = json.loads(next(Path(output).glob("sharpen/scenes/*/item.json")).read_text())
    for name, q in item["properties"]["fieldglow:pansharpening"].items():
        print("  " + name + ": " + ", ".join(f"{k} {v:.4g}" for k, v in q.items()))


# --- what is compared ----------------------------------------------------------------------------------------------


def full_reference(a, seed):
    size = a.size
    base = {"size": size, "seed": seed, "truth-pixel": PIXEL}
    l1, l3 = (a.work / f"sharpen_{level}_{seed}_{size}" for level in ("l1", "l3"))
    simulate(a.fieldglow, l1, **base)
    facts = simulate(a.fieldglow, l3, level="l3", **base)
    for folder, geometry, label in (
        (l1, f'mode = "ortho"\ncrs = "utm"\nresolution = 3.0\nheight = {{ dem = "{l1 / "dem.tif"}", datum = "ellipsoid" }}', "l1"),
        (l3, 'mode = "grid"\ncrs = "utm"\nresolution = 3.0', "l3"),
    ):
        output = run(a.fieldglow, a.work / "sharpen_runs", f"{label}_{seed}", pipeline("toa", geometry, PIXEL, a.resampling), folder)
        d = gdal.Open(str(folder / "truth" / "truth_mss.tif"))
        x0, _, _, y0, _, _ = d.GetGeoTransform()
        truth = d.ReadAsArray().astype(float)
        # The middle, so that L1, which is turned, is valid everywhere.
        cut = int(truth.shape[1] * 0.18) // 4 * 4
        n = truth.shape[1] - 2 * cut
        truth = truth[:, cut : cut + n, cut : cut + n]
        x0, y0 = x0 + cut * PIXEL, y0 - cut * PIXEL
        rows = own_rows(output, x0, y0, n, n)
        if label == "l3":
            refl = {}
            sun = facts["sun"]
            scale = np.pi * sun["distance_au"] ** 2 / np.cos(np.radians(sun["zenith_deg"]))
            for part in ("PAN", "MSS"):
                image = next(folder.glob(f"*_{part}/*.tif"))
                g = gdal.Open(str(image)).GetGeoTransform()
                dn = read(image)
                dn = dn if dn.ndim == 3 else dn[None]
                bands = {b["role"]: b for b in facts["radiometry"]["bands"]}
                values = [
                    (bands[r]["gain"] * v + bands[r]["bias"]) * scale / bands[r]["e0_w_m2_um"]
                    for r, v in zip(["PAN"] if part == "PAN" else ROLES, dn)
                ]
                refl[part] = (np.array(values), g)
            pan, g = refl["PAN"]
            ms = refl["MSS"][0]
            peer_folder = a.work / "sharpen_peers"
            peer_folder.mkdir(exist_ok=True)
            write(peer_folder / "pan.tif", pan[0], g[0], g[3], PIXEL, EPSG)
            write(peer_folder / "ms.tif", ms, g[0], g[3], 4 * PIXEL, EPSG)
            row, col = round((g[3] - y0) / PIXEL), round((x0 - g[0]) / PIXEL)

            def cropped(v):
                return v[:, row : row + n, col : col + n]

            rows += [(name, cropped(v)) for name, v in peers(peer_folder, peer_folder / "pan.tif", peer_folder / "ms.tif")]
            # The corners of the images are black: statistics are of the middle.
            c, k = cut // 2 // 4 * 4, n + cut // 4 * 4
            top, left = (row - c) // 4 * 4, (col - c) // 4 * 4
            assert top >= 0 and left >= 0
            p, m = pan[0][top : top + k, left : left + k], ms[:, top // 4 : (top + k) // 4, left // 4 : (left + k) // 4]

            def of_middle(v):
                return v[:, row - top : row - top + n, col - left : col - left + n]

            rows += [(name, of_middle(v)) for name, v in formulas(m, p, 4)]
        table(f"simulated {label}, seed {seed}, truth at {PIXEL} m", truth, rows, 4, 8)
        quality(output)


def reduced(a, name, pan, ms, ratio, report, limits):
    n = ms.shape[1] // ratio * ratio
    truth = ms[:, :n, :n]
    pan = degrade(pan[: n * ratio, : n * ratio], ratio, PAN_GAIN)
    low = np.array([degrade(b, ratio, MS_GAIN) for b in truth])
    folder = a.work / f"sharpen_wald_{name}"
    scene = projected_scene(folder, name, pan, low, ratio)
    pan, low = read(folder / "pan.tif"), read(folder / "ms.tif")
    geometry = f'mode = "grid"\ncrs = "EPSG:{EPSG}"\nresolution = {PIXEL * ratio}'
    output = run(a.fieldglow, a.work / "sharpen_runs", name, pipeline("dn", geometry, PIXEL, a.resampling), scene)
    own = own_rows(output, X0, Y0, n, n)
    rows = own + peers(folder, folder / "pan.tif", folder / "ms.tif")
    rows += formulas(low, pan, ratio)
    measured = table(f"{name}, reduced by {ratio}", truth, rows, ratio, 4)
    if limits:
        keep_limits(name, measured, a.resampling, report)
    quality(output)
    # The same equations with the same statistics, pixel by pixel, off the border that numpy repeats.
    survey = json.loads(next(Path(output).glob("sharpen/scenes/*/survey.json")).read_text())
    for product, fit in (("sharp", "regression"), ("sharp-moments", "moments")):
        bands = survey["sharpen"][product]["bands"]
        seen = [[bands[r][k] for k in ("mean", "sd", "pan_mean", "pan_sd", "correlation")] for r in ROLES]
        expected = mtf_glp_hpm(low, pan, ratio, a.resampling, fit=fit, seen=seen)
        edge = (3 if a.resampling == "lanczos" else 2) * ratio
        inner = (slice(None), slice(edge, -edge), slice(edge, -edge))
        got = window(output, product, X0, Y0, n, n)
        # In float32's steps: of the value, and of the mean where the value is smaller.
        scale = np.maximum(np.abs(expected), expected[inner].mean())
        worst = (np.abs(got - expected) / scale)[inner].max()
        print(f"  {product} against numpy with its statistics: largest difference {worst:.2e}")
        report.limit(f"{name}: {product} against numpy", worst, 2e-6)


def seams_and_holes(a, report):
    """One image in cells of two sizes, with a hole in PAN and one in MS."""
    rng = np.random.default_rng(7)
    n, rows, ratio = 2400, 512, 4  # across cells of either size
    y, x = np.mgrid[0:rows, 0:n]
    detail = 300 * np.sin(x / 3.1) * np.cos(y / 4.3) + 200 * np.sin(x / 37 + y / 53) + rng.normal(0, 40, (rows, n))
    pan = np.rint(1500 + detail)
    ms = np.array([np.rint(degrade((0.4 + 0.2 * b) * pan + 100 * np.cos(y / 61), ratio, MS_GAIN)) for b in range(4)])
    pan[300:340, 1500:1600] = 0
    pan[rng.random(pan.shape) < 1e-4] = 0
    ms[:, 50:70, 350:380] = 0
    pan, ms = pan.clip(0, 4095), ms.clip(0, 4095)
    scene = projected_scene(a.work / "sharpen_seams", "seams", pan, ms, ratio, "0", gdal.GDT_UInt16)
    geometry = f'mode = "grid"\ncrs = "EPSG:{EPSG}"\nresolution = {PIXEL * ratio}'
    finer = f'[[product]]\nname = "fine"\nkind = "qa"\nbands = ["PAN"]\nresolution = {PIXEL / 2}\n'
    outputs = [
        run(a.fieldglow, a.work / "sharpen_runs", name, pipeline("dn", geometry, PIXEL, a.resampling, more), scene)
        for name, more in (("large", ""), ("small", finer))
    ]
    cells = [len(Product(o, "sharp").files) for o in outputs]
    for product in METHODS:
        large, small = (window(o, product, X0, Y0, rows, n) for o in outputs)
        same = np.array_equal(large, small, equal_nan=True)
        print(f"  {product}: {cells[0]} and {cells[1]} cells, {'equal' if same else 'NOT equal'}")
        report.limit(f"seams of {product}: pixels that differ", int((~((large == small) | (np.isnan(large) & np.isnan(small)))).sum()), 0)
    got, up, p = (window(outputs[0], name, X0, Y0, rows, n) for name in ("sharp", "up", "pan"))
    wanted = ~np.isnan(up) & ~np.isnan(p)
    wrong = int((wanted != ~np.isnan(got)).sum())
    print(f"  nodata: {int((~wanted).sum())} samples invalid in PAN or MS, {wrong} differ in the product")
    report.limit("nodata: samples whose validity differs", wrong, 0)
    # Far from any hole, holes change nothing.
    # A filter reaches two pixels of the bands, their interpolation two more, or three.
    clear = erode(~np.isnan(p[0]) & ~np.isnan(up[0]), (5 if a.resampling == "lanczos" else 4) * ratio + 1)
    seen = json.loads(next(Path(outputs[0]).glob("sharpen/scenes/*/survey.json")).read_text())["sharpen"]["sharp"]["bands"]
    seen = [[seen[r][k] for k in ("mean", "sd", "pan_mean", "pan_sd", "correlation")] for r in ROLES]
    filled = np.where(pan == 0, pan[pan > 0].mean(), pan)
    whole = mtf_glp_hpm(ms, filled, ratio, a.resampling, fit="regression", seen=seen)
    clear &= ~np.isnan(got[0])
    worst = np.abs(got - whole)[:, clear].max() / whole.mean()
    print(f"  off the holes against numpy: largest difference {worst:.2e} of the mean, {int(clear.sum())} pixels")
    report.limit("off the holes against numpy", worst, 2e-6)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seeds", default="1-2")
    parser.add_argument("--resampling", default="bilinear")
    a = parser.parse_args()
    a.work = a.work.absolute()
    a.work.mkdir(parents=True, exist_ok=True)
    check_measures()
    report = Report()
    seams_and_holes(a, report)
    for seed in integers(a.seeds):
        full_reference(a, seed)
    if a.data is None:
        print("no DATA: the comparisons at reduced resolution are left out")
    else:
        ventoux = a.data / "vhr_rpc" / "pleiades_ventoux"
        # The crops share a corner: PAN starts at column and row 5000 of the scene, the bands at 1240 of theirs.
        pan, ms = read(ventoux / "left_image.tif"), read(ventoux / "lowres_color_image.tif")[[2, 1, 0, 3]]
        reduced(a, "ventoux", pan[:496, :496], ms[:, 10:134, 10:134], 4, report, True)
        for k in (1, 2):
            folder = a.data / "pansharpen" / f"wv2_rotterdam_{k}"
            pan, ms = read(folder / f"pan{k}.tif"), read(folder / f"ms{k}.tif")[[2, 1, 0, 3]]
            reduced(a, f"rotterdam_{k}", pan, ms, 2, report, False)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
