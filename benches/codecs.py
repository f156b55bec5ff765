#!/usr/bin/env python3
"""What codecs, levels, predictors, interleaving and tile sizes make of real and simulated products.

    benches/codecs.py [--data DIR] [--work DIR] [--fieldglow PATH] [--runs 3] [--json FILE] [--docs docs/codecs.md]

Makes products with Fieldglow (reflectance and NDVI as int16 and as float32, pixel states) of every image below in its own
pixels (`native`) and resampled (`grid`, 15/16 of the size), and of a simulated scene, projected (`native`) and L1 over relief
(`ortho`); examples/codec_table.rs then compresses their pixels from memory, on one core. Images in DIR (left out, and said
to be, where they are missing), no pixel twice:

    multispectral/sentinel2_29RKH/B0{2,3,4,8}.tif      1024 × 1024   Sentinel-2
    multispectral/cloud_sentinel2/sentinel2_bgrn.tif    512 × 512    Sentinel-2, clouds
    pansharpen/wv2_rotterdam_{1,2}/ms{1,2}.tif          300 × 300    WorldView-2
    multispectral/landsat8_016037/*_B{2,3,4,5}.TIF      255 × 259    Landsat-8
    vhr_rpc/pleiades_ventoux/lowres_color_image.tif     145 × 145    Pléiades

Sizes are those of compressed tiles, in percent of the bytes of valid pixels (nodata costs next to nothing). Seconds are those
of images in their own pixels that are whole tiles, the least of RUNS. Everything is tried with everything: JSON has all of
it. Prints a selection as Markdown; with `--docs` writes it between `<!-- measured: codecs -->` and `<!-- end -->` of that
file.
"""

import argparse
import collections
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIDE = 1024

# Name, files of one band or one file of all, their bands in order B, G, R, N, factor to DN, gain and bias of reflectance.
REAL = [
    ("sentinel2", [f"multispectral/sentinel2_29RKH/B{b}.tif" for b in ("02", "03", "04", "08")], [1] * 4, 1, 1e-4, 0.0),
    ("sentinel2-clouds", ["multispectral/cloud_sentinel2/sentinel2_bgrn.tif"], [1, 2, 3, 4], 1e4, 1e-4, 0.0),
    ("worldview2-1", ["pansharpen/wv2_rotterdam_1/ms1.tif"], [3, 2, 1, 4], 1, 4e-4, 0.0),
    ("worldview2-2", ["pansharpen/wv2_rotterdam_2/ms2.tif"], [3, 2, 1, 4], 1, 4e-4, 0.0),
    ("landsat8", [f"multispectral/landsat8_016037/LC08_L1TP_016037_20170813_20170814_01_RT_B{b}.TIF" for b in "2345"],
     [1] * 4, 1, 2e-5, -0.1),
    ("pleiades", ["vhr_rpc/pleiades_ventoux/lowres_color_image.tif"], [3, 2, 1, 4], 1, 3e-4, 0.0),
]
KINDS = {
    "reflectance": "reflectance int16",
    "ndvi": "NDVI int16",
    "reflectance-f32": "reflectance float32",
    "ndvi-f32": "NDVI float32",
    "qa": "states",
}
FLOATS = ("reflectance-f32", "ndvi-f32")
# What Fieldglow uses.
PREDICTOR = {"reflectance": 2, "ndvi": 2, "reflectance-f32": 3, "ndvi-f32": 3, "qa": 1}
LEVELS = {"own": (3,), "zstd": (1, 2, 3, 6, 9, 12, 15, 19), "deflate": (1, 2, 3, 4, 6, 9, 12)}
NAMES = {"own": "zstd 3, own search"}
# Where predictors, interleaving and tile sizes are shown.
SHOWN = ("own:3", "zstd:1", "zstd:3", "zstd:9", "deflate:1", "deflate:6")

PIPELINE = """schema = 1
name = "codecs"
[geometry]
{geometry}
[[product]]
name = "reflectance"
kind = "bands"
bands = ["B", "G", "R", "N"]
[[product]]
name = "reflectance-f32"
kind = "bands"
bands = ["B", "G", "R", "N"]
type = "float32"
[[product]]
name = "ndvi"
kind = "index"
index = "NDVI"
[[product]]
name = "ndvi-f32"
kind = "index"
index = "NDVI"
type = "float32"
[[product]]
name = "qa"
kind = "qa"
[output]
pictures = false
"""
WRITE = """
import json, sys
import numpy as np, rasterio
from rasterio.transform import from_origin
files, bands, factor, side, out = json.load(sys.stdin)
planes = []
for k, b in enumerate(bands):
    with rasterio.open(files[k if len(files) > 1 else 0]) as d:
        planes.append(d.read(b)[:side, :side].astype(float))
image = np.clip(np.rint(np.array(planes) * factor), 0, 65535).astype("uint16")
profile = dict(driver="GTiff", width=image.shape[2], height=image.shape[1], count=4, dtype="uint16", crs="EPSG:32651")
with rasterio.open(out, "w", transform=from_origin(614400, 4915200, 7.5, 7.5), **profile) as d:
    d.write(image)
"""


def run(command, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stderr}")
    return done.stdout


def environment(work):
    """A Python with rasterio."""
    python = work / "venv/bin/python"
    if not python.exists():
        run([sys.executable, "-m", "venv", work / "venv"])
        run([python, "-m", "pip", "install", "-q", "rasterio", "numpy"])
    return python


def real_scene(a, python, name, files, bands, factor, gain, bias):
    """A folder with an image and what it is; None where the data are not there."""
    paths = [a.data / f for f in files]
    if not all(p.exists() for p in paths):
        print(f"left out, not below {a.data}: {name}", file=sys.stderr)
        return None
    folder = a.work / "scenes" / name
    folder.mkdir(parents=True, exist_ok=True)
    order = [[str(p.absolute()) for p in paths], bands, factor, SIDE, str(folder / "image.tif")]
    run([python, "-c", WRITE], input=json.dumps(order))
    text = f'schema = 1\nid = "{name}"\ntime = 2026-07-15T02:30:00Z\n[[part]]\nname = "MSS"\nimage = "image.tif"\nfill = 0\n'
    text += 'rpc = "none"\n'
    for k, role in enumerate("BGRN", 1):
        text += f'[[part.band]]\nrole = "{role}"\nindex = {k}\n'
        text += f"reflectance = {{ gain = {gain}, bias = {bias}, sun_corrected = true }}\n"
    (folder / "scene.toml").write_text(text)
    return folder


def products(a, name, scenes, geometry):
    """Product files by kind."""
    out = a.work / f"{name}_out"
    shutil.rmtree(out, ignore_errors=True)
    (a.work / f"{name}.toml").write_text(PIPELINE.format(geometry=geometry))
    run([a.fieldglow, "run", a.work / f"{name}.toml", *scenes, "--output", out, "--progress", "off"])
    return {kind: [str(p) for p in sorted(out.glob(f"codecs/*/*/*/{kind}.tif"))] for kind in KINDS}


def files(a):
    """Files by kind and origin."""
    python = environment(a.work)
    scenes = [s for s in (real_scene(a, python, *r) for r in REAL) if s]
    found = {}
    if scenes:
        found["real"] = products(a, "real", scenes, 'mode = "native"')
        # 1024 pixels of 7.5 m lie on one cell of the grid, and become 960 of 8 m.
        found["real, resampled"] = products(a, "resampled", scenes, 'mode = "grid"\ncrs = "EPSG:32651"\nresolution = 8')
    for level in ("l1", "l3"):
        scene = a.work / f"simulated_{level}"
        if not (scene / "truth/truth.json").exists():
            run([a.fieldglow, "simulate", scene, "--size", SIDE, "--no-pan", "--level", level])
    found["simulated"] = products(a, "l3", [a.work / "simulated_l3"], 'mode = "native"')
    height = f'mode = "ortho"\nresolution = 3\nheight = {{ dem = "{a.work}/simulated_l1/dem.tif", datum = "ellipsoid" }}'
    found["simulated, ortho"] = products(a, "l1", [a.work / "simulated_l1"], height)
    return found


def predictors(kind):
    return (1, 2, 3) if kind in FLOATS else (1, 2)


def interleaves(kind):
    return ("pixel", "band") if kind.startswith("reflectance") else ("pixel",)


def trials(kind):
    """What is tried for a kind: levels by predictors, then interleaving and tile sizes at some levels."""
    yield from (f"{c}:{l}:{p}:pixel:512" for c in LEVELS for l in LEVELS[c] for p in predictors(kind))
    for codec, interleave, tile in itertools.product(SHOWN, interleaves(kind), (256, 512, 1024)):
        if (interleave, tile) != ("pixel", 512):
            yield f"{codec}:{PREDICTOR[kind]}:{interleave}:{tile}"


def measure(a, kind, found):
    """By trial: percent of the valid pixels' bytes by origin, MB/s there and back."""
    command = [a.table, a.runs, *trials(kind), "--"]
    rows = collections.defaultdict(dict)
    speed = collections.defaultdict(lambda: [0, 0.0, 0.0])
    valid = {}
    for origin, by_kind in found.items():
        said = json.loads(run([*command, *by_kind[kind]]))
        sums = collections.Counter()
        valid[origin] = sum(f["valid_bytes"] for f in said["files"])
        for f in said["files"]:
            for t in f["trials"]:
                sums[t["trial"]] += t["stored_bytes"]
                if origin in ("real", "simulated") and f["rows"] % 512 == f["cols"] % 512 == 0:
                    s = speed[t["trial"]]
                    s[0], s[1], s[2] = s[0] + t["raw_bytes"], s[1] + t["encode_seconds"], s[2] + t["decode_seconds"]
        for trial, stored in sums.items():
            rows[trial][origin] = 100 * stored / valid[origin]
    for trial, (size, there, back) in speed.items():
        rows[trial] |= {"encode_mb_s": size / there / 1e6, "decode_mb_s": size / back / 1e6}
    return {"valid_bytes": valid, "zstd": said["zstd"], "trials": rows}


def processor():
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else platform.machine()


def libdeflate():
    lock = (ROOT / "Cargo.lock").read_text()
    return re.search(r'name = "libdeflate-sys"\nversion = "([^"]*)"', lock).group(1)


def number(size):
    return f"{size:.1f}" if size >= 1 else f"{size:.2f}"


def table(first, columns, rows):
    """Markdown of (name, cells)."""
    yield f"| {first} | {' | '.join(columns)} |"
    yield "| --- |" + " ---: |" * len(columns)
    for name, cells in rows:
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def markdown(results, origins):
    """A selection as three tables."""
    def sizes(kind, trial, of=origins):
        return [number(results[kind]["trials"][trial][o]) for o in of]

    def speeds(kind, trial):
        return [f"{results[kind]['trials'][trial][k]:.0f}" for k in ("encode_mb_s", "decode_mb_s")]

    valid = results["reflectance"]["valid_bytes"]
    out = ["Valid pixels of reflectance as int16: " + ", ".join(f"{o} {b / 1e6:.1f} MB" for o, b in valid.items()) + ".", ""]
    out += ["Levels, with the predictor of each type, by pixel, tiles of 512; MB/s of int16 reflectance:", ""]
    # Reflectance of every origin, of the others what is real if there is any.
    others = [(k, origins[0]) for k in ("ndvi", "ndvi-f32")] + [(k, origins[1]) for k in ("reflectance-f32", "qa")]
    columns = [f"{KINDS['reflectance']}: {o}" for o in origins] + [f"{KINDS[k]}: {o}" for k, o in others]
    rows = []
    for codec, level in ((c, l) for c in LEVELS for l in LEVELS[c]):
        cells = sizes("reflectance", f"{codec}:{level}:2:pixel:512")
        cells += [sizes(k, f"{codec}:{level}:{PREDICTOR[k]}:pixel:512", [o])[0] for k, o in others]
        rows.append((NAMES.get(codec, f"{codec} {level}"), cells + speeds("reflectance", f"{codec}:{level}:2:pixel:512")))
    out += table("codec, level", [*columns, "there, MB/s", "back, MB/s"], rows)
    out += ["Predictors, by pixel, tiles of 512:", ""]
    columns = [f"{c.replace(':', ' ')}, {p}" for c in ("zstd:3", "deflate:1") for p in ("none", "2", "3")] + ["own search, 2"]
    rows = []
    for kind, origin in itertools.product([k for k in KINDS if k != "qa"], origins):
        trials = [f"{c}:{p}:pixel:512" for c in ("zstd:3", "deflate:1") for p in (1, 2, 3)] + ["own:3:2:pixel:512"]
        known = results[kind]["trials"]
        rows.append((f"{KINDS[kind]}: {origin}", [number(known[t][origin]) if t in known else "–" for t in trials]))
    out += table("pixels", columns, rows)
    out += ["Interleaving and tiles, zstd 3 with the search of its own:", ""]
    columns = [f"{KINDS[k]}: {o}" for k in ("reflectance", "reflectance-f32") for o in origins]
    rows = []
    for interleave, tile in itertools.product(("pixel", "band"), (256, 512, 1024)):
        cells = [c for k in ("reflectance", "reflectance-f32") for c in sizes(k, f"own:3:{PREDICTOR[k]}:{interleave}:{tile}")]
        rows.append((f"by {interleave}, {tile}", cells))
    out += table("layout", columns, rows)
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--work", type=Path, default=ROOT / "out/bench/codecs")
    parser.add_argument("--fieldglow", type=Path, default=ROOT / "target/release/fieldglow")
    parser.add_argument("--table", type=Path, help="codec_table; default: examples/codec_table beside FIELDGLOW")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--tables-of", type=Path, help="JSON of an earlier run: nothing is measured")
    a = parser.parse_args()
    a.work = a.work.absolute()
    a.work.mkdir(parents=True, exist_ok=True)
    a.table = a.table or a.fieldglow.absolute().parent / "examples/codec_table"
    if a.tables_of:
        results = json.loads(a.tables_of.read_text())
    else:
        results = {"machine": f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start"}
        found = files(a)
        for kind in KINDS:
            results[kind] = measure(a, kind, found)
            print(f"{kind}: measured", file=sys.stderr, flush=True)
    versions = f"libzstd {results['qa']['zstd']}, libdeflate {libdeflate()}"
    origins = list(results["qa"]["valid_bytes"])
    text = f"{versions}, one core; {results['machine']}.\n\n{markdown(results, origins)}"
    print(text)
    if a.json:
        a.json.write_text(json.dumps(results, indent=1) + "\n")
    if a.docs:
        begin, end = "<!-- measured: codecs -->", "<!-- end -->"
        before, rest = a.docs.read_text().split(begin)
        after = rest.split(end, 1)[1]
        a.docs.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


if __name__ == "__main__":
    main()
