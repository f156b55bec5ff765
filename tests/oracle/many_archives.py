"""`inspect` over hundreds of archives: seconds, processor time, memory, and how little is read of them.

    many_archives.py FIELDGLOW WORK [--count 300] [--size 1024]

Makes a third each of .zip, .tar and .tar.gz of a simulated delivery, each under a name of its own. The images are zeros, and the
archives are written with holes, so that they take next to no room: 300 of them are 12 GiB long and 100 MiB on the disk. Each
kind is inspected by one command, as JSON, and as CSV where the program has it. Bytes are those the process asked the system
for (`rchar` of /proc/PID/io), as holes cost no disk.

Limits: every scene is there with both parts; at most 512 KiB of a .zip or a .tar are read, and of a .tar.gz, which must be
unpacked up to its last member, its own length more. Exit code: 0 if all are kept.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

from osgeo import gdal

from common import Report, simulate

ZEROS = bytes(1 << 20)
MOST = 512 << 10  # bytes of an archive


class Holes:
    """A file that leaves out what is zero."""

    def __init__(self, path):
        self.file = open(path, "wb")

    def write(self, content):
        view = memoryview(content)
        if len(view) >= 4096 and view == ZEROS[: len(view)]:
            self.file.seek(len(view), os.SEEK_CUR)
        else:
            self.file.write(view)
        return len(view)

    def close(self):
        self.file.truncate(self.file.tell())
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def empty(path):
    """Replaces the pixels of an image by zeros."""
    old = gdal.Open(str(path))
    shape = old.RasterXSize, old.RasterYSize, old.RasterCount, old.GetRasterBand(1).DataType
    old = None
    # Under another name: GDAL removes what is there, and the RPC file with it.
    new = path.with_suffix(".new")
    gdal.GetDriverByName("GTiff").Create(str(new), *shape)
    new.replace(path)


def pack(kind, files, target):
    """Writes files, path by name, as an archive."""
    out = Holes(target)
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            for name, path in files.items():
                archive.write(path, name)
    else:
        # The images first: nothing of a .tar.gz can be left out then.
        how = {"mode": "w:gz", "compresslevel": 1} if kind == "tar.gz" else {"mode": "w"}
        with tarfile.open(fileobj=out, **how) as archive:
            for name, path in sorted(files.items(), key=lambda f: not f[0].endswith(".tif")):
                archive.add(path, name)
    out.close()


def measured(command):
    """Standard output, exit code, seconds, processor time, MiB of memory, and bytes asked for, of a command."""
    start = time.monotonic()
    with open("out.json", "w+") as said:
        process = subprocess.Popen(command, stdout=said)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        counts = dict(line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    seconds = time.monotonic() - start
    return text, process.returncode, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10, int(counts["rchar"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--size", type=int, default=1024)
    a = parser.parse_args()
    binary = str(a.fieldglow.absolute())
    delivery, folder = a.work.absolute() / f"archive_of_{a.size}", a.work.absolute() / "many_archives"
    simulate(binary, delivery, size=a.size)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    parts = sorted(p for p in delivery.iterdir() if p.name.endswith(("_MSS", "_PAN")))
    stem = parts[0].name.removesuffix("_MSS")
    files = {}
    for part in parts:
        shutil.copytree(part, folder / "one" / part.name)
        for file in (folder / "one" / part.name).iterdir():
            files[f"{part.name}/{file.name}"] = file
            if file.suffix == ".tif":
                empty(file)
    # The number of the order is what tells scenes of one time apart.
    number = stem.split("_")[3]
    metadata = {name: path.read_text() for name, path in files.items() if path.suffix == ".xml"}
    kinds = ("zip", "tar", "tar.gz")
    for k in range(a.count):
        own = f"{200_000_000 + k}"
        for name, text in metadata.items():
            files[name].write_text(text.replace(number, own))
        renamed = {name.replace(number, own): path for name, path in files.items()}
        pack(kinds[k % 3], renamed, folder / f"{stem.replace(number, own)}.{kinds[k % 3]}")
    has_csv = "--csv" in subprocess.run([binary, "inspect", "--help"], capture_output=True, text=True).stdout
    report = Report()
    for kind in kinds:
        archives = sorted(p for p in folder.iterdir() if p.name.endswith(f".{kind}"))
        length = sum(p.stat().st_size for p in archives)
        on_disk = sum(p.stat().st_blocks for p in archives) * 512
        Path("list").write_text("".join(f"{p}\n" for p in archives))
        print(f"{len(archives)} .{kind}: {length / 2**20:.0f} MiB long, {on_disk / 2**20:.0f} MiB on the disk")
        for form in ("--json", "--csv") if has_csv else ("--json",):
            text, code, seconds, busy, memory, read = measured([binary, "inspect", form, "@list"])
            print(
                f"  inspect {form}: {seconds:.2f} s, {busy:.2f} s of processor time, {memory} MiB of memory, {read / 2**20:.1f} MiB "
                f"read: {read / len(archives) / 2**10:.0f} KiB each, {100 * read / length:.3f} %"
            )
            report.limit(f".{kind} {form}: exit code", code, 0)
            limit = MOST * len(archives) + (length if kind == "tar.gz" else 0)
            report.limit(f".{kind} {form}: bytes read", read, limit)
            if form == "--json":
                scenes = json.loads(text)
                whole = sum({"PAN", "MSS"} == {p["name"] for p in scene["parts"]} for scene in scenes)
                ids = {scene["id"] for scene in scenes}
                report.limit(f".{kind}: scenes with both parts", whole, len(archives), at_least=True)
                report.limit(f".{kind}: ids that differ", len(ids), len(archives), at_least=True)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
