#!/usr/bin/python3
"""Does encoding disturb calls? A backlog of recordings is made that are to become Opus (all of it put off), the
engine is killed, and the next one records as many calls again in plain WAV, with some of them ending and new ones
beginning all the time, while it works the backlog off. Every packet is looked for in the files. Prints one JSON line;
exit status 1 where a packet is lost or misplaced, or nothing was encoded meanwhile.

    bench/encode_beside.py --bin build/release/bin --calls 150 --seconds 25
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time


def engine(where, folder, *args):
    log = open(f"{folder}/slr.log", "ab")
    p = subprocess.Popen([f"{where}/slr", "-S", "4000", "-w", "0", "--control", f"{folder}/control", "--data",
                          f"{folder}/data", "--state", f"{folder}/state", "--opus-complexity", "10", *args],
                         stdout=log, stderr=log)
    end = time.monotonic() + 20
    while not os.path.exists(f"{folder}/control") or b"slr_ready" not in open(f"{folder}/slr.log", "rb").read():
        if p.poll() is not None or time.monotonic() > end:
            sys.exit(f"slr does not start, see {folder}/slr.log")
        time.sleep(0.05)
    return p


def load(where, folder, calls, seconds, *args):
    r = subprocess.run([f"{where}/slr-load", "--seam", f"{folder}/control", "-d", f"{folder}/data", "-n", str(calls),
                        "-t", str(seconds), *args], stdout=subprocess.PIPE, text=True, check=False)
    return {row["bench"].split("/g711")[0]: row for row in map(json.loads, r.stdout.splitlines())}


def waiting(folder):
    return sum(n.endswith(".wav") for n in os.listdir(f"{folder}/data/rec/encode"))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--bin", default=os.path.join(os.path.dirname(__file__), "../build/release/bin"))
    p.add_argument("--calls", type=int, default=150)
    p.add_argument("--seconds", type=int, default=25)
    p.add_argument("--idle", action="store_true", help="nothing is encoded, to compare with")
    o = p.parse_args()
    folder = tempfile.mkdtemp(prefix="slr-bench-")
    slr = engine(o.bin, folder, "--format", "opus", "--encode-load", "0")
    try:
        load(o.bin, folder, o.calls, o.seconds, "--no-check")
        end = time.monotonic() + 60
        while waiting(folder) < o.calls and time.monotonic() < end:
            time.sleep(0.1)
        before = waiting(folder)
        slr.kill()
        slr.wait()
        os.rename(f"{folder}/slr.log", f"{folder}/slr-1.log")
        slr = engine(o.bin, folder, "--encode-load", "0" if o.idle else "100")
        rows = load(o.bin, folder, o.calls, o.seconds, "--churn", "10", "-p", str(slr.pid))
        after = waiting(folder)
    finally:
        slr.kill()
        slr.wait()
    row, cpu = rows["load"], rows["load/cpu/slr"]
    out = {"bench": f"encode/beside/calls={o.calls},seconds={o.seconds}", "sent": row["sent"], "found": row["found"],
           "lost": row["lost"], "misplaced": row["misplaced"], "leaked": row["leaked"], "recordings": row["recordings"],
           "backlog": before, "encoded": before - after, "cpu_ms": cpu["threads_ms"],
           "setup_p99_ms": rows["load/setup"]["value"], "ok": row["ok"] and (after < before) != o.idle}
    print(json.dumps(out))
    shutil.rmtree(folder, ignore_errors=True)
    return 0 if out["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
