"""Checks everything in output folders with tools nobody here wrote.

    conform.py OUTPUT... [--gdal-python PYTHON]... [--schemas DIR]

Every .tif: GDAL's validate_cloud_optimized_geotiff with --full-check=yes, by each Python given (default: this one; give the
one of an older GDAL too), and `rio cogeo validate --strict` of the rio beside this Python. Every STAC document:
validate_stac.py with the schemas of src/catalog/schemas. rio's warnings are failures. Prints counts and every complaint.
Exit code: 0 if there is none.
"""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
GDAL_CHECK = ["-m", "osgeo_utils.samples.validate_cloud_optimized_geotiff", "--full-check=yes"]


def complaint(command):
    """What a validator says if it refuses, else None."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    said = done.stdout + done.stderr
    refused = done.returncode != 0 or "is NOT a valid" in said or "warnings were found" in said
    return said.strip() or "no message" if refused else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", type=Path, nargs="+", metavar="OUTPUT")
    parser.add_argument("--gdal-python", action="append", metavar="PYTHON")
    parser.add_argument("--schemas", type=Path, default=HERE.parents[1] / "src/catalog/schemas")
    a = parser.parse_args()
    images = sorted(p for o in a.outputs for p in o.rglob("*.tif"))
    documents = sorted(p for o in a.outputs for p in [*o.rglob("item.json"), *o.rglob("collection.json")])
    if not images or not documents:
        sys.exit("no COGs or no STAC documents there")
    pythons = a.gdal_python or [sys.executable]
    checks = []
    for python in pythons:
        version = subprocess.run(
            [python, "-c", "from osgeo import gdal; print(gdal.__version__)"], capture_output=True, text=True, check=True
        ).stdout.strip()
        checks.append((f"GDAL {version} validate_cloud_optimized_geotiff --full-check=yes", [python, *GDAL_CHECK], images))
    rio = Path(sys.executable).parent / "rio"
    checks.append(("rio cogeo validate --strict", [rio, "cogeo", "validate", "--strict"], images))
    checks.append(("STAC schemas", [sys.executable, HERE / "validate_stac.py", a.schemas], documents))
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for name, command, files in checks:
            complaints = [c for c in pool.map(lambda f: (f, complaint([*command, f])), files) if c[1] is not None]
            failed += len(complaints)
            print(f"{name}: {len(files) - len(complaints)} of {len(files)} pass", flush=True)
            for file, said in complaints:
                print(f"  {file}: {said}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
