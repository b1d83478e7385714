#!/usr/bin/python3
"""A capacity run: N dual-channel calls at once through SIP and RTP on loopback.

Starts `slr` and `slr-core` with directories and ports of their own, runs `slr-load` against them and
ends them. Prints slr-load's JSON lines; exit status is its verdict (0: every packet that was sent is
at its place in a recording, nothing else is).

  bench/capacity.py [--bin DIR] [--calls 500] [--seconds 60] [--capture uring|socket]
                    [--setup sip|seam] [-- more options of slr-load]

CPU time is of the processes (utime + stime). On loopback the kernel's receive work falls on the
sender's core, so it is not in the figure of `slr`.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def wait_for(what, check, timeout_s):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.05)
    sys.exit(f"capacity: {what} did not happen in {timeout_s} s")


def ports_of(data):
    try:
        with open(os.path.join(data, "core", "ports.json"), encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        return None


def stop(process):
    if process and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def start_core(args, data, seam, log):
    """The control plane, ready for calls."""
    core = subprocess.Popen([f"{args.bin}/slr-core", "--engine", seam, "--data", data, "--sip-udp", "127.0.0.1:0",
                             "--sip-tcp", "127.0.0.1:0", "--http", "127.0.0.1:0"], stdout=log, stderr=log)
    ports = wait_for("the core's start", lambda: ports_of(data), 10)
    time.sleep(0.5)  # the seam connects within 200 ms; a 503 would end the run
    return core, ports["sip_udp"]


def run(args, base, state):
    data = os.path.join(base, "data")
    seam = os.path.join(base, "seam")
    log = open(os.path.join(base, "log"), "w", encoding="utf-8")
    streams = str(args.calls * 2 + 16)
    slr = core = None
    try:
        slr = subprocess.Popen([f"{args.bin}/slr", "--control", seam, "--data", data, "--state", state, "-S", streams,
                                "-w", "0", "--media-ports", "20000-59999", "--capture", args.capture],
                               stdout=log, stderr=log)
        wait_for("the engine's socket", lambda: os.path.exists(seam), 10)
        load = [f"{args.bin}/slr-load", "--data", data, "--state", state, "--calls", str(args.calls),
                "--seconds", str(args.seconds), "--pid", str(slr.pid)]
        if args.setup == "sip":
            core, port = start_core(args, data, seam, log)
            load += ["--sip", f"127.0.0.1:{port}", "--pid", str(core.pid)]
        else:
            load += ["--seam", seam]
        return subprocess.run(load + args.more, check=False).returncode
    finally:
        stop(core)
        stop(slr)
        log.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.path.join(SOURCE, "build", "release", "bin"))
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--capture", default="uring")
    parser.add_argument("--setup", choices=("sip", "seam"), default="sip")
    parser.add_argument("more", nargs="*", help="after --: options of slr-load")
    args = parser.parse_args()
    base = tempfile.mkdtemp(prefix="slr-capacity-")
    state = tempfile.mkdtemp(prefix="slr-capacity-", dir="/dev/shm")
    try:
        status = run(args, base, state)
        if status != 0:
            with open(os.path.join(base, "log"), encoding="utf-8") as f:
                sys.stderr.write(f.read()[-4000:])
        return status
    finally:
        shutil.rmtree(base, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
