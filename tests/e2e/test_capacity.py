"""Many calls at once: every packet that was sent is at its place in its own recording. The full run
(500 calls, 60 s) is `make bench`; SLR_CAPACITY_CALLS and SLR_CAPACITY_SECONDS change this one."""
import json
import os
import subprocess

import pytest

from lib import procs

SOURCE = os.environ.get("SLR_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def run(*args):
    if procs.missing("slr", "slr-core", "slr-load"):
        pytest.skip(f"programs are not built in {procs.bin_dir()}")
    calls = os.environ.get("SLR_CAPACITY_CALLS", "40")
    seconds = os.environ.get("SLR_CAPACITY_SECONDS", "4")
    r = subprocess.run([os.path.join(SOURCE, "bench", "capacity.py"), "--bin", procs.bin_dir(), "--calls", calls,
                        "--seconds", seconds, *args],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    rows = [json.loads(line) for line in r.stdout.splitlines() if line.startswith("{")]
    verdicts = [row for row in rows if "found" in row]
    assert verdicts, r.stderr[-3000:]
    for row in verdicts:
        assert r.returncode == 0 and row["ok"], (row, r.stderr[-3000:])
        assert row["found"] == row["sent"] >= int(calls) * 2 * int(seconds) * 50
        assert row["lost"] == row["misplaced"] == row["leaked"] == row["damaged"] == 0
    return rows


@pytest.mark.parametrize("capture", ["uring", "socket"])
def test_calls_at_once_lose_nothing(capture):
    assert run("--capture", capture, "--net", "loopback")[0]["net"] == "loopback"


def test_namespaces_and_where_the_kernel_receives():
    """Recorder and generator in a namespace each; every figure twice."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    rows = run("--net", "netns", "--steer", "both", "--setup", "seam", "--churn", "2")
    assert [r["receive_work"] for r in rows if r["bench"] == "load/environment"] == ["sender", "recorder"]
    assert len([r for r in rows if r["bench"].startswith("load/cpu/slr/")]) == 2
    left = subprocess.run(["ip", "netns"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "slr-rec-" not in left and "slr-gen-" not in left


@pytest.mark.parametrize("how", ["live", "live-in"])
def test_frames_made_in_the_kernel(how):
    """Every kind of packet at its place: what BPF sends is what the sender wrote, whatever its length."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    rows = run("--net", "netns", "--setup", "seam", "--send", how, "--", "--rtcp", "--srtp", "AEAD_AES_256_GCM")
    assert [r["send_errors"] for r in rows if "found" in r] == [0]
    rows = run("--net", "netns", "--setup", "seam", "--send", how, "--", "--profile", "wan")
    assert [r["send_errors"] for r in rows if "found" in r] == [0]


@pytest.mark.parametrize("setup", ["seam", "none"])
def test_calls_that_are_only_watched(setup):
    """Frames between others on the recorder's link; the seam names their addresses, or nobody does."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    rows = run("--net", "netns", "--setup", setup, "--send", "live-in", "--capture", "packet", "--", "--rtcp",
               "--profile", "lan")
    verdict, = [r for r in rows if "found" in r]
    assert verdict["recordings"] == 40 and verdict["unpaired"] == verdict["foreign"] == 0


def test_beside_a_naive_recorder():
    """Both record the same load by turns; the row has the figures of both."""
    if procs.missing("slr", "slr-load", "naive-recorder"):
        pytest.skip("not built")
    r = subprocess.run([os.path.join(SOURCE, "bench", "naive.py"), "--bin", procs.bin_dir(), "--calls", "20", "--seconds",
                        "2", "--rounds", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                       timeout=120)
    assert r.returncode == 0, r.stderr[-3000:]
    row = json.loads(r.stdout)
    assert row["bench"] == "naive/g711-dual/calls=20" and row["slr_lost"] == row["naive_lost"] == 0
    assert row["slr_cpu_ms_per_call_second"] >= 0 and row["naive_cpu_ms_per_call_second"] > 0


def test_plain_needs_room_for_its_ports():
    if procs.missing("slr-load"):
        pytest.skip("not built")
    for words in (["127.0.0.1:65000"], ["127.0.0.1"], ["[::1]:4000"], ["127.0.0.1:4000", "--churn", "1"]):
        r = subprocess.run([procs.binary("slr-load"), "--no-check", "--calls", "200", "--plain", *words],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=20)
        assert r.returncode == 2 and "--plain" in r.stderr and r.stdout == "", (words, r.stderr)
