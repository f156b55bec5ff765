"""RPC files of many vendors and RPC in tags, against GDAL and rpcm: every number.

    rpc_numbers.py FIELDGLOW WORK DATA [--points PROGRAM]

DATA is a folder with rpc_files/, rpc_in_tags/, rpc_vs_physical_grid/ and pleiades_ventoux/ (centreborelli/rpcm, OSGeo/gdal,
CNES/shareloc). Each file is put beside an image without pixels, under the name that belongs to its format, and the scene is
inspected. PROGRAM is examples/rpc_points, which prints what was read (default: beside FIELDGLOW, in examples/).

Limits: every file with RPC is read; every number equals GDAL's and rpcm's (DIMAP counts pixels from 1, all others from 0), of
those from tags to the 15 digits GDAL writes them with; a file without RPC leaves the scene without a place, or, where it was
named as an RPC file, is refused by name. Exit code: 0 if all are kept.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import rpcm
from rpcm.rpc_file_readers import read_rpc_file

from common import Report
from rpc import OFFSETS, OURS, POLYNOMIALS, ask, domain, scene

# File, image, name beside it, and what is expected: `rpc`, `none` (no RPC, no error) or `refused`.
FILES = [
    ("rpc_files/rpc_IKONOS.txt", "x.tif", "x_rpc.txt", "rpc"),
    ("rpc_files/rpc_IKONOS.txt", "x.tif", "x_RPC.TXT", "rpc"),
    ("rpc_files/rpc_PLANET_L1B.txt", "x.tif", "x_RPC.TXT", "rpc"),
    ("rpc_files/20191015_073816_ssc1d3_0011_basic_l1a_panchromatic_dn_RPC.TXT", "x.tif", "x_RPC.TXT", "rpc"),
    ("rpc_files/md_dg.RPB", "x.tif", "x.RPB", "rpc"),
    ("rpc_files/md_dg.RPB", "x.tif", "x.rpb", "rpc"),
    ("rpc_files/rpc_PLEIADES.xml", "IMG_x_R1C1.tif", "RPC_x.XML", "rpc"),
    ("rpc_files/rpc_WV2.xml", "x.tif", "x.XML", "rpc"),
    ("rpc_files/rpc_unsupported.xml", "x.tif", "x.XML", "none"),
    ("rpc_files/rpc_unsupported.xml", "IMG_x_R1C1.tif", "RPC_x.XML", "none"),
    ("rpc_files/rpc_unsupported.xml", "x.tif", "x_rpc.txt", "refused"),
    ("rpc_files/md_dg.IMD", "x.tif", "x.IMD", "none"),
    ("rpc_files/md_dg.IMD", "x.tif", "x.rpb", "refused"),
    ("rpc_in_tags/RPC_PHR1B_P_201709281038393_SEN_PRG_FC_178609-001.XML", "IMG_x_R1C1.tif", "RPC_x.XML", "rpc"),
    ("rpc_in_tags/PHR1B_P_201709281038393_SEN_PRG_FC_178609-001.tif", None, None, "rpc"),
    ("rpc_in_tags/byte_rpc.tif", None, None, "rpc"),
    ("rpc_vs_physical_grid/RPC_P1BP--2017092838284574CP.XML", "IMG_x_R1C1.tif", "RPC_x.XML", "rpc"),
    ("rpc_vs_physical_grid/PHRDIMAP_P1BP--2018122638935449CP.XML", "IMG_x_R1C1.tif", "DIM_x.XML", "none"),
    ("pleiades_ventoux/RPC_PHR1B_P_201308051042194_SEN_690908101-001.XML", "IMG_x_R1C1.tif", "RPC_x.XML", "rpc"),
    ("pleiades_ventoux/left_image.RPB", "x.tif", "x.RPB", "rpc"),
    ("pleiades_ventoux/lowres_color_image.RPB", "x.tif", "x.RPB", "rpc"),
]


def by_rpcm(path):
    """rpcm's numbers by key; None for what it does not read."""
    if path.suffix == ".tif":
        model = rpcm.rpc_from_geotiff(str(path))
    elif path.suffix.lower() in (".xml", ".txt"):
        model = rpcm.RPCModel(read_rpc_file(str(path)))
    else:
        return None
    names = "row_offset col_offset lat_offset lon_offset alt_offset row_scale col_scale lat_scale lon_scale alt_scale".split()
    names += ["row_num", "row_den", "col_num", "col_den"]
    return {k: getattr(model, n) for k, n in zip((*OFFSETS, *POLYNOMIALS), names)}


def difference(ours, theirs):
    """Largest difference of two sets of numbers, as a share of the larger one."""
    worst = 0.0
    for key, name in OURS.items():
        a, b = ours[name], theirs[key]
        for x, y in zip(a, b, strict=True) if isinstance(a, list) else [(a, b)]:
            worst = max(worst, abs(x - y) / max(abs(x), abs(y), 1e-300))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--points", type=Path)
    a = parser.parse_args()
    binary, program = a.fieldglow.absolute(), a.points or a.fieldglow.absolute().parent / "examples" / "rpc_points"
    report, counts = Report(), Counter()
    for file, image, companion, expected in FILES:
        path = a.data / file
        tags = image is None
        sidecar = scene(a.work / "rpc_numbers", path if tags else image, companion, None if tags else path)
        looked = subprocess.run([str(binary), "inspect", "--json", str(sidecar)], capture_output=True, text=True)
        label = f"{Path(file).name} as {companion or 'tags'}"
        found = "refused"
        if looked.returncode == 0:
            found = "rpc" if json.loads(looked.stdout)[0]["parts"][0]["place"] == "rpc" else "none"
        counts[found] += 1
        line = found
        report.limit(f"{label}: {found}, expected {expected}: {looked.stderr.strip()}", found != expected, 0)
        if found == "refused":
            line = looked.stderr.strip().replace(str(sidecar.parent), "…")
            report.limit(f"{label}: message without the file's name: {line}", companion not in line, 0)
        if found == "rpc":
            ours = ask(program, sidecar)[0]["PAN"]
            # Of a tag and of the offsets of DIMAP, less 1, GDAL writes 15 digits.
            exact = 1e-14 if tags or companion == "RPC_x.XML" else 0.0
            gdal_numbers = domain(sidecar.parent / (path.name if tags else image))
            for reader, theirs in (("GDAL", gdal_numbers), ("rpcm", by_rpcm(path))):
                if theirs is None:
                    line += f"; {reader} does not read it"
                    continue
                worst = difference(ours, theirs)
                counts[f"compared with {reader}"] += 1
                line += f"; {reader} {worst:.1e}"
                report.limit(f"{label}: relative difference to {reader}", worst, 0.0 if reader == "GDAL" else exact)
        print(f"{label:85.85} {line}")
    print(", ".join(f"{k} {n}" for k, n in counts.items()))
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
