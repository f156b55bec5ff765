#!/usr/bin/env python3
"""The day job over a scene that stands on a web server behind latency and a narrow link.

    benches/remote_input.py [--work DIR] [--size 8192] [--pairs 3] [--links 40,100,200] [--rtt-ms 50] [--threads N]
                            [--memory 2GiB] [--fieldglow PATH] [--other PATH] [--json FILE]

Serves the scene of `compare`'s day job from a small web server that gives ranges, through the proxy of link.py: each way takes
half of RTT-MS, a new connection one whole RTT-MS more, and each direction carries LINKS megabytes (10⁶ bytes) per second,
shared by all connections. Output goes to a folder. Runs go in turn: from the disk, through the proxy at each speed, and the
same through the proxy with another build, if there is one; `--pairs` times after a round that is not counted; medians are
printed. Then a run over what was made already, and one of a single cell at the first speed: what they fetch.

The last column compares with what cannot be avoided: the wall of the run from the disk, or, if that is longer, the bytes of
the direction with the most bytes over the link's speed. Server and proxy use the same cores as we do.
"""

import argparse
import http.server
import json
import multiprocessing
import os
import re
import shutil
import sys
from pathlib import Path

from link import behind
from remote import compare, median

ROOT = Path(__file__).resolve().parent.parent


class Ranges(http.server.BaseHTTPRequestHandler):
    """Files of a folder, whole or in ranges, straight from the page cache."""

    protocol_version = "HTTP/1.1"
    folder = None

    def do_GET(self):
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            return self.answer(404, 0, {})
        size, tag = path.stat().st_size, {"ETag": f'"{path.stat().st_mtime_ns:x}"'}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), min(int(asked[2]), size - 1)) if asked else (0, size - 1)
        if asked:
            tag["Content-Range"] = f"bytes {first}-{last}/{size}"
        self.answer(206 if asked else 200, last - first + 1, tag)
        with open(path, "rb") as file:
            at = first
            while at <= last:
                at += os.sendfile(self.connection.fileno(), file.fileno(), at, last + 1 - at)

    def answer(self, status, length, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": length, "Last-Modified": self.date_time_string(0)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.flush()

    def log_message(self, *_):
        pass


def serve(folder, told):
    Ranges.folder = folder
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges) as server:
        told.send(server.server_address[1])
        server.serve_forever()


class Input(compare.Bench):
    def environment(self):
        return None  # nothing here needs rasterio

    def prepare(self):
        _, self.described = self.scene("l3")
        self.pipeline = self.work / "remote_input.toml"
        head = 'schema = 1\nname = "bench"\n[radiometry]\nlevel = "toa"\n[geometry]\nmode = "native"\n'
        self.pipeline.write_text(head + compare.PRODUCTS)
        self.report = self.work / "remote_input.json"
        self.out = self.work / "remote_input_out"
        ours, theirs = multiprocessing.Pipe(False)
        multiprocessing.Process(target=serve, args=(self.described.parent, theirs), daemon=True).start()
        self.port = ours.recv()

    def run(self, scene, fieldglow=None, again=True, more=()):
        a = self.args
        if again:
            shutil.rmtree(self.out, ignore_errors=True)
        command = [fieldglow or a.fieldglow, "run", self.pipeline, scene, "--output", self.out, "--progress", "off",
                   "--threads", a.threads, "--memory", a.memory, "--report", self.report, "--scratch", self.work, *more]
        figures = compare.measured(command, self.log, env={**os.environ, "AWS_ALLOW_HTTP": "true"})
        report = json.loads(self.report.read_text())
        return figures | {"fetched": report["totals"]["unpacked_bytes"], "stages": report["totals"]["stage_seconds"],
                          "cells": report["scenes"][0]["cells_written"]}

    def behind(self, link, **how):
        carried = {}
        with behind(self.port, link, self.args.rtt_ms / 1e3, None, carried) as port:
            figures = self.run(f"http://127.0.0.1:{port}/{self.described.name}", **how)
        return figures | {f"proxy_{k}": v for k, v in carried.items()} | {"link": link}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "out/bench")
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--links", default="40,100,200", type=lambda t: [float(x) for x in t.split(",")])
    parser.add_argument("--rtt-ms", type=float, default=50)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--fieldglow", default=str(ROOT / "target/release/fieldglow"))
    parser.add_argument("--other", help="another build, for comparison")
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    bench = Input(a)
    bench.prepare()
    ways = {"disk": lambda: bench.run(bench.described)}
    for link in a.links:
        ways[f"{link:g} MB/s"] = lambda link=link: bench.behind(link)
        if a.other:
            ways[f"{link:g} MB/s, the other build"] = lambda link=link: bench.behind(link, fieldglow=a.other)
    runs = {name: [] for name in ways}
    for pair in range(a.pairs + 1):
        for name, way in ways.items():
            run = way()
            # The first round fills caches and is not counted.
            if pair:
                runs[name].append(run)
            print(f"{pair}/{a.pairs} {name}: {run['wall']:.1f} s wall, {run['cpu']:.1f} s CPU", flush=True)
    results = {name: median(r) for name, r in runs.items()}
    bench.run(bench.described)
    results["all of it made already"] = bench.behind(a.links[0], again=False)
    cell = results["disk"]["cells"][0]
    results[f"cell {cell} alone"] = bench.behind(a.links[0], more=["--cells", cell])
    print("\n| input | wall, s | CPU, s | peak, MiB | fetched, MB | over max(compute, transfer) |\n| --- |" + " ---: |" * 5)
    for name, r in results.items():
        over = ""
        if name.endswith("MB/s") or "other build" in name:
            over = r["wall"] / max(results["disk"]["wall"], max(r["proxy_up"], r["proxy_down"]) / (r["link"] * 1e6))
            over = f"{over:.3f}"
        print(f"| {name} | {r['wall']:.2f} | {r['cpu']:.1f} | {r['peak_mib']:.0f} | {r['fetched'] / 1e6:.0f} | {over} |")
    print()
    for name, r in results.items():
        if r["stages"]["workers"]:
            print(f"{name}: {compare.account(r['stages'])}")
    if a.json:
        out = {"rtt_ms": a.rtt_ms, "pairs": a.pairs, "cores": os.cpu_count(), "threads": a.threads, "results": results, "runs": runs}
        a.json.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
