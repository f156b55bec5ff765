"""What the RPC oracles share: scenes of a dummy image and a model, and what Fieldglow makes of them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from osgeo import gdal

OFFSETS = "LINE_OFF SAMP_OFF LAT_OFF LONG_OFF HEIGHT_OFF LINE_SCALE SAMP_SCALE LAT_SCALE LONG_SCALE HEIGHT_SCALE".split()
POLYNOMIALS = "LINE_NUM_COEFF LINE_DEN_COEFF SAMP_NUM_COEFF SAMP_DEN_COEFF".split()

# The same numbers as Fieldglow names them.
OURS = dict(zip(OFFSETS, "row_off col_off lat_off lon_off height_off row_scale col_scale lat_scale lon_scale height_scale".split()))
OURS |= dict(zip(POLYNOMIALS, "row_num row_den col_num col_den".split()))

SCENE = """schema = 1
id = "rpc"
time = 2026-07-15T10:30:00+08:00
[[part]]
name = "PAN"
image = "IMAGE"
[[part.band]]
role = "PAN"
index = 1
"""


def dummy(path, rows=64, cols=64):
    """Writes an image without a place."""
    gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, 1, gdal.GDT_UInt16, ["SPARSE_OK=TRUE"])


def scene(folder, image, companion=None, source=None):
    """A folder with `image` and the model beside it; returns its scene.toml.

    `image` is a name, for a dummy, or a path, for a copy. `source` is a path or a text, `companion` its name in the folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if isinstance(image, Path):
        shutil.copyfile(image, folder / image.name)
    else:
        dummy(folder / image)
    if isinstance(source, Path):
        shutil.copyfile(source, folder / companion)
    elif source:
        (folder / companion).write_text(source)
    name = image.name if isinstance(image, Path) else image
    (folder / "scene.toml").write_text(SCENE.replace("IMAGE", name))
    return folder / "scene.toml"


def ask(program, sidecar, points=()):
    """The RPC of the scene by `examples/rpc_points`, and what it makes of points, NaN for none; ends the script if it fails."""
    lines = "".join(f"{kind} {a!r} {b!r} {h!r}\n" for kind, a, b, h in points)
    done = subprocess.run([str(program), str(sidecar)], input=lines, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{program} {sidecar}\nexit code {done.returncode}\n{done.stderr}")
    head, *rest = done.stdout.splitlines()
    found = [(np.nan, np.nan) if line == "none" else tuple(map(float, line.split())) for line in rest]
    return json.loads(head), np.array(found).reshape(-1, 2)


def points(kind, a, b, height):
    """Lines for `ask` of arrays."""
    return [(kind, float(x), float(y), float(h)) for x, y, h in zip(*np.broadcast_arrays(a, b, height))]


def domain(image):
    """GDAL's RPC domain of an image as numbers by key; None without one."""
    texts = gdal.Open(str(image)).GetMetadata("RPC")
    if not all(k in texts for k in (*OFFSETS, *POLYNOMIALS)):
        return None
    # Offsets may be followed by their unit.
    numbers = {k: float(texts[k].split()[0]) for k in OFFSETS}
    return numbers | {k: [float(v) for v in texts[k].split()] for k in POLYNOMIALS}
