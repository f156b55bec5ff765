"""A whole run to a real object store: no byte on the local disk, the bytes of a local run, and readers that find them.

    storage.py FIELDGLOW WORK --bucket BUCKET [--seed 1] [--size 2048]

The environment leads to an S3 server (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), such as the one that
`scripts/servers/ceph.sh start` prints. One simulated L1 scene with its panchromatic band goes to a folder and to the
server. The run to the server has TMPDIR in a folder where nobody, not even root, can write, and is traced (strace): every
file it opens for writing, makes or renames is counted. GDAL reads every object back through /vsis3/; its SHA-256 is
compared with the local file's. The local run is traced, too: it must be seen to write. GDAL and rio-tiler then read pixels over the network, compared with the local files'.
Exit code: 0 if all is equal and nothing was written.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from osgeo import gdal

from common import Report, simulate
from l1_truth import PIPELINE

# What may be opened for writing: no file of a disk.
HARMLESS = re.compile(r"^/(dev/(null|tty|pts/)|proc/)")


# Every call that can make or change a file by its name.
CALLS = (
    "openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,"
    "memfd_create,mknod,mknodat"
)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def read_whole(name):
    """Every byte of a file of GDAL's virtual file system."""
    file = gdal.VSIFOpenL(name, "rb")
    if file is None:
        sys.exit(f"GDAL cannot open {name}")
    try:
        size = gdal.VSIStatL(name).size
        return bytes(gdal.VSIFReadL(1, size, file)) if size else b""
    finally:
        gdal.VSIFCloseL(file)


def written_files(trace):
    """Files that a traced program made, opened for writing or renamed, and did so successfully."""
    opened = re.compile(r'\b(?:openat|open|creat)\((?:AT_FDCWD, )?"([^"]*)", ([A-Z_|0-9]*)[^=]*\) = \d+')
    changed = re.compile(r'\b(mkdir|mkdirat|rename|renameat2?|link|linkat|symlink|symlinkat|unlink|unlinkat)\(([^)]*)\) = 0')
    made = re.compile(r"\b(memfd_create|mknod|mknodat)\(([^)]*)\) = \d+")
    found = []
    for line in Path(trace).read_text(errors="replace").splitlines():
        if match := opened.search(line):
            name, flags = match.groups()
            if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE", flags) and not HARMLESS.match(name):
                found.append(f"{name} {flags}")
        elif match := changed.search(line) or made.search(line):
            found.append(f"{match.group(1)}({match.group(2)})")
    return found


def traced(binary, runs, scene, output, *arguments):
    """A run under strace with nowhere to keep temporary files: the files it wrote, and its report."""
    trace = runs / "trace.txt"
    command = ["strace", "-f", "-qq", "-s", "300", "-e", f"trace={CALLS}", "-o", trace, binary.absolute(), "run"]
    command += [runs / "pipeline.toml", scene, "--output", output, "--progress", "off", "--json", *arguments]
    nowhere = {**os.environ, "TMPDIR": "/proc", "CPL_TMPDIR": "/proc"}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=nowhere)
    if done.returncode:
        sys.exit(f"run to {output}: exit code {done.returncode}\n{done.stderr}")
    return written_files(trace), json.loads(done.stdout)


def tiles(first, names):
    """What rio-tiler reads of COGs: the whole of each at a quarter of its size. Its own process, as it brings another GDAL."""
    code = f"""
import hashlib, json, sys
from rio_tiler.io import Reader
out = {{}}
for name in json.load(sys.stdin):
    with Reader({first!r} + name) as cog:
        image = cog.preview(max_size=max(cog.dataset.shape) // 4)
        out[name] = [list(image.array.shape), hashlib.sha256(image.array.filled(0).tobytes()).hexdigest()]
print(json.dumps(out))
"""
    done = subprocess.run([sys.executable, "-c", code], input=json.dumps(names), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"rio-tiler on {first}: {done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", default="2048")
    a = parser.parse_args()
    report = Report()
    scene = (a.work / f"storage_{a.seed}_{a.size}").absolute()
    simulate(a.fieldglow, scene, seed=a.seed, size=a.size)
    text = PIPELINE.replace("HEIGHT", f'dem = "{scene}/dem.tif"') + '[[product]]\nname = "qa"\nkind = "qa"\n'
    runs = scene / "runs"
    runs.mkdir(exist_ok=True)
    (runs / "pipeline.toml").write_text(text)

    local = runs / "local"
    shutil.rmtree(local, ignore_errors=True)  # products of older keys
    written = traced(a.fieldglow, runs, scene, local)[0]
    expected = {str(p.relative_to(local)): p for p in local.rglob("*") if p.is_file()}
    print(f"local run: {len(written)} calls that write were traced")
    report.limit("calls that write of the local run", len(written), len(expected), at_least=True)

    folder = f"{a.bucket}/storage-{time.time_ns()}"
    written, said = traced(a.fieldglow, runs, scene, f"s3://{folder}")
    print(f"store: {json.dumps(said['store'])}")
    print(f"run to the store: written: {' '.join(written) or 'nothing'}")
    report.limit("files the run to the store wrote", len(written), 0)

    endpoint = re.sub(r"^https?://", "", os.environ["AWS_ENDPOINT_URL"]).rstrip("/")
    # rio-tiler's GDAL reads the region and the keys from the environment, as the other one does.
    options = {"AWS_S3_ENDPOINT": endpoint, "AWS_VIRTUAL_HOSTING": "FALSE", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
    options["AWS_HTTPS"] = "YES" if os.environ["AWS_ENDPOINT_URL"].startswith("https") else "NO"
    os.environ.update(options)
    for key, value in options.items():
        gdal.SetConfigOption(key, value)
    root = f"/vsis3/{folder}"
    listed = sorted(n for n in gdal.ReadDirRecursive(root) or [] if not n.endswith("/"))
    report.limit("objects that are not those of the local run", len(set(listed) ^ set(expected)), 0)
    differ = [n for n in listed if n in expected and digest(read_whole(f"{root}/{n}")) != digest(expected[n].read_bytes())]
    largest = max(p.stat().st_size for p in expected.values())
    report.limit("bytes of the largest object, which is to have several parts", largest, 17 << 20, at_least=True)
    print(f"{len(listed)} objects, the largest {largest / 1e6:.1f} MB, {sum(p.stat().st_size for p in expected.values()) / 1e6:.1f} MB, read through /vsis3/")
    report.limit("objects whose SHA-256 differs", len(differ), 0)

    cogs = sorted(n for n in expected if n.endswith(".tif"))
    for name in cogs:
        there, here = gdal.Open(f"{root}/{name}"), gdal.Open(str(expected[name]))
        same = np.array_equal(there.ReadAsArray(), here.ReadAsArray(), equal_nan=there.GetRasterBand(1).DataType == gdal.GDT_Float32)
        report.limit(f"pixels of {name} differ through GDAL", int(not same), 0)
    over_network, from_disk = tiles(f"s3://{folder}/", cogs), tiles(f"{local}/", cogs)
    differ = [n for n in cogs if over_network[n] != from_disk[n]]
    print(f"rio-tiler: {len(cogs)} previews, the first {over_network[cogs[0]][0]}")
    report.limit("previews of rio-tiler that differ", len(differ), 0)
    sys.exit(report.close())


if __name__ == "__main__":
    main()
