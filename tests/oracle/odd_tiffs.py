"""Odd and broken TIFFs through `inspect` and `run`, against GDAL.

    odd_tiffs.py FIELDGLOW WORK DATA [--only TEXT] [--list]

DATA is a folder of TIFFs, at any depth (image-rs/image-tiff, libtiff, gdal-autotest2, rasterio, cogeotiff, go-fuzz-corpus).
Each is copied beside a scene.toml that makes up a place and a time, looked at, and run in native mode at level `dn`. It is to
be run by the Python whose GDAL is the one Fieldglow is linked with: another version opens other files.

Of images of more than one cell, the last cell is run and compared.

Limits: no exit code but 0 and 3 (nothing succeeded), no signal, no internal fault; at most 5 s of processor time and 1 GiB of
memory; a file that is refused is named in the message, which says what to do; every pixel of a file that GDAL reads equals
GDAL's, to the nearest float32; a file that GDAL reads and that is refused has one of the reasons in REASONS; a file that GDAL
cannot read is refused. Exit code: 0 if all are kept.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from osgeo import gdal

from common import Product, Report

SECONDS = 5.0  # of processor time
HANGS = 120.0  # wall: the machine may be busy with other things
MEMORY_KIB = 1 << 20

ROLES = "PAN A B G1 G Y R RE1 RE2 RE3 N N2 S1 S2 B1 B2".split()
X0, Y0 = 500000.0, 4000000.0
CELL = 4096  # pixels of a side, in native mode

PIPELINE = """schema = 1
name = "odd"
[radiometry]
level = "dn"
[geometry]
mode = "native"
[[product]]
name = "bands"
kind = "bands"
bands = [BANDS]
[output]
pictures = false
"""

# Why a file that GDAL reads is refused, by a part of the message.
REASONS = {
    "complex numbers": "complex numbers: no measurement of one band",
    "type UInt64": "64-bit integers: they do not fit the pixels of the pipeline",
    "type Int8": "8-bit signed integers: GDAL before 3.7 has no type for them",
    "more than the limit": "larger than any image",
    "is cut off": "its directory says that blocks end behind the end of the file",
}
DAMAGED = "a Deflate stream that is none: zlib refuses it, the libdeflate of an old GDAL makes zeros of it"

# What a message says to do.
REMEDIES = (
    "convert it",
    "fetch it again",
    "check that the delivery is complete",
    "check that it is the file that was meant",
    "compare its size and checksum",
)


def scene(image, bands):
    """The text of a scene.toml."""
    lines = ["schema = 1", 'id = "odd"', "time = 2026-07-15T10:30:00+08:00", "[[part]]", 'name = "ODD"']
    lines += [f'image = "{image}"', 'fill = "none"', 'crs = "EPSG:32650"', f"transform = [{X0}, 1.0, 0.0, {Y0}, 0.0, -1.0]"]
    for index, role in enumerate(ROLES[:bands], 1):
        lines += ["[[part.band]]", f'role = "{role}"', f"index = {index}"]
    return "\n".join(lines) + "\n"


# Starts a command and says how it ended. Linux counts what a process held before it became the command as its memory, so it
# must come of a small one.
LAUNCHER = """
import os, sys
child = os.fork()
if not child:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


class Done:
    """How a command ended: exit code (minus the signal), messages, processor time in seconds, memory in KiB."""

    def __init__(self, command):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True}
        process = subprocess.Popen([sys.executable, "-S", "-c", LAUNCHER, *command], **options)
        try:
            said, text = process.communicate(timeout=HANGS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, text = b"-9 0 0", process.communicate()[1]
        code, seconds, memory = said.split()
        self.code, self.seconds, self.memory = int(code), float(seconds), int(memory)
        self.text = text.decode("utf-8", "replace")

    def fault(self):
        """What is wrong with how it ended; empty if nothing is."""
        if self.code not in (0, 3):
            return f"exit code {self.code}"
        if "panicked" in self.text or "internal fault" in self.text:
            return "internal fault"
        if self.seconds > SECONDS:
            return f"{self.seconds:.1f} s"
        return f"{self.memory >> 10} MiB" if self.memory > MEMORY_KIB else ""


def last_cell(rows, cols):
    """Row and column of the last cell, counted in cells."""
    return (rows - 1) // CELL, (cols - 1) // CELL


def read_by_gdal(path):
    """Bands, cell, and samples (band, row, col) of it as GDAL reads them; None for what it cannot."""
    try:
        dataset = gdal.OpenEx(str(path), allowed_drivers=["GTiff"])
    except RuntimeError:
        return 1, (0, 0), None
    bands, rows, cols = dataset.RasterCount, dataset.RasterYSize, dataset.RasterXSize
    cell = last_cell(rows, cols)
    if rows > 1 << 20:
        return bands, cell, np.zeros((bands, 0, 0))
    top, left = cell[0] * CELL, cell[1] * CELL
    shape = bands, min(CELL, rows - top), min(CELL, cols - left)
    try:
        return bands, cell, dataset.ReadAsArray(left, top, shape[2], shape[1]).reshape(shape)
    except RuntimeError:
        return bands, cell, None


def deflate_is_damaged(path):
    """Whether zlib refuses a block of a Deflate-compressed file."""
    dataset = gdal.OpenEx(str(path), allowed_drivers=["GTiff"])
    if dataset.GetMetadataItem("COMPRESSION", "IMAGE_STRUCTURE") != "DEFLATE":
        return False
    band, data = dataset.GetRasterBand(1), path.read_bytes()
    width, height = band.GetBlockSize()
    for block in np.ndindex(-(-band.XSize // width), -(-band.YSize // height)):
        place = [band.GetMetadataItem(f"BLOCK_{key}_%d_%d" % block, "TIFF") for key in ("OFFSET", "SIZE")]
        if all(place):
            start, length = map(int, place)
            try:
                zlib.decompress(data[start : start + length])
            except zlib.error:
                return True
    return False


def reason_of(text):
    """A message without what is different in every file."""
    text = next((line for line in text.splitlines() if line.startswith("failed")), "")
    text = re.sub(r"`[^`]*`", "`…`", re.sub(r"[^\s`]*/[^\s`:,]*", "…", text))
    text = re.sub(r"cell \S+: band ODD: window \S+ ", "", text.replace("failed: scene odd: ", ""))
    return re.sub(r"\d+", "n", text)[:140]


def same(product, cell, expected):
    """How many of the product's samples differ from an array (band, row, col), and how many there are."""
    samples, _ = product.stored()
    row, col = (round(v) for v in product.position(X0 + cell[1] * CELL, Y0 - cell[0] * CELL))
    samples = samples[:, row:, col:][:, : expected.shape[1], : expected.shape[2]]
    if samples.shape != expected.shape:
        return expected.size, expected.size
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = expected.astype(np.float32)
    return int(np.count_nonzero(~((samples == wanted) | (np.isnan(samples) & np.isnan(wanted))))), expected.size


def main():
    gdal.PushErrorHandler("CPLQuietErrorHandler")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="files whose path holds this text")
    parser.add_argument("--list", action="store_true", help="a line for every file")
    a = parser.parse_args()
    binary = str(a.fieldglow.absolute())
    files = [p for p in sorted(a.data.rglob("*")) if p.suffix.lower() in (".tif", ".tiff") and a.only in str(p)]
    report, counts, reasons, refusals = Report(), Counter(), Counter(), Counter()
    slowest, largest = (0.0, ""), (0, "")
    print(f"GDAL {gdal.__version__}; {len(files)} files")
    for path in files:
        name = str(path.relative_to(a.data))
        folder = a.work / "odd_tiffs"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "scene").mkdir(parents=True)
        shutil.copyfile(path, folder / "scene" / path.name)
        bands, cell, expected = read_by_gdal(path)
        (folder / "scene" / "scene.toml").write_text(scene(path.name, bands))
        roles = ", ".join(f'"{r}"' for r in ROLES[:bands])
        (folder / "p.toml").write_text(PIPELINE.replace("BANDS", roles))
        sidecar, output = str(folder / "scene" / "scene.toml"), str(folder / "out")
        looked = Done([binary, "inspect", "--json", sidecar])
        one = ["--cells", "NATIVE-UTM50N-4096-R%04d-C%04d" % cell] if cell != (0, 0) else []
        ran = Done([binary, "run", str(folder / "p.toml"), sidecar, "--output", output, "--progress", "off", *one])
        counts["opened"] += looked.code == 0
        counts["run"] += ran.code == 0
        faults = [f"{what}: {f}" for what, done in (("inspect", looked), ("run", ran)) if (f := done.fault())]
        for done in (looked, ran):
            slowest, largest = max(slowest, (done.seconds, name)), max(largest, (done.memory, name))
        if looked.code == 3 and ran.code == 0:
            faults.append("run reads what inspect refuses")
        if ran.code == 3:
            message = ran.text if looked.code == 0 else looked.text
            refusals[reason_of(message)] += 1
            if path.name not in message or not any(r in message for r in REMEDIES):
                faults.append(f"unclear message: {message.strip()[:400]}")
            if isinstance(expected, np.ndarray):
                why = [r for part, r in REASONS.items() if part in message]
                why += [DAMAGED] if not why and deflate_is_damaged(path) else []
                faults += [] if why else [f"refused without a reason: {message.strip()[:400]}"]
                counts["refused, read by GDAL"] += 1
                reasons.update(why)
        elif ran.code == 0 and isinstance(expected, np.ndarray):
            differ, of = same(Product(output, "bands"), cell, expected)
            counts["equal"] += differ == 0
            faults += [f"{differ} of {of} samples differ"] if differ else []
        elif ran.code == 0:
            faults.append("read, though GDAL cannot")
        report.limit(f"{name}: {'; '.join(faults)}", len(faults), 0)
        if a.list or faults:
            print(f"{name:60.60} inspect {looked.code} run {ran.code} {looked.seconds:.2f} {ran.seconds:.2f} s {'; '.join(faults)}")
    print(f"opened {counts['opened']}, run {counts['run']}, of these pixel-equal to GDAL {counts['equal']}")
    print(f"refused {sum(refusals.values())}, of these read by GDAL {counts['refused, read by GDAL']}:")
    for text, n in reasons.most_common():
        print(f"  {n:3} {text}")
    print("messages of all that are refused:")
    for text, n in refusals.most_common():
        print(f"  {n:3} {text}")
    print(f"slowest {slowest[0]:.2f} s of processor time ({slowest[1]}); largest {largest[0] >> 10} MiB ({largest[1]})")
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
