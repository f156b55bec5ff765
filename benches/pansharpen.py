#!/usr/bin/env python3
"""Pansharpening of a simulated projected scene beside gdal_pansharpen: wall time, memory, ratios.

    benches/pansharpen.py [--work DIR] [--size 2048] [--pairs 3] [--fieldglow PATH] [--python PYTHON] [--memory 2GiB]

The scene has SIZE² multispectral and (4 SIZE)² panchromatic pixels. Ours makes reflectance as COGs, by each method, in
runs of their own; gdal_pansharpen (weighted Brovey, cubic, all threads) makes a COG of digital numbers with overviews, same
codec and level. PYTHON has GDAL's Python scripts (`osgeo_utils`). Runs go in turn, `--pairs` times after a round that is not
counted; medians are printed, and peer's wall over ours.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
METHODS = {
    "mtf-glp-hpm": 'method = "mtf-glp-hpm"',
    "brovey": 'method = "brovey"',
}
PIPELINE = """schema = 1
name = "NAME"
[radiometry]
level = "toa"
[geometry]
mode = "grid"
crs = "utm"
resolution = 0.75
[output]
pictures = false
[[product]]
name = "sharp"
kind = "pansharpen"
bands = ["B", "G", "R", "N"]
METHOD
"""


def measure(command):
    """Wall seconds, CPU seconds and peak memory in MiB of a command."""
    started = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: status {status}")
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "out/bench/pansharpen")
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--fieldglow", default=str(ROOT / "target/release/fieldglow"))
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--memory", default="2GiB")
    a = parser.parse_args()
    scene = a.work / f"scene_{a.size}"
    if not (scene / "truth" / "truth.json").is_file():
        subprocess.run([a.fieldglow, "simulate", scene, "--size", str(a.size), "--level", "l3"], check=True)
    pan, ms = (str(next(scene.glob(f"*_{part}/*.tif"))) for part in ("PAN", "MSS"))
    commands = {}
    for name, line in METHODS.items():
        pipeline = a.work / f"{name}.toml"
        pipeline.write_text(PIPELINE.replace("METHOD", line).replace("NAME", name))
        run = [a.fieldglow, "run", str(pipeline), str(scene), "--output", str(a.work / "out"), "--force"]
        commands[f"ours, {name}"] = [*run, "--memory", a.memory, "--progress", "off"]
    out = a.work / "gdal.tif"
    options = ["-of", "COG", "-co", "COMPRESS=ZSTD", "-co", "LEVEL=3", "-co", "PREDICTOR=YES", "-co", "BIGTIFF=IF_SAFER"]
    options += ["-co", "NUM_THREADS=ALL_CPUS", "-threads", "ALL_CPUS", "-r", "cubic", "-q"]
    commands["gdal_pansharpen"] = [a.python, "-m", "osgeo_utils.gdal_pansharpen", pan, ms, str(out), *options]
    found = {name: [] for name in commands}
    for k in range(a.pairs + 1):
        for name, command in commands.items():
            out.unlink(missing_ok=True)
            shutil.rmtree(a.work / "out", ignore_errors=True)
            measured = measure(command)
            if k > 0:
                found[name].append(measured)
    medians = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in found.items()}
    peer = medians["gdal_pansharpen"][0]
    print("| | wall, s | CPU, s | peak memory, MiB | peer's wall over ours |\n| --- | ---: | ---: | ---: | ---: |")
    for name, (wall, cpu, memory) in medians.items():
        ratio = "" if name == "gdal_pansharpen" else f"{peer / wall:.2f}"
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {memory:.0f} | {ratio} |")


if __name__ == "__main__":
    main()
