"""RPC against the physical sensor model, rpcm and GDAL: ground to image, and image to ground.

    rpc_physical.py FIELDGLOW WORK DATA [--points PROGRAM]

DATA is a folder with rpc_vs_physical_grid/ and pleiades_ventoux/ (CNES/shareloc): grids of longitude and latitude that the
vendor's physical model gives for image positions at several heights, and the RPC that were fitted to the same model. PROGRAM
is examples/rpc_points (default: beside FIELDGLOW, in examples/).

For each grid and height: mean and standard deviation of the projected grid points against their grid positions, after one
constant offset for the grid: its positions count from the corner of the first pixel, RPC from its centre. Then the largest difference of our projection, and
of our way back, to rpcm and to GDAL's RPC transformer (which counts pixels from the corner, half a pixel more).

Limits: the offset of each grid is half a pixel, within 0.001. At heights within 1.2 times the range of the RPC: standard
deviation 0.001 pixels; ground to image within 1e-6 pixels of
rpcm and of GDAL; image to ground within 1e-3 pixels of rpcm and of GDAL, and within 2e-6 of where it came from. Exit code: 0 if
all are kept.
"""

import argparse
import re
import sys
from pathlib import Path

import numpy as np
import rpcm
from osgeo import gdal

from common import Report
from rpc import OFFSETS, POLYNOMIALS, ask, domain, points, scene

RANGE = 1.2  # of normalised heights

# Grid and RPC.
GRIDS = [
    (
        "rpc_vs_physical_grid/GRID_P1BP--2017092838284574CP.tif",
        "rpc_vs_physical_grid/RPC_P1BP--2017092838284574CP.XML",
    ),
    (
        "rpc_vs_physical_grid/GRID_P1BP--2018122638935449CP.tif",
        "rpc_vs_physical_grid/PHRDIMAP_P1BP--2018122638935449CP.XML",
    ),
    (
        "pleiades_ventoux/GRID_PHR1B_P_201308051042194_SEN_690908101-001.tif",
        "pleiades_ventoux/RPC_PHR1B_P_201308051042194_SEN_690908101-001.XML",
    ),
]


def read_grid(path):
    """Columns, rows, and by height longitude and latitude. The geotransform is the place of the first node, and the step."""
    dataset = gdal.Open(str(path))
    facts = dataset.GetMetadata() | dataset.GetMetadata("GTiff")
    x0, dx, _, y0, _, dy = dataset.GetGeoTransform()
    values = dataset.ReadAsArray()
    rows, cols = np.mgrid[0 : values.shape[1], 0 : values.shape[2]]
    prefix = "LG_ALTITUDE_B" if "LG_ALTITUDE_B0" in facts else "ALTITUDE_B"
    heights = {float(facts[f"{prefix}{k}"]): values[k : k + 2] for k in range(0, len(values), 2)}
    return (x0 + dx * cols).ravel(), (y0 + dy * rows).ravel(), {h: v.reshape(2, -1) for h, v in heights.items()}


def text_of(path):
    """The RPC of an old DIMAP document as the text of an _rpc.txt; pixels counted from 0."""
    text = path.read_text()
    inverse = re.search(r"<Inverse_Model>(.*?)</Inverse_Model>", text, re.S)[1]
    lines = []
    for key, tag in (("LINE", "F_ROW"), ("SAMP", "F_COL")):
        numbers = re.search(rf"<{tag}>(.*?)</{tag}>", inverse, re.S)[1].split()
        for kind, part in (("NUM", numbers[:20]), ("DEN", numbers[20:])):
            lines += [f"{key}_{kind}_COEFF_{k}: {v}" for k, v in enumerate(part, 1)]
    for key, tag, less in (("LINE", "Row", 1), ("SAMP", "Col", 1), ("LAT", "Lat", 0), ("LONG", "Lon", 0), ("HEIGHT", "Alt", 0)):
        scale, offset = re.search(rf"<{tag}>\s*<A>(.*?)</A>\s*<B>(.*?)</B>", text, re.S).groups()
        lines += [f"{key}_OFF: {float(offset) - less!r}", f"{key}_SCALE: {scale}"]
    return "\n".join(lines) + "\n"


def rpcm_model(numbers):
    """rpcm's model of GDAL's numbers, so that it goes back by iteration."""
    texts = {k: str(numbers[k]) for k in OFFSETS} | {k: " ".join(map(repr, numbers[k])) for k in POLYNOMIALS}
    return rpcm.RPCModel(texts)


def by_gdal(image, height, to_image, a, b):
    """GDAL's results of arrays, pixels counted from the centre of the first one."""
    options = ["METHOD=RPC", f"RPC_HEIGHT={height!r}", "RPC_PIXEL_ERROR_THRESHOLD=0.0000001", "RPC_MAX_ITERATIONS=200"]
    transformer = gdal.Transformer(gdal.Open(str(image)), None, options)
    half = 0.0 if to_image else 0.5
    found, good = transformer.TransformPoints(int(to_image), [(x + half, y + half, 0.0) for x, y in zip(a, b)])
    found = np.array(found)[:, :2] - (0.5 if to_image else 0.0)
    return np.where(np.array(good, bool)[:, None], found, np.nan)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--points", type=Path)
    a = parser.parse_args()
    program = a.points or a.fieldglow.absolute().parent / "examples" / "rpc_points"
    report = Report()
    print(f"GDAL {gdal.__version__}")
    for grid, model in GRIDS:
        folder = a.work / "rpc_physical"
        path = a.data / model
        if path.name.startswith("RPC_"):
            image, sidecar = folder / "IMG_x_R1C1.tif", scene(folder, "IMG_x_R1C1.tif", "RPC_x.XML", path)
        else:
            image, sidecar = folder / "x.tif", scene(folder, "x.tif", "x_rpc.txt", text_of(path))
        numbers = domain(image)
        oracle = rpcm_model(numbers)
        cols, rows, heights = read_grid(a.data / grid)
        nodes = np.stack([cols, rows], axis=1)
        projected, reach = {}, {}
        for height, (lon, lat) in heights.items():
            projected[height] = ask(program, sidecar, points("ground", lon, lat, height))[1]
            reach[height] = abs(height - numbers["HEIGHT_OFF"]) / numbers["HEIGHT_SCALE"]
        within = [h for h in heights if reach[h] <= RANGE]
        offset = np.mean([projected[h] - nodes for h in within], axis=(0, 1))
        name = Path(grid).stem
        print(f"{name}: {len(nodes)} points at each height, RPC made for {numbers['HEIGHT_OFF']:g} ± {numbers['HEIGHT_SCALE']:g} m")
        print(f"  offset of the grid: column {offset[0]:+.4f}, row {offset[1]:+.4f} px, from {len(within)} heights")
        report.limit(f"{name}: offset of the grid against half a pixel, px", np.abs(offset + 0.5).max(), 0.001)
        for height, (lon, lat) in heights.items():
            left = projected[height] - nodes - offset
            mean, deviation = left.mean(axis=0), left.std(axis=0)
            col, row = oracle.projection(lon, lat, height)
            to_rpcm = np.abs(projected[height] - np.stack([col, row], axis=1)).max()
            to_gdal = np.abs(projected[height] - by_gdal(image, height, True, lon, lat)).max()
            back = ask(program, sidecar, points("image", *projected[height].T, height))[1]
            lost = int(np.isnan(back).any(axis=1).sum())

            def pixels(places):
                """How far places are from ours in the image, pixels, and how many there are none of."""
                moved = np.stack(oracle.projection(*places.T, height), axis=1) - projected[height]
                return np.nanmax(np.hypot(*moved.T)), int(np.isnan(places).any(axis=1).sum())

            origin = pixels(back)[0]
            try:
                theirs = np.stack(oracle.localization(*projected[height].T, np.full(len(nodes), height)), axis=1)
                rpcm_back = np.abs(pixels(theirs)[0] - origin)
            except rpcm.rpc_model.MaxLocalizationIterationsError:
                rpcm_back = np.nan
            gdal_back, gdal_lost = pixels(by_gdal(image, height, False, *projected[height].T))
            print(
                f"  {height:7.1f} m ({reach[height]:4.2f} of the range): mean {mean[0]:+.4f} {mean[1]:+.4f}, "
                f"deviation {deviation[0]:.4f} {deviation[1]:.4f} px; ground to image: rpcm {to_rpcm:.1e}, GDAL {to_gdal:.1e} px; "
                f"image to ground and back: ours {origin:.1e} ({lost} none), rpcm {rpcm_back:.1e}, "
                f"GDAL {gdal_back:.1e} px ({gdal_lost} none)"
            )
            if height not in within:
                continue
            label = f"{name} at {height:g} m"
            report.limit(f"{label}: standard deviation, px", deviation.max(), 0.001)
            report.limit(f"{label}: ground to image against rpcm, px", to_rpcm, 1e-6)
            report.limit(f"{label}: ground to image against GDAL, px", to_gdal, 1e-6)
            report.limit(f"{label}: image to ground, back where it came from, px", origin, 2e-6)
            report.limit(f"{label}: image positions without a place", lost, 0)
            report.limit(f"{label}: image to ground against rpcm, px", rpcm_back, 1e-3)
            report.limit(f"{label}: image to ground against GDAL, px", gdal_back, 1e-3)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
