"""Products on grids in degrees, web mercator and CGCS2000 Gauss-Krüger, against gdalwarp and morecantile.

    grids.py FIELDGLOW WORK [--size 256] [--seed 1] [--grids utm51,webmercator]

1. A simulated scene on the border of two UTM zones (126° E), L1 with its DEM and L3, and an image across the antimeridian,
   with RPC and on a map, on every kind of grid: the digital numbers, warped by GDAL onto the pixels of our cells, turned
   into reflectance (see warp.py). Limits as in gdalwarp_truth.py.
2. Cells of tile grids: morecantile says which tile a name means, where it lies, and how large the pixels of a level are;
   GDAL says where the pixels of a file and of its overviews are. Limit: 1e-6 pixel.
3. What a tile server shows: rio-tiler's tiles of 256 pixels, of the level of the product and of those below, must be the
   stored pixels and overviews themselves. A web-optimized copy by rio-cogeo would have the same pixels and cells.
4. Across the antimeridian: Items as wide as the scene, with west greater than east or on one side.

Exit code: 0 if all limits are kept. The outputs, for conform.py: WORK/grids_*/runs/*_out.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

import morecantile
import numpy as np
import rasterio
from osgeo import gdal, osr
from rio_cogeo.utils import get_web_optimized_params
from rio_tiler.io import Reader

from common import Report, items, product_files, run, simulate, valid
from gdalwarp_truth import reflectance_of
from warp import compare, require_recent_gdal

# Name, `geometry.crs`, sizes of multispectral and panchromatic pixels.
METRES = ("resolution = 3.0", "resolution = 0.75")
LEVELS = ("zoom = 15", "zoom = 17")
GRIDS = [
    ("utm", "utm", METRES),
    ("utm51", "utm:51N", METRES),
    ("gk3", "cgcs2000-gk", METRES),
    ("gk3cm", "cgcs2000-gk3:126", METRES),
    ("gk6", "cgcs2000-gk6:21", METRES),
    ("cgcs2000", "EPSG:4490", LEVELS),
    ("wgs84", "EPSG:4326", LEVELS),
    ("webmercator", "web-mercator", LEVELS),
]
SEAM_GRIDS = [
    ("utm60", "utm:60N", METRES),
    ("utm1", "utm:1N", METRES),
    ("cgcs2000", "EPSG:4490", LEVELS),
    ("wgs84", "EPSG:4326", LEVELS),
    ("webmercator", "web-mercator", LEVELS),
]
EPSG = {
    "utm": 32652, "utm51": 32651, "gk3": 4530, "gk3cm": 4551, "gk6": 4499, "cgcs2000": 4490, "wgs84": 4326,
    "webmercator": 3857, "utm60": 32660, "utm1": 32601,
}  # fmt: skip

DAY = """schema = 1
name = "grids"
[radiometry]
level = "toa"
[geometry]
mode = "MODE"
crs = "CRS"
MS_SIZE
HEIGHT
[[product]]
name = "reflectance"
kind = "bands"
bands = ["B", "G", "R", "N"]
[[product]]
name = "pan"
kind = "bands"
bands = ["PAN"]
PAN_SIZE
[[product]]
name = "qa"
kind = "qa"
"""

CENTER = "126.002"  # of a scene on both sides of 126° E, in UTM zone 52

SEAM = """schema = 1
name = "grids"
[radiometry]
level = "dn"
[geometry]
mode = "MODE"
crs = "CRS"
MS_SIZE
HEIGHT
[[product]]
name = "ms"
kind = "bands"
bands = ["B", "G", "R", "N"]
"""

SEAM_SCENE = """schema = 1
id = "seam"
time = 2026-07-15T00:30:00Z
[[part]]
name = "MSS"
image = "mss.tif"
fill = 0
data_bits = 12
RPC
""" + "".join(f'[[part.band]]\nrole = "{r}"\nindex = {k}\n' for k, r in enumerate("BGRN", 1))


def pipeline(text, mode, crs, sizes, height):
    for key, value in (("MODE", mode), ("CRS", crs), ("MS_SIZE", sizes[0]), ("PAN_SIZE", sizes[1]), ("HEIGHT", height)):
        text = text.replace(key, value)
    return text


# --- tiles -----------------------------------------------------------------------------------------------------------


def tile_matrix_set(epsg):
    """The set of a grid, as morecantile knows it; None for grids in metres."""
    if epsg == 3857:
        return morecantile.tms.get("WebMercatorQuad")
    if epsg == 4326:
        # With axes x before y, as files have them.
        return morecantile.TileMatrixSet.custom(
            [-180, -90, 180, 90], crs=rasterio_crs("OGC:CRS84"), matrix_scale=[2, 1], id="degrees4326"
        )
    if epsg == 4490:
        return morecantile.TileMatrixSet.custom(
            [-180, -90, 180, 90], crs=rasterio_crs("EPSG:4490"), matrix_scale=[2, 1], id="degrees4490"
        )
    return None


def rasterio_crs(text):
    return morecantile.models.pyproj.CRS.from_user_input(text)


def check_tiles(file, epsg, zoom, report, label):
    """A file against the tile its cell is named for, and its overviews against the levels below."""
    tms = tile_matrix_set(epsg)
    z, x, y = map(int, re.search(rf"/EPSG{epsg}-Z(\d+)-X(\d+)-Y(\d+)/", file).groups())
    west, south, east, north = tms.xy_bounds(morecantile.Tile(x, y, z))
    d = gdal.Open(file)
    x0, dx, _, y0, _, dy = d.GetGeoTransform()
    cols, rows = d.RasterXSize, d.RasterYSize
    corners = np.array([x0 - west, x0 + cols * dx - east, y0 - north, y0 + rows * dy - south])
    report.limit(f"{label} corners of {z}/{x}/{y}, px", np.abs(corners / dx).max(), 1e-6)
    level = tms.matrix(zoom)
    report.limit(f"{label} pixel of zoom {zoom}, relative", abs(dx / level.cellSize - 1), 1e-12 if epsg != 3857 else 1e-11)
    report.limit(f"{label} square pixels", abs(dx + dy), 0)
    whole = all(
        band.XSize * 2**k == cols and band.YSize * 2**k == rows
        for k in range(1, d.GetRasterBand(1).GetOverviewCount() + 1)
        for band in [d.GetRasterBand(1).GetOverview(k - 1)]
    )
    report.limit(f"{label} overviews that are not half of the level above", float(not whole), 0)
    # Tiles of the file coincide with those of the matrix: 512 pixels are a tile one level up.
    block = d.GetRasterBand(1).GetBlockSize()
    report.limit(f"{label} blocks", abs(block[0] - 512) + abs(block[1] - 512), 0)
    return tms, (z, x, y)


def check_server(file, epsg, zoom, report, label):
    """rio-tiler's tiles against the stored pixels; rio-cogeo's web-optimized layout against the file's."""
    tms, (z, x, y) = check_tiles(file, epsg, zoom, report, label)
    d = gdal.Open(file)
    full = d.GetRasterBand(1)
    nodata, compared = full.GetNoDataValue(), 0
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), Reader(file, tms=tms) as reader:
        for k in range(0, zoom - z + 1):
            level = zoom - k
            if k > full.GetOverviewCount():
                break
            band = full.GetOverview(k - 1) if k else full
            stored = band.ReadAsArray()
            n = 2 ** (level - z)
            for ty in sorted({0, n // 2, n - 1}):
                for tx in sorted({0, n // 3, n - 1}):
                    expected = stored[ty * 256 : ty * 256 + 256, tx * 256 : tx * 256 + 256]
                    if not valid(expected, nodata).any():
                        continue
                    tile = reader.tile(x * n + tx, y * n + ty, level, tilesize=256, indexes=1, resampling_method="nearest")
                    served = np.where(tile.array.mask[0], nodata, tile.array.data[0])
                    same = (served == expected) | (~valid(served, nodata) & ~valid(expected, nodata))
                    differ = int((~same).sum())
                    report.limit(f"{label} tile {level}/{x * n + tx}/{y * n + ty}: pixels that differ", differ, 0)
                    compared += 1
    if epsg == 3857:
        with rasterio.open(file) as source:
            theirs = get_web_optimized_params(source, zoom_level=zoom, aligned_levels=zoom - z, tms=tms)["transform"]
        x0, dx, _, y0, _, _ = d.GetGeoTransform()
        report.limit(f"{label} pixel unlike a web-optimized copy's, relative", abs(theirs.a / dx - 1), 1e-11)
        # Their copy may begin a whole cell before ours: its box goes through longitude and latitude.
        origin = np.array([theirs.c - x0, theirs.f - y0]) / (dx * d.RasterXSize)
        off = np.abs(origin - np.round(origin)).max() * d.RasterXSize
        report.limit(f"{label} lattice off a web-optimized copy's, px", off, 1e-6)
    return compared


def check_grid(output, grid, products, report, label):
    """What files say of their system, and their tiles where there are some."""
    epsg, compared = EPSG[grid], 0
    for product, zoom in products:
        files = product_files(output, product)
        for file in files:
            srs = gdal.Open(file).GetSpatialRef()
            report.limit(f"{label} {product} EPSG code off", abs(int(srs.GetAuthorityCode(None)) - epsg), 0)
            if zoom is not None and epsg in (3857, 4326, 4490):
                compared += check_server(file, epsg, zoom, report, f"{label} {product}")
    if epsg in (3857, 4326, 4490):
        print(f"{label} {compared} served tiles are the stored pixels")
        report.limit(f"{label} served tiles", compared, 1, at_least=True)


# --- the antimeridian ------------------------------------------------------------------------------------------------


def check_items(output, report, label):
    """Boxes of Items are of the scene's own size, however they are written."""
    crossing, sides = 0, set()
    for path in [*items(output), *Path(output).glob("*/scenes/*/item.json")]:
        item = json.loads(path.read_text())
        west, south, east, north = item["bbox"]
        width = east - west + (360 if east < west else 0)
        report.limit(f"{label} width of {path.parent.parent.name}, degrees", width, 0.2)
        crossing += east < west
        sides.add(np.sign(west))
        parts = item["geometry"]["coordinates"]
        rings = [p[0] for p in parts] if item["geometry"]["type"] == "MultiPolygon" else [parts[0]]
        widest = max(np.ptp([c[0] for c in ring]) for ring in rings)
        report.limit(f"{label} widest ring of {path.parent.parent.name}, degrees", widest, 0.2)
        if east < west:
            report.limit(f"{label} rings of an Item that crosses", len(rings), 2, at_least=True)
    print(f"{label} {crossing} Items cross, cells on {len(sides)} sides")
    report.limit(f"{label} Items across or beside the antimeridian", crossing, 1, at_least=True)


def seam_scenes(a, work):
    """The multispectral image of a simulated scene, moved to 180° E by its RPC; and one on UTM 60 that runs over it."""
    source = work / "at_170"
    simulate(a.fieldglow, source, "--center", "170", "52", seed=a.seed, size=a.size, relief=0.0)
    image, rpc = next(source.glob("*_MSS/*_MSS.tif")), next(source.glob("*_MSS/*_rpc.txt")).read_text()
    by_rpc, on_map = work / "rpc", work / "map"
    for folder in (by_rpc, on_map):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, by_rpc / "mss.tif")
    lon = float(re.search(r"LONG_OFF:\s*([-+.\d]+)", rpc).group(1))
    # A little west of it, so that the cells on either side differ.
    moved = re.sub(r"(LONG_OFF:\s*)[-+.\d]+", lambda m: f"{m.group(1)}{lon + 9.999:.10f}", rpc)
    (by_rpc / "mss_rpc.txt").write_text(moved)
    (by_rpc / "scene.toml").write_text(SEAM_SCENE.replace("RPC", 'rpc = "mss_rpc.txt"'))
    pixels = gdal.Open(str(image)).ReadAsArray()
    bands, rows, cols = pixels.shape
    made = gdal.GetDriverByName("GTiff").Create(str(on_map / "mss.tif"), cols, rows, bands, gdal.GDT_UInt16)
    utm = osr.SpatialReference()
    utm.ImportFromEPSG(32660)
    made.SetSpatialRef(utm)
    to_utm = osr.CoordinateTransformation(wgs84(), utm)
    x, y, _ = to_utm.TransformPoint(180.0, 52.0)
    made.SetGeoTransform([round(x) - 1.5 * cols + 0.4, 3, 0, round(y) + 1.5 * rows - 0.3, 0, -3])
    made.WriteArray(pixels)
    made = None
    (on_map / "scene.toml").write_text(SEAM_SCENE.replace("RPC", ""))
    return by_rpc, on_map


def wgs84():
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(4326)
    srs.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return srs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--size", default="256")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grids", help="names of grids, with commas between; default: all")
    a = parser.parse_args()
    wanted = a.grids.split(",") if a.grids else list(EPSG)
    require_recent_gdal()
    report = Report()
    print(f"GDAL {gdal.__version__}, morecantile {morecantile.__version__}; size {a.size}, seed {a.seed}")
    place = {"seed": a.seed, "size": a.size}
    l1, l3 = (a.work.absolute() / f"grids_{a.seed}_{a.size}_{n}" for n in ("l1", "l3"))
    truth = simulate(a.fieldglow, l1, "--center", CENTER, "43.88", **place)
    simulate(a.fieldglow, l3, "--center", CENTER, "43.88", "--level", "l3", **place)
    dem = str(l1 / "dem.tif")
    ms, ((pan_gain, pan_bias),) = reflectance_of(truth, "BGRN"), reflectance_of(truth, ["PAN"])

    def reflectance(dn):
        return [(role, g * x + b, g) for role, x, (g, b) in zip("BGRN", dn, ms)]

    def pan(dn):
        return [("PAN", pan_gain * dn[0] + pan_bias, pan_gain)]

    heights = {l1: f'height = {{ dem = "{dem}", datum = "ellipsoid" }}', l3: ""}
    for scene, mode, height in ((l1, "ortho", dem), (l3, "grid", None)):
        images = {part: str(next(scene.glob(f"*_{part}/*_{part}.tif"))) for part in ("MSS", "PAN")}
        for grid, crs, sizes in (g for g in GRIDS if g[0] in wanted):
            text = pipeline(DAY, mode, crs, sizes, heights[scene])
            out = run(a.fieldglow, scene / "runs", grid, text, scene)
            label = f"{mode:5} {grid:11}"
            compare(out, "reflectance", images["MSS"], height, 0, reflectance, label, report, window=32)
            compare(out, "pan", images["PAN"], height, 0, pan, label, report)
            check_grid(out, grid, [("reflectance", 15), ("pan", 17)], report, label)
            sys.stdout.flush()

    work = a.work.absolute() / f"grids_{a.seed}_{a.size}_seam"
    by_rpc, on_map = seam_scenes(a, work)
    for scene, mode, height in ((by_rpc, "ortho", 100.0), (on_map, "grid", None)):
        line = f'height = {{ constant = {height}, datum = "ellipsoid" }}' if height else ""
        for grid, crs, sizes in (g for g in SEAM_GRIDS if g[0] in wanted):
            out = run(a.fieldglow, scene / "runs", grid, pipeline(SEAM, mode, crs, sizes, line), scene)
            label = f"180°  {mode:5} {grid:11}"
            dn = lambda dn: [(role, x, 1.0) for role, x in zip("BGRN", dn)]  # noqa: E731
            compare(out, "ms", str(scene / "mss.tif"), height, 0, dn, label, report, window=32)
            check_grid(out, grid, [("ms", 15)], report, label)
            check_items(out, report, label)
            sys.stdout.flush()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
