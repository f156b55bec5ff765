"""Every kind of COG at every awkward size, checked by code nobody here wrote and recomputed in numpy.

    cog_matrix.py FIELDGLOW WORK [--writer WRITE_COG] [--gdal-python PYTHON]... [--sizes 1x1,513x513] [--level 1]

The matrix is codec (ZSTD, DEFLATE) × type × 1 to 5 bands × sizes (rows x columns) × where nothing was measured: nowhere
(`none`), scattered, along the border, everywhere but in one pixel (`one`), in one whole band (`band`), everywhere (`all`).

- `fieldglow run` makes what pipelines can make: int16 and float32 of 1 to 5 bands, previews (uint8) of 1 and 3, states
  (uint16 bits) of 1. It writes no cell without a valid pixel.
- WRITE_COG (examples/write_cog.rs; default: examples/write_cog beside FIELDGLOW) makes the rest with the library alone:
  bits and uint8 of other numbers of bands, uint16 averages, and files without a valid pixel.

Every file: GDAL's validate_cloud_optimized_geotiff, full check, by each PYTHON given (default: this one and, if it has
GDAL, /usr/bin/python3); rio-cogeo, strict; `fieldglow validate`, which looks at layout, blocks, statistics and names.
Warnings of the first two are failures. rio-cogeo 7 takes a level that is exactly one tile wide, and higher, for one of
strips, whoever wrote it; of such levels, and if GDAL sees square tiles in them, that complaint is not counted. Then
GDAL reads every level and numpy recomputes it from the full resolution in the file: sizes halved and rounded up until one
tile holds them; averages of the valid pixels, of integers rounded half to even, of floats in f64; bit 0 where all have it,
other bits where a valid pixel has them. Recomputed, too, are the statistics (extremes exactly, the rest to 1e-9) and, for
what `fieldglow run` made, the full resolution from the digital numbers (previews: only which pixels are valid). Nodata,
scale, offset, unit, names and colours are compared with what was asked for. Exit code: 0 if nothing differs.
"""

import argparse
import collections
import concurrent.futures
import itertools
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from osgeo import gdal, osr

from common import fieldglow

ROLES = ["B", "G", "R", "N", "RE1"]
COLOURS = ["Blue", "Green", "Red"]
SIZES = "1x1,1x513,511x512,512x511,513x513,1025x1023,1537x700,2049x3,5x4097"
PATTERNS = ["none", "scattered", "border", "one", "band"]
CODECS = {"zstd": "ZSTD", "deflate": "DEFLATE"}
TYPES = {"int16": np.int16, "uint16": np.uint16, "bits": np.uint16, "uint8": np.uint8, "float32": np.float32}
NODATA = {"int16": -32768, "uint16": 65535, "bits": 1, "uint8": 0, "float32": np.nan}
# Reflectance = GAIN · DN + BIAS: in stored steps 0.6 · DN − 500, so no value stands between two of them.
GAIN, BIAS, STEP = 6e-5, -0.05, 1e-4
CEILING = 65535
SATURATED, PARTIAL, CLIPPED = 256, 512, 1024
TILE, CELL, PIXEL, X0, Y0 = 512, 4096, 3.0, 600_000.0, 4_900_000.0

SCENE = """schema = 1
id = "ID"
time = 2026-07-15T02:30:00Z
[[part]]
name = "MSS"
image = "image.tif"
fill = 0
data_bits = 16
rpc = "none"
""" + "".join(
    f'[[part.band]]\nrole = "{role}"\nindex = {k}\nreflectance = {{ gain = {GAIN}, bias = {BIAS}, sun_corrected = true }}\n'
    for k, role in enumerate(ROLES, 1)
)


def products():
    """Name, type and bands of what a pipeline makes."""
    for bands in range(1, 6):
        yield f"int16-{bands}", "int16", bands
        yield f"float32-{bands}", "float32", bands
    yield "uint8-1", "uint8", 1
    yield "uint8-3", "uint8", 3
    yield "bits-1", "bits", 1


def pipeline(codec, level):
    text = 'schema = 1\nname = "matrix"\n[geometry]\nmode = "native"\n'
    for name, kind, bands in products():
        text += f'[[product]]\nname = "{name}"\n'
        roles = json.dumps(ROLES[:bands])
        text += {
            "int16": f'kind = "bands"\nbands = {roles}\n',
            "float32": f'kind = "bands"\nbands = {roles}\ntype = "float32"\n',
            "uint8": f'kind = "preview"\nbands = {roles}\n',
            "bits": 'kind = "qa"\n',
        }[kind]
    return text + f'[output]\ncompression = "{codec}"\nlevel = {level}\npictures = false\n'


# --- pixels --------------------------------------------------------------------------------------------------------


def numbers(rows, cols, pattern):
    """Digital numbers (band, row, col), 0 where nothing was measured: noisy waves, some too bright, some at the ceiling."""
    random = np.random.default_rng([rows, cols, len(pattern)])
    row, col = np.mgrid[:rows, :cols]
    waves = [9000 + 4000 * np.sin(row / 37 + k) + 3000 * np.cos(col / 23 - k) for k in range(len(ROLES))]
    dn = np.array(waves) + random.integers(-900, 900, (len(ROLES), rows, cols))
    bright = random.random(dn.shape)
    dn = np.where(bright < 0.02, random.integers(55000, CEILING, dn.shape), dn)
    dn = np.where(bright < 0.005, CEILING, dn).astype(np.uint16)
    dn[~measured(random, dn.shape, pattern)] = 0
    return dn


def measured(random, shape, pattern):
    """Where something was measured, (band, row, col)."""
    bands, rows, cols = shape
    if pattern == "none":
        return np.ones(shape, bool)
    if pattern == "scattered":
        return random.random(shape) < 0.7
    there = np.zeros(shape, bool)
    if pattern == "border":
        for band in range(bands):
            high, wide = min(17 + band, (rows - 1) // 2), min(9 + band, (cols - 1) // 2)
            there[band, high : rows - high, wide : cols - wide] = True
    elif pattern == "one":
        there[:, rows // 2, cols - 1] = True
    elif pattern == "band":
        there[:] = True
        there[min(1, bands - 1)] = bands == 1
    return there


def expected(kind, bands, dn):
    """Stored pixels of a product (band, row, col) from digital numbers; of previews whether they are valid."""
    there = dn > 0
    steps = (GAIN * dn.astype(float) + BIAS) / STEP
    if kind == "int16":
        return np.where(there, np.clip(np.rint(steps), -32767, 32767), -32768)[:bands].astype(np.int16)
    if kind == "float32":
        return np.where(there, GAIN * dn.astype(float) + BIAS, np.nan)[:bands].astype(np.float32)
    if kind == "uint8":
        return there[:bands]
    state = SATURATED * (dn == CEILING).any(0) + PARTIAL * ~there.all(0)
    state += CLIPPED * (there & (np.abs(np.rint(steps)) > 32767)).any(0)
    return np.where(there.any(0), state, 1)[None].astype(np.uint16)


def raw_pixels(kind, bands, rows, cols, pattern):
    """Pixels for the writer (band, row, col), spread over the whole range of the type."""
    random = np.random.default_rng([rows, cols, bands, len(pattern), len(kind)])
    shape = (bands, rows, cols)
    if kind == "bits":
        pixels = np.where(random.random(shape) < 0.6, 0, random.integers(0, 1 << 15, shape) << 1)
    elif kind == "float32":
        pixels = random.normal(0, 1e3, shape)
    else:
        low, high = {"int16": (-32767, 32768), "uint16": (0, 65535), "uint8": (1, 256)}[kind]
        pixels = random.integers(low, high, shape)
    pixels = pixels.astype(TYPES[kind])
    pixels[~measured(random, shape, pattern)] = NODATA[kind]
    return pixels


# --- the rules, recomputed -----------------------------------------------------------------------------------------


def is_valid(pixels, kind):
    return ~np.isnan(pixels) if kind == "float32" else pixels != NODATA[kind]


def halved(pixels, kind):
    """The next overview of (band, row, col)."""
    bands, rows, cols = pixels.shape
    even = np.full((bands, rows + rows % 2, cols + cols % 2), NODATA[kind], TYPES[kind])
    even[:, :rows, :cols] = pixels
    four = [even[:, r::2, c::2] for r in (0, 1) for c in (0, 1)]
    valid = [is_valid(p, kind) for p in four]
    count = sum(v.astype(np.int8) for v in valid)
    if kind == "bits":
        together = np.zeros(count.shape, np.uint16)
        for p, v in zip(four, valid):
            together |= np.where(v, p, 0).astype(np.uint16)
    else:
        total = sum(np.where(v, p, 0).astype(float) for p, v in zip(four, valid))
        together = total / np.maximum(count, 1)
        together = together if kind == "float32" else np.rint(together)
    return np.where(count > 0, together, NODATA[kind]).astype(TYPES[kind])


def statistics(band, kind):
    """Least, greatest, mean and deviation of the valid pixels and their share in percent."""
    values = band[is_valid(band, kind)].astype(float)
    share = 100 * values.size / band.size
    if not values.size:
        return None, share
    return (values.min(), values.max(), values.mean(), values.std()), share


# --- one file ------------------------------------------------------------------------------------------------------


def examine(job):
    """Complaints about a file, and how many levels and samples were compared."""
    complaints = []

    def expect(what, found, wanted):
        if found != wanted:
            complaints.append(f"{what}: {found}, expected {wanted}")

    kind, bands = job["kind"], job["bands"]
    data = gdal.Open(job["file"])
    expect("compression", data.GetMetadataItem("COMPRESSION", "IMAGE_STRUCTURE"), CODECS[job["codec"]])
    predictor = {"bits": None, "float32": "3"}.get(kind, "2")
    expect("predictor", data.GetMetadataItem("PREDICTOR", "IMAGE_STRUCTURE"), predictor)
    expect("bands", data.RasterCount, bands)
    pixels = data.ReadAsArray().reshape(bands, data.RasterYSize, data.RasterXSize)
    expect("type", pixels.dtype, np.dtype(TYPES[kind]))
    if job["pixels"]:
        origin = data.GetGeoTransform()
        row, col = round((Y0 - origin[3]) / PIXEL), round((origin[0] - X0) / PIXEL)
        dn = np.load(job["pixels"])[:, row : row + CELL, col : col + CELL]
        wanted = expected(kind, bands, dn)
        if kind == "float32":
            close = np.isclose(pixels, wanted, rtol=1e-6, atol=0, equal_nan=True)
        else:
            close = (is_valid(pixels, kind) if kind == "uint8" else pixels) == wanted
        expect("pixels that differ from those computed from the input", int((~close).sum()), 0)
    levels = 1
    recomputed = pixels
    samples = pixels.size
    while max(recomputed.shape[1:]) > TILE:
        recomputed = halved(recomputed, kind)
        if levels > data.GetRasterBand(1).GetOverviewCount():
            complaints.append(f"no overview of {recomputed.shape[1:]} pixels")
            break
        overviews = [data.GetRasterBand(b + 1).GetOverview(levels - 1) for b in range(bands)]
        stored = np.array([o.ReadAsArray() for o in overviews])
        if stored.shape != recomputed.shape:
            expect(f"size of level {levels}", stored.shape, recomputed.shape)
            break
        differ = ~((stored == recomputed) | (np.isnan(stored) & np.isnan(recomputed)))
        expect(f"pixels of level {levels} that differ from the recomputed ones", int(differ.sum()), 0)
        levels, samples = levels + 1, samples + stored.size
    expect("overviews", data.GetRasterBand(1).GetOverviewCount(), levels - 1)
    for b in range(bands):
        complaints += [f"band {b + 1}: {c}" for c in examine_band(data.GetRasterBand(b + 1), pixels[b], b, job)]
    return job["file"], complaints, levels, samples


def examine_band(band, pixels, number, job):
    complaints = []

    def expect(what, found, wanted):
        same = found == wanted or (wanted != wanted and found is not None and found != found)
        if not same:
            complaints.append(f"{what}: {found}, expected {wanted}")

    kind = job["kind"]
    expect("nodata", band.GetNoDataValue(), NODATA[kind])
    if job["pixels"]:
        expect("scale", band.GetScale(), STEP if kind == "int16" else 1.0)
        expect("offset", band.GetOffset(), 0.0)
        expect("unit", band.GetUnitType(), "" if kind == "uint8" else "1")
        expect("name", band.GetDescription(), "qa" if kind == "bits" else ROLES[number])
        colour = gdal.GetColorInterpretationName(band.GetColorInterpretation())
        if kind == "uint8":
            # What a viewer is to draw: the first band in red.
            expect("colour", colour, "Gray" if job["bands"] == 1 else ["Red", "Green", "Blue"][number])
        elif kind != "bits" and number < len(COLOURS):
            expect("colour", colour, COLOURS[number])
    else:
        expect("scale", band.GetScale(), 0.5)
        expect("offset", band.GetOffset(), -1.0 - number)
        expect("name", band.GetDescription(), f"band {number + 1} <&>")
    said = band.GetMetadata()
    names = ["STATISTICS_MINIMUM", "STATISTICS_MAXIMUM", "STATISTICS_MEAN", "STATISTICS_STDDEV"]
    counted, share = statistics(pixels, kind)
    if not abs(float(said.get("STATISTICS_VALID_PERCENT", "nan")) - share) <= 1e-9 * share:
        complaints.append(f"valid percent: {said.get('STATISTICS_VALID_PERCENT')}, expected {share}")
    if counted is None:
        expect("statistics", [n for n in names if n in said], [])
        return complaints
    for name, value, scale in zip(names, counted, [0, 0, 1e-9, 1e-9]):
        # Mean and deviation are sums: their rounding is that of the largest of them.
        if not abs(float(said.get(name, "nan")) - value) <= scale * max(abs(counted[2]), counted[3]):
            complaints.append(f"{name}: {said.get(name)}, expected {value}")
    return complaints


# --- validators, each in a Python of its own, as they bring GDALs of their own --------------------------------------

GDAL_CHECK = """
import json, sys
from osgeo import gdal
gdal.UseExceptions()
gdal.SetConfigOption("GDAL_PAM_ENABLED", "NO")
from osgeo_utils.samples.validate_cloud_optimized_geotiff import validate, ValidateCloudOptimizedGeoTIFFException
def check(file):
    try:
        warnings, errors, _ = validate(file, full_check=True)
        return [str(c) for c in warnings + errors]
    except (ValidateCloudOptimizedGeoTIFFException, RuntimeError) as e:
        return [str(e)]
"""
RIO_CHECK = """
import json, sys
from rio_cogeo.cogeo import cog_validate
def check(file):
    valid, errors, warnings = cog_validate(file, strict=True, quiet=True)
    said = [str(c) for c in errors + warnings]
    return said if valid else said or ["not valid"]
"""
REST = """
files = [f for f in sys.stdin.read().split("\\n") if f]
print(json.dumps({f: c for f in files if (c := check(f))} | {"": len(files)}))
"""


def taken_for_strips(file):
    """What rio-cogeo says of levels that are one tile wide and higher: it compares the width of level and tile alone."""
    data = gdal.Open(file)
    band = data.GetRasterBand(1)
    overviews = [band.GetOverview(k) for k in range(band.GetOverviewCount())]
    levels = [(band, "The file is greater than 512xH or 512xW, but is not tiled")]
    levels += [(o, f"Overview of index {k} is not tiled") for k, o in enumerate(overviews)]
    return [said for b, said in levels if b.XSize == TILE < b.YSize and b.GetBlockSize() == [TILE, TILE]]


def validator(python, code, files):
    """Complaints by file of a validator."""
    done = subprocess.run([python, "-c", code + REST], input="\n".join(files), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{python}: {done.stderr}")
    found = json.loads(done.stdout)
    if found.pop("") != len(files):
        sys.exit(f"{python} did not look at every file")
    return found


def gdal_pythons(given):
    """Pythons and the versions of their GDAL."""
    found = {}
    for python in given or [sys.executable, "/usr/bin/python3"]:
        code = "from osgeo import gdal, gdal_array; import osgeo_utils; print(gdal.__version__)"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True)
        if done.returncode == 0:
            found[python] = done.stdout.strip()
        elif given:
            sys.exit(f"{python} has no GDAL: {done.stderr}")
    return found


# --- making the files ----------------------------------------------------------------------------------------------


def write_scene(folder, dn):
    folder.mkdir(parents=True)
    (folder / "scene.toml").write_text(SCENE.replace("ID", folder.name))
    bands, rows, cols = dn.shape
    data = gdal.GetDriverByName("GTiff").Create(str(folder / "image.tif"), cols, rows, bands, gdal.GDT_UInt16)
    system = osr.SpatialReference()
    system.ImportFromEPSG(32651)
    data.SetProjection(system.ExportToWkt())
    data.SetGeoTransform([X0, PIXEL, 0, Y0, 0, -PIXEL])
    data.WriteArray(dn)
    data.Close() if hasattr(data, "Close") else data.FlushCache()
    np.save(folder / "dn.npy", dn)


def made_by_run(a, work, sizes):
    """Runs the pipelines; what is to be looked at."""
    cells = {}  # of each scene, those that hold a valid pixel: no other is written
    for (rows, cols), pattern in itertools.product(sizes, PATTERNS):
        scene, dn = work / "scenes" / f"{rows}x{cols}-{pattern}", numbers(rows, cols, pattern)
        write_scene(scene, dn)
        corners = itertools.product(range(0, rows, CELL), range(0, cols, CELL))
        cells[scene] = sum(bool(dn[:, r : r + CELL, c : c + CELL].any()) for r, c in corners)
    jobs = []
    for codec in CODECS:
        file, out = work / f"{codec}.toml", work / f"run-{codec}"
        file.write_text(pipeline(codec, a.level))
        fieldglow(a.fieldglow, "run", file, *cells, "--output", out, "--progress", "off")
        for scene, (name, kind, bands) in itertools.product(cells, products()):
            found = sorted(out.glob(f"matrix/*/*_{scene.name}/*/{name}.tif"))
            if len(found) != cells[scene]:
                sys.exit(f"{name} of {scene.name}: {len(found)} files below {out}, {cells[scene]} cells have valid pixels")
            for path in found:
                job = dict(file=str(path), kind=kind, bands=bands, codec=codec, by="run", pixels=str(scene / "dn.npy"))
                jobs.append(job)
    return jobs


def made_by_writer(a, work, sizes):
    """Files no pipeline makes; what is to be looked at."""
    kinds = [("bits", range(1, 6), [*PATTERNS, "all"]), ("uint8", range(1, 6), [*PATTERNS, "all"])]
    kinds += [("uint16", (1, 4), [*PATTERNS, "all"]), ("int16", range(1, 6), ["all"]), ("float32", range(1, 6), ["all"])]
    folder = work / "written"
    folder.mkdir()
    orders, jobs = [], []
    for (rows, cols), (kind, numbers_of_bands, patterns) in itertools.product(sizes, kinds):
        made = {("uint8", 1), ("uint8", 3), ("bits", 1)}
        for bands, pattern in itertools.product(numbers_of_bands, patterns):
            if (kind, bands) in made and pattern != "all":
                continue
            stem = folder / f"{rows}x{cols}-{pattern}-{kind}-{bands}"
            pixels = raw_pixels(kind, bands, rows, cols, pattern)
            np.moveaxis(pixels, 0, -1).tofile(f"{stem}.raw")
            for codec in CODECS:
                out = f"{stem}-{codec}.tif"
                order = dict(pixels=f"{stem}.raw", out=out, type=kind, rows=rows, cols=cols, bands=bands)
                orders.append(json.dumps(order | dict(tile=TILE, compression=codec, level=a.level)))
                jobs.append(dict(file=out, kind=kind, bands=bands, codec=codec, by="writer", pixels=None))
    done = subprocess.run([a.writer], input="\n".join(orders), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{a.writer}: {done.stderr}")
    for raw in folder.glob("*.raw"):
        raw.unlink()
    return jobs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--writer", type=Path)
    parser.add_argument("--gdal-python", action="append", metavar="PYTHON")
    parser.add_argument("--sizes", default=SIZES, type=lambda t: [tuple(map(int, s.split("x"))) for s in t.split(",")])
    parser.add_argument("--level", type=int, default=1)
    a = parser.parse_args()
    a.writer = a.writer or a.fieldglow.absolute().parent / "examples/write_cog"
    sizes = a.sizes
    started = time.monotonic()
    work = (a.work / "cog_matrix").absolute()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)

    jobs = made_by_run(a, work, sizes)
    if a.writer.exists():
        jobs += made_by_writer(a, work, sizes)
    else:
        print(f"not made, as {a.writer} is not there: what no pipeline writes")
    files = [j["file"] for j in jobs]
    print(f"{len(files)} files made in {time.monotonic() - started:.0f} s", flush=True)

    complaints = collections.defaultdict(list)
    checks = [(f"GDAL {v}, full check", p, GDAL_CHECK) for p, v in gdal_pythons(a.gdal_python).items()]
    rio = "rio-cogeo, strict"
    checks.append((rio, sys.executable, RIO_CHECK))
    half = len(files) // 2
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, python, code in checks:
            found = {}
            for part in pool.map(lambda part: validator(python, code, part), [files[:half], files[half:]]):
                found |= part
            known = {f for f, said in found.items() if name == rio and set(said) <= set(taken_for_strips(f))}
            print(f"{name}: {len(files) - len(found)} of {len(files)} pass"
                  + (f", {len(known)} have a level one tile wide taken for strips" if known else ""), flush=True)
            for file, said in found.items():
                if file in known:
                    continue
                complaints[file] += [f"{name}: {s}" for s in said]
    places = [p for p in (work / "run-zstd", work / "run-deflate", work / "written") if p.exists()]
    command = [a.fieldglow.absolute(), "validate", "--json", *places]
    said = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    ours = {v["path"]: v for v in said}
    refused = [f for f in files if not ours.get(f, {}).get("valid")]
    print(f"fieldglow validate: {len(files) - len(refused)} of {len(files)} pass", flush=True)
    for file in refused:
        complaints[file] += [f"fieldglow validate: {e}" for e in ours.get(file, {}).get("errors", ["not looked at"])]

    levels = collections.Counter()
    compared = 0
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for job, (file, said, count, samples) in zip(jobs, pool.map(examine, jobs, chunksize=8)):
            complaints[file] += said
            levels[count - 1] += 1
            compared += samples
    exact = sum(not complaints[f] for f in files)
    print(f"recomputed: {compared / 1e6:.0f} million samples of {sum(n * (k + 1) for k, n in levels.items())} levels; "
          + ", ".join(f"{n} files with {k} overviews" for k, n in sorted(levels.items())))
    table(jobs)
    bad = [f for f in files if complaints[f]]
    for file in bad[:40]:
        print(f"  {Path(file).relative_to(work)}")
        for complaint in complaints[file][:6]:
            print(f"    {complaint}")
    print(f"{exact} of {len(files)} files without a complaint; {time.monotonic() - started:.0f} s")
    return int(bool(bad))


def table(jobs):
    """Files by type, codec and number of bands."""
    count = collections.Counter((j["kind"], j["by"], j["codec"], j["bands"]) for j in jobs)
    print("\n| type | made by | codec | 1 band | 2 | 3 | 4 | 5 |\n| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for kind, by, codec in sorted({k[:3] for k in count}):
        print(f"| {kind} | {by} | {codec} | " + " | ".join(str(count[kind, by, codec, b]) for b in range(1, 6)) + " |")
    print()


if __name__ == "__main__":
    sys.exit(main())
