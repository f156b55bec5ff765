"""The same bytes for any number of threads and any budget; nothing written by a second run.

    determinism.py FIELDGLOW WORK [--seed 1] [--size 2048] [--threads 1,2,8] [--memory 2GiB,768MiB]

Runs one simulated L1 scene for every pair of the two lists and compares the SHA-256 of all objects, JSON included. The
first output is then run again without --force: its report must say that nothing was written, and no file may change.
Exit code: 0 if all is equal.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from common import Report, fieldglow, run, simulate
from l1_truth import PIPELINE


def digests(output):
    return {str(p.relative_to(output)): hashlib.sha256(p.read_bytes()).hexdigest() for p in output.rglob("*") if p.is_file()}


def states(output):
    """What any write would change."""
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns, p.stat().st_size) for p in output.rglob("*") if p.is_file()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fieldglow", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", default="2048")
    parser.add_argument("--threads", default="1,2,8")
    parser.add_argument("--memory", default="2GiB,768MiB")
    a = parser.parse_args()
    report = Report()
    scene = (a.work / f"determinism_{a.seed}_{a.size}").absolute()
    simulate(a.fieldglow, scene, seed=a.seed, size=a.size)
    pipeline = PIPELINE.replace("HEIGHT", f'dem = "{scene}/dem.tif"') + '[[product]]\nname = "qa"\nkind = "qa"\n'
    found = {}
    for threads in a.threads.split(","):
        for memory in a.memory.split(","):
            name = f"t{threads}_{memory}"
            output = run(a.fieldglow, scene / "runs", name, pipeline, scene, "--threads", threads, "--memory", memory)
            found[name] = output, digests(output)
    (first, (output, reference)), *others = found.items()
    print(f"{first}: {len(reference)} objects")
    for name, (_, other) in others:
        differ = sorted(k for k in reference.keys() | other.keys() if reference.get(k) != other.get(k))
        print(f"{name}: {len(other)} objects, {len(differ)} differ {' '.join(differ)}")
        report.limit(f"{name} objects that differ", len(differ), 0)
    before = states(output)
    again = [scene / "runs" / f"{first}.toml", scene, "--output", output, "--json", "--progress", "off"]
    said = json.loads(fieldglow(a.fieldglow, "run", *again))
    after = states(output)
    written = sum(s["bytes_written"] for s in said["scenes"])
    unchanged = sum(s["cells_unchanged"] for s in said["scenes"])
    changed = sum(before.get(k) != after.get(k) for k in before.keys() | after.keys())
    print(f"second run: {unchanged} cells unchanged, {written} bytes written, {changed} files touched")
    report.limit("bytes written by the second run", written, 0)
    report.limit("files touched by the second run", changed, 0)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
