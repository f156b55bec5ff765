#!/usr/bin/env python3
"""Many small scenes in one run: exit code, scenes per second, memory early and late.

usage: benches/many.py [--program target/release/fieldglow] [--scenes 200] [--broken 10] [--size 32] [--folder DIR]

One delivery is simulated and copied under other mission numbers; some copies are broken, each in another way. While the
program runs, the resident memory of its process is looked at whenever a scene is done. Then schedulers' way: runs of one scene
each, alone, beside all that stands, and eight at once, after which the Collection has to hold every scene. Needs Linux
(/proc) and nothing but Python's own library.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PIPELINE = """schema = 1
name = "many"
[geometry]
mode = "ortho"
resolution = {gsd}
height = {{ dem = "{dem}", datum = "ellipsoid" }}
[[product]]
name = "reflectance"
kind = "bands"
bands = ["B", "G", "R", "N"]
[[product]]
name = "ndvi"
kind = "index"
index = "NDVI"
[[product]]
name = "qa"
kind = "qa"
"""
GSD = 24.0


def simulate(program, folder, size, *more):
    command = [program, "simulate", folder, "--size", str(size), "--gsd", str(GSD), "--no-pan", *more]
    subprocess.run(command, check=True, capture_output=True)
    return next(Path(folder).glob("*_MSS"))


def copy(source, target, number):
    target.mkdir(parents=True)
    for file in source.iterdir():
        tokens = file.name.split("_")
        tokens[3] = f"{300_000_000 + number:09d}"
        shutil.copy(file, target / "_".join(tokens))


def edit(folder, change):
    path = next(folder.glob("*_meta.xml"))
    text = path.read_text()
    new = change(text)
    assert new != text
    path.write_text(new)


def field(name, value):
    def change(text):
        start = text.index(f"<{name}>") + len(name) + 2
        return text[:start] + value + text[text.index(f"</{name}>"):]
    return change


def image(folder):
    return next(folder.glob("*.tif"))


BREAKS = [
    lambda d: edit(d, field("AbsCalibrationGain", "0.1,0.1")),
    lambda d: edit(d, field("AbsCalibrationGain", "0.1,0.1,0,0.1")),
    lambda d: edit(d, lambda t: t.replace("Solar", "NotSolar").replace(" 10:", " 23:")),
    lambda d: image(d).write_bytes(b""),
    lambda d: image(d).write_bytes(image(d).read_bytes()[:-100]),
    lambda d: next(d.glob("*_rpc.txt")).unlink(),
    lambda d: next(d.glob("*_meta.xml")).unlink(),
    lambda d: [file.unlink() for file in list(d.iterdir())],
    lambda d: next(d.glob("*_meta.xml")).write_text("<MetaData>"),
    None,  # a scene that the DEM does not cover
]


def one_by_one(program, desk, source, first):
    """Runs of one scene each, from number `first` on; whether the Collection holds all scenes that stand."""
    place = [first]

    def start(output):
        number = place[0]
        place[0] += 1
        copy(source, desk / "scenes" / f"{number:05d}", number)
        command = [program, "run", "p.toml", f"scenes/{number:05d}", "--output", output, "--progress", "off"]
        return subprocess.Popen(command, cwd=desk, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def seconds(outputs):
        started = time.monotonic()
        codes = [child.wait() for child in [start(output) for output in outputs]]
        assert not any(codes), codes
        return time.monotonic() - started

    alone = [seconds([f"alone-{k}"]) for k in range(5)]
    beside = [seconds(["out"]) for _ in range(5)]
    together = [seconds(["out"] * 8) for _ in range(3)]
    print("one scene more, s: "
          + ", ".join(f"{statistics.median(t):.2f} {what}" for what, t in
                      [("into nothing", alone), ("beside all others", beside), ("eight of them at once", together)]))
    collection = json.loads((desk / "out/many/collection.json").read_text())
    held = {link["href"] for link in collection["links"] if link["rel"] == "item"}
    stand = {f"./scenes/{path.parent.name}/item.json" for path in (desk / "out/many/scenes").glob("*/item.json")}
    print(f"the Collection holds {len(stand & held)} of {len(stand)} scenes")
    return stand <= held


def resident_mib(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="target/release/fieldglow")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--broken", type=int, default=10)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--folder")
    args = parser.parse_args()
    program = str(Path(args.program).resolve())
    with tempfile.TemporaryDirectory(dir=args.folder) as desk:
        desk = Path(desk)
        good = simulate(program, desk / "good", args.size)
        far = simulate(program, desk / "far", args.size, "--center", "126", "43.88")
        every = max(1, args.scenes // max(1, args.broken))
        for k in range(args.scenes):
            number, place = divmod(k, every)
            breaks = BREAKS[number % len(BREAKS)] if place == every // 2 and number < args.broken else BREAKS
            copy(far if breaks is None else good, desk / "scenes" / f"{k:05d}", k)
            if callable(breaks):
                breaks(desk / "scenes" / f"{k:05d}")
        (desk / "list.txt").write_text("".join(f"scenes/{k:05d}\n" for k in range(args.scenes)))
        (desk / "p.toml").write_text(PIPELINE.format(gsd=GSD, dem=desk / "good" / "dem.tif"))
        command = [program, "run", "p.toml", "@list.txt", "--output", "out", "--progress", "json", "--report", "r.json"]
        started = time.monotonic()
        child = subprocess.Popen(command, cwd=desk, stderr=subprocess.PIPE, text=True)
        memory = []
        for line in child.stderr:
            if line.startswith("{") and json.loads(line)["event"] == "scene-done":
                memory.append(resident_mib(child.pid))
        code, seconds = child.wait(), time.monotonic() - started
        report = json.loads((desk / "r.json").read_text())
        complete = one_by_one(program, desk, good, args.scenes)
    totals = report["totals"]
    tenth = max(1, len(memory) // 10)
    early, late = max(memory[tenth:2 * tenth] or memory), max(memory[-tenth:])
    print(f"exit code {code}; {totals['done']} done, {totals['failed']} failed of {totals['scenes']}")
    print(f"{seconds:.2f} s, {args.scenes / seconds:.1f} scenes per second; engine alone {report['seconds']:.2f} s")
    print(f"resident memory, MiB: {early:.1f} in the second tenth of the scenes, {late:.1f} in the last; "
          f"peak {report['peak_resident_bytes'] / 2**20:.1f}")
    stages = ", ".join(f"{name} {s:.2f}" for name, s in totals["stage_seconds"].items())
    print(f"core seconds: {stages}")
    for scene in report["scenes"]:
        if scene["error"]:
            print(f"  {scene['error']['code']:<28} {Path(scene['scene']).name}")
    return 0 if code == (2 if args.broken else 0) and complete else 1


if __name__ == "__main__":
    sys.exit(main())
