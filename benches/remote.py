#!/usr/bin/env python3
"""The day job to a folder, to an object store, and to the same store behind latency and a narrow link.

    benches/remote.py [--work DIR] [--size 8192] [--pairs 3] [--links 40,100,200] [--rtt-ms 50] [--threads N]
                      [--memory 2GiB] [--apart] [--fieldglow PATH] [--json FILE]

Starts Ceph's object gateway on this machine (scripts/servers/ceph.sh, anew for every run: its memory is its disk) and,
between it and us, a TCP proxy (link.py): each way takes half of RTT-MS, a new connection one whole RTT-MS more, and each
direction carries LINKS megabytes (10⁶ bytes) per second, shared by all connections. The scene is that of `compare`'s day job, simulated into DIR unless it stands there.

Runs go in turn: to a folder, to Ceph itself, through the proxy at each speed; `--pairs` times after a round that is not
counted; medians are printed. The limits, of medians:

    own CPU             to the store ≤ 1.1 × that of the run to a folder
    wall behind a link  ≤ 1.15 × max(compute, transfer): compute is the wall of the run to a folder, transfer the bytes
                        of the direction with the most bytes over the link's speed
    temporary bytes     0: one more run to Ceph under strace, with TMPDIR where nobody can write; every successful write to
                        a regular file is counted. The run to a folder, traced in the same way, must be seen to write

Ceph and the proxy use the same cores as we do; what they used is printed, and with it `shared`: the wall that all their and
our CPU time would take on all cores of this machine if nothing waited. Where that is above the limit, the machine is too
small to tell, and the script says so. With `--apart` we have the first half of the cores, also for the run to a folder, and
Ceph and the proxy the other half, as if the store were another machine: what their work takes from the cores and caches
that ours runs on is not counted as ours. Exit code: 0 if all limits are kept. Needs Linux, strace, and what ceph.sh
installs.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from link import behind

ROOT = Path(__file__).resolve().parent.parent
CPU_LIMIT, WALL_LIMIT = 1.1, 1.15
BUCKET = "fieldglow-test"
# Calls that make files or put bytes into them; sends to a socket are told apart by the name strace prints for it.
CALLS = "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,fallocate,ftruncate,rename,renameat,renameat2,memfd_create"


def halves():
    """The cores this process may use, as two sets."""
    cores = sorted(os.sched_getaffinity(0))
    middle = max(1, len(cores) // 2)
    return set(cores[:middle]), set(cores[middle:])


def on(cores):
    """What puts a process that is about to begin on some cores."""
    return {"preexec_fn": lambda: os.sched_setaffinity(0, cores)} if cores else {}


def load_compare():
    """benches/compare as a module: its scene, its pipeline, its way of measuring."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("compare", str(ROOT / "benches/compare"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare", loader))
    loader.exec_module(module)
    return module


compare = load_compare()


# --- the store -----------------------------------------------------------------------------------------------------


class Ceph:
    """A fresh object gateway with an empty bucket, and the CPU it uses."""

    script = ROOT / "scripts/servers/ceph.sh"

    def __init__(self, cores):
        self.cores = cores

    def __enter__(self):
        free = subprocess.run([ROOT / "scripts/servers/free-port.sh"], capture_output=True, text=True, check=True)
        self.port = int(free.stdout)
        start = [self.script, "start", str(self.port)]
        said = subprocess.run(start, stdout=subprocess.PIPE, text=True, check=True, **on(self.cores))
        self.environment = dict(word.split("=", 1) for word in said.stdout.split())
        servers = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "servers/ceph/run"
        self.pids = [int(p.read_text()) for p in servers.glob("*.pid")]
        self.used_before = self.used()
        return self

    def __exit__(self, *_):
        subprocess.run([self.script, "stop"], check=True)

    def used(self):
        ticks = 0
        for pid in self.pids:
            after_name = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(after_name[11]) + int(after_name[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def at(self, port):
        """The environment that leads to the store through a port."""
        return {**os.environ, **self.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


# --- the runs ------------------------------------------------------------------------------------------------------


class Remote(compare.Bench):
    def environment(self):
        return None  # nothing here needs rasterio

    def prepare(self):
        _, self.described = self.scene("l3")
        self.pipeline = self.work / "remote.toml"
        head = 'schema = 1\nname = "bench"\n[radiometry]\nlevel = "toa"\n[geometry]\nmode = "native"\n'
        self.pipeline.write_text(head + compare.PRODUCTS)
        self.report = self.work / "remote.json"
        self.ours, self.theirs = halves() if self.args.apart else (None, None)
        self.args.threads = self.args.threads or len(self.ours or os.sched_getaffinity(0))

    def command(self, output):
        a = self.args
        return [a.fieldglow, "run", self.pipeline, self.described, "--output", output, "--progress", "off",
                "--threads", a.threads, "--memory", a.memory, "--report", self.report]

    def run(self, output, env):
        figures = compare.measured(self.command(output), self.log, env=env, **on(self.ours))
        report = json.loads(self.report.read_text())
        stages = report["totals"]["stage_seconds"]
        store = report["store"]
        return figures | {"written": report["totals"]["bytes_written"], "stages": stages,
                          "requests": store["requests"], "repeated": store["repeated"]}

    def local(self):
        out = self.work / "remote_local"
        shutil.rmtree(out, ignore_errors=True)
        return self.run(out, dict(os.environ))

    def remote(self, link=None):
        with Ceph(self.theirs) as ceph:
            carried = {}
            if link is None:
                figures = self.run(f"s3://{BUCKET}/remote", ceph.at(ceph.port))
            else:
                with behind(ceph.port, link, self.args.rtt_ms / 1e3, self.theirs, carried) as port:
                    figures = self.run(f"s3://{BUCKET}/remote", ceph.at(port))
            return figures | {"server_cpu": ceph.used() - ceph.used_before, **{f"proxy_{k}": v for k, v in carried.items()}}

    def traced(self, output, env):
        """Bytes written to regular files, and the files, of a run with no place for temporary ones."""
        trace = self.work / "trace.txt"
        # The report would be a file: it goes to standard output here, which is a pipe.
        command = [*self.command(output)[:-2], "--json"]
        command = ["strace", "-f", "-y", "-qq", "-s", "0", "-e", f"trace={CALLS}", "-o", trace, *command]
        env = {**env, "TMPDIR": "/proc", "CPL_TMPDIR": "/proc"}
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env)
        if done.returncode:
            sys.exit(f"traced run to {output}: exit code {done.returncode}\n{done.stderr}")
        return written(trace)

    def temporary(self):
        out = self.work / "remote_local"
        shutil.rmtree(out, ignore_errors=True)
        seen = self.traced(out, dict(os.environ))
        with Ceph(self.theirs) as ceph:
            return {"folder": seen, "store": self.traced(f"s3://{BUCKET}/remote", ceph.at(ceph.port))}


def written(trace):
    """Bytes that went into regular files and the names of files made or opened for writing, from strace's output."""
    # A call that another thread interrupted stands in two lines; the second has the result.
    unfinished = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
    resumed = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
    whole = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")
    waiting, size, names = {}, 0, set()
    with open(trace, errors="replace") as lines:
        for line in map(str.rstrip, lines):
            if match := unfinished.match(line):
                waiting[match.group(1)] = line[: -len(" <unfinished ...>")]
                continue
            if match := resumed.match(line):
                line = waiting.pop(match.group(1), "") + match.group(3)
            if not (match := whole.match(line)):
                continue
            call, arguments, result = match.group(1), match.group(2), int(match.group(3))
            if result < 0:
                continue
            if call in ("openat", "open", "creat"):
                name = re.search(r'"([^"]*)"', arguments)
                opened = re.search(r"= \d+<(/[^>]*)>", line)
                path = opened.group(1) if opened else name.group(1) if name else "?"
                if (call == "creat" or re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE", arguments)) and on_disk(path):
                    names.add(path)
            elif call in ("rename", "renameat", "renameat2", "memfd_create", "fallocate"):
                names.add(f"{call}({arguments})")
            else:
                # Of the two files of sendfile and copy_file_range either may be the target.
                if any(on_disk(p) for p in re.findall(r"\d+<([^>]*)>", arguments)):
                    size += result
                    names.add(re.search(r"\d+<([^>]*)>", arguments).group(1))
    return {"bytes": size, "files": sorted(names)}


def on_disk(path):
    """Whether a name strace gives is that of a file: not of a socket, a pipe, an event, a device."""
    return path.startswith("/") and not re.match(r"/(dev|proc|sys)/", path)


# --- figures and limits --------------------------------------------------------------------------------------------


def median(runs):
    """Medians of figures, deep ones left as they are in the last run."""
    plain = {k for k, v in runs[-1].items() if isinstance(v, (int, float))}
    return {k: statistics.median(r[k] for r in runs) if k in plain else runs[-1][k] for k in runs[-1]}


def limits(results, temporary, cores):
    """Lines of (what, found, limit, kept, remark); `cores` are those that we share with Ceph and the proxy, if any."""
    local = results["folder"]
    found = []
    for name, r in results.items():
        if name == "folder":
            continue
        found.append((f"own CPU, {name}", r["cpu"] / local["cpu"], CPU_LIMIT, ""))
        if "link" in r:
            transfer = max(r["proxy_up"], r["proxy_down"]) / (r["link"] * 1e6)
            floor = max(local["wall"], transfer)
            remark = f"compute {local['wall']:.1f} s, transfer {transfer:.1f} s"
            if cores:
                shared = (r["cpu"] + r["server_cpu"] + r["proxy_cpu"]) / cores
                remark += f", shared {shared:.1f} s"
                if r["wall"] > WALL_LIMIT * floor and shared > WALL_LIMIT * floor:
                    remark += "; this machine is too small to tell"
            found.append((f"wall over max(compute, transfer), {name}", r["wall"] / floor, WALL_LIMIT, remark))
    lines = [(what, value, limit, value <= limit, remark) for what, value, limit, remark in found]
    if temporary:
        files = " ".join(temporary["store"]["files"][:5])
        lines.append(("temporary bytes of the run to the store", temporary["store"]["bytes"], 0,
                      not (temporary["store"]["bytes"] or files), files))
        seen = temporary["folder"]["bytes"]
        lines.append(("bytes the trace sees of the run to a folder", seen, local["written"], seen >= local["written"],
                      "at least"))
    return lines


def table(results):
    columns = ["wall, s", "CPU, s", "peak, MiB", "up, MB", "down, MB", "requests", "repeated", "Ceph CPU, s", "proxy CPU, s"]
    print(f"\n| output | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    for name, r in results.items():
        cells = [f"{r['wall']:.1f}", f"{r['cpu']:.1f}", f"{r['peak_mib']:.0f}"]
        cells += [f"{r[k] / 1e6:.0f}" if k in r else "" for k in ("proxy_up", "proxy_down")]
        cells += [f"{r[k]:.0f}" if name != "folder" else "" for k in ("requests", "repeated")]
        cells += [f"{r[k]:.1f}" if k in r else "" for k in ("server_cpu", "proxy_cpu")]
        print(f"| {name} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "out/bench")
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--links", default="40,100,200", type=lambda t: [float(x) for x in t.split(",")])
    parser.add_argument("--rtt-ms", type=float, default=50)
    parser.add_argument("--threads", type=int, help="default: as many as we have cores")
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--apart", action="store_true", help="Ceph and the proxy have cores of their own")
    parser.add_argument("--fieldglow", default=str(ROOT / "target/release/fieldglow"))
    parser.add_argument("--no-trace", action="store_true")
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    if a.apart and len(os.sched_getaffinity(0)) < 2:
        sys.exit("--apart needs two cores")
    bench = Remote(a)
    bench.prepare()
    ways = {"folder": bench.local, "Ceph": bench.remote}
    ways |= {f"Ceph, {link:g} MB/s, {a.rtt_ms:g} ms": lambda link=link: bench.remote(link) | {"link": link} for link in a.links}
    runs = {name: [] for name in ways}
    for pair in range(a.pairs + 1):
        for name, way in ways.items():
            run = way()
            # The first round fills caches and is not counted.
            if pair:
                runs[name].append(run)
            print(f"{pair}/{a.pairs} {name}: {run['wall']:.1f} s wall, {run['cpu']:.1f} s CPU", flush=True)
    results = {name: median(r) for name, r in runs.items()}
    temporary = None if a.no_trace else bench.temporary()
    differ = sorted({r["written"] for r in results.values()})
    lines = limits(results, temporary, 0 if a.apart else os.cpu_count())
    table(results)
    print()
    for what, value, limit, kept, remark in lines:
        print(f"{'kept  ' if kept else 'MISSED'} {what}: {value:.4g}, limit {limit:g}{f' ({remark})' if remark else ''}")
    for name, r in results.items():
        for way in ("up", "down"):
            if "link" in r:
                said = " ".join(f"{megabytes:.0f}" for megabytes in r[f"proxy_{way}_mb_by_second"])
                print(f"MB {way} in each second of the last run, {name}: {said}")
    for name, r in results.items():
        print(f"{name}: {compare.account(r['stages'])}")
    if a.json:
        out = {"rtt_ms": a.rtt_ms, "pairs": a.pairs, "cores": os.cpu_count(), "apart": a.apart, "threads": a.threads,
               "results": results, "runs": runs, "temporary": temporary,
               "limits": [dict(zip(("what", "value", "limit", "kept", "remark"), l)) for l in lines]}
        a.json.write_text(json.dumps(out, indent=1) + "\n")
    if len(differ) > 1:
        sys.exit(f"the runs did not write the same number of bytes: {differ}")
    sys.exit(not all(kept for *_, kept, _ in lines))


if __name__ == "__main__":
    main()
