#!/usr/bin/python3
"""slr beside the recorder that one would write first, sent to by the same generator in the same breath.

  bench/naive.py [--bin DIR] [--calls 500] [--seconds 20] [--rounds 3] [--capture uring] [--send auto]
                 [--net auto] [--realtime]

The naive one (bench/naive.c) has a socket and a file for each leg, epoll, one recvfrom and one write a
packet; it makes no stereo file, no ledger, and checks nothing. Both record by turns on the recorder's
core, slr with every packet looked for in its files, the naive one with all packets counted. One JSON
line: CPU ms a call-second of each (the least of the rounds), the kernel's receive work beside it, and
how many times more the naive one takes. Exit status 1: one of them lost something.
"""
import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

import capacity

PORT = 4096


def figures(rows, found, lost):
    def of(kind):
        return next(x["value"] for x in rows if x.get("bench", "").startswith(f"load/{kind}/"))
    return {"cpu": of("cpu"), "kernel": of("kernel"), "packets": found, "lost": lost}


def parse(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def run_slr(args):
    argv = [os.path.join(capacity.SOURCE, "bench", "capacity.py"), "--bin", args.bin, "--calls", str(args.calls),
            "--seconds", str(args.seconds), "--setup", "seam", "--capture", args.capture, "--send", args.send,
            "--net", args.net, *(["--realtime"] if args.realtime else [])]
    rows = parse(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout)
    verdict = next((x for x in rows if "found" in x), None)
    return verdict and figures(rows, verdict["found"], verdict["sent"] - verdict["found"])


def run_naive(args):
    base = tempfile.mkdtemp(prefix="slr-naive-")
    recorder_cpu, generator_cpu = capacity.cores()
    with contextlib.closing(capacity.network(args.net)) as net:
        argv = capacity.pinned([f"{args.bin}/naive-recorder", net.recorder_ip, str(PORT), str(args.calls * 2), base],
                               recorder_cpu)
        argv = ["chrt", "-r", "1", *argv] if args.realtime else argv
        naive = subprocess.Popen(net.recorder(argv), stdout=subprocess.PIPE, text=True)
        try:
            if naive.stdout.readline() != "ready\n":
                return None
            load = [f"{args.bin}/slr-load", "--plain", f"{net.recorder_ip}:{PORT}", "--no-check", "--calls",
                    str(args.calls), "--seconds", str(args.seconds), "--pid", str(naive.pid), *net.send(args.send)]
            rows = parse(subprocess.run(net.generator(capacity.pinned(load, generator_cpu)), stdout=subprocess.PIPE,
                                        text=True, check=False).stdout)
            capacity.stop(naive)
            counted = parse(naive.stdout.read())
        finally:
            capacity.stop(naive)
            shutil.rmtree(base, ignore_errors=True)
    verdict = next((x for x in rows if "packets_sent" in x), None)
    if not verdict or not counted:
        return None
    found = counted[0]["packets"]
    return figures(rows, found, verdict["packets_sent"] - found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.path.join(capacity.SOURCE, "build", "release", "bin"))
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--capture", default="uring")
    parser.add_argument("--send", default="auto")
    parser.add_argument("--net", choices=("auto", "netns", "loopback"), default="auto")
    parser.add_argument("--realtime", action="store_true")
    args = parser.parse_args()
    best, lost = {}, {"slr": 0, "naive": 0}
    for _ in range(args.rounds):
        for name, run in (("slr", run_slr), ("naive", run_naive)):
            got = run(args)
            if not got:
                print(f"naive: {name} could not be run", file=sys.stderr)
                return 2
            lost[name] += got["lost"]
            if name not in best or got["cpu"] < best[name]["cpu"]:
                best[name] = got
    slr, naive = best["slr"], best["naive"]
    row = {"bench": f"naive/g711-dual/calls={args.calls}", "value": round(naive["cpu"] / max(slr["cpu"], 1e-9), 2),
           "unit": "times the CPU of slr that a naive recorder takes",
           "with_softirq": round((naive["cpu"] + naive["kernel"]) / max(slr["cpu"] + slr["kernel"], 1e-9), 2)}
    for name in ("slr", "naive"):
        row |= {f"{name}_cpu_ms_per_call_second": best[name]["cpu"],
                f"{name}_softirq_ms_per_call_second": best[name]["kernel"], f"{name}_lost": lost[name]}
    print(json.dumps(row | {"capture": args.capture, "rounds": args.rounds, "seconds": args.seconds}))
    return 1 if any(lost.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
