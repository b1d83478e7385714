"""Many calls at once: every packet that was sent is at its place in its own recording. The full run
(500 calls, 60 s) is `make bench`; SLR_CAPACITY_CALLS and SLR_CAPACITY_SECONDS change this one."""
import json
import os
import subprocess

import pytest

from lib import procs

SOURCE = os.environ.get("SLR_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


@pytest.mark.parametrize("capture", ["uring", "socket"])
def test_calls_at_once_lose_nothing(capture):
    if procs.missing("slr", "slr-core", "slr-load"):
        pytest.skip(f"programs are not built in {procs.bin_dir()}")
    calls = os.environ.get("SLR_CAPACITY_CALLS", "50")
    seconds = os.environ.get("SLR_CAPACITY_SECONDS", "6")
    r = subprocess.run([os.path.join(SOURCE, "bench", "capacity.py"), "--bin", procs.bin_dir(), "--calls", calls,
                        "--seconds", seconds, "--capture", capture],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    rows = [json.loads(line) for line in r.stdout.splitlines() if line.startswith("{")]
    assert rows, r.stderr[-3000:]
    assert r.returncode == 0 and rows[0]["ok"], (rows[0], r.stderr[-3000:])
    assert rows[0]["found"] == rows[0]["sent"] >= int(calls) * 2 * int(seconds) * 50
    assert rows[0]["lost"] == rows[0]["misplaced"] == rows[0]["leaked"] == rows[0]["damaged"] == 0
