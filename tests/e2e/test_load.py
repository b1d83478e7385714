"""slr-load says the truth: all is well when it is, and what is wrong when something is."""
import json
import os
import subprocess

import pytest

from lib import procs, wait


@pytest.fixture
def engine():
    if procs.missing("slr", "slr-core", "slr-load"):
        pytest.skip(f"programs are not built in {procs.bin_dir()}")
    rig = procs.Rig(capture="uring")
    failed = True
    try:
        rig.start_engine()
        yield rig
        rig.core.terminate()
        rig.engine.terminate()
        rig.check()
        failed = False
    finally:
        rig.close(failed)


def start(rig, *args, sip=False):
    # the core answers 503 when the engine takes 500 ms: few at once, where sanitizers make it slow
    where = ["--sip", f"{rig.sip[0]}:{rig.sip[1]}", "--inflight", "3"] if sip else ["--seam", rig.control]
    return subprocess.Popen([procs.binary("slr-load"), *where, "--data", rig.data, "--state", rig.state,
                             "--pid", str(rig.engine.pid), *args],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(child):
    out, err = child.communicate(timeout=100)
    rows = [json.loads(line) for line in out.splitlines()]
    return child.returncode, {row["bench"].split("/")[1]: row for row in rows[1:]}, rows[0] if rows else {}, err


def load(rig, *args, sip=False):
    return finish(start(rig, *args, sip=sip))


def clean(verdict, err):
    assert verdict["ok"] and verdict["sent"] == verdict["found"] > 0, (verdict, err)
    assert not any(verdict[k] for k in ("lost", "misplaced", "leaked", "damaged", "missing", "refused")), verdict


@pytest.mark.parametrize("sip", [False, True], ids=["seam", "sip"])
def test_nothing_is_missing(engine, sip):
    if sip:
        engine.start_core()
    status, rows, verdict, err = load(engine, "--calls", "20", "--seconds", "2", sip=sip)
    clean(verdict, err)
    assert status == 0 and verdict["recordings"] == 20 and verdict["sent"] >= 20 * 2 * 50 * 2
    assert rows["cpu"]["cpu_ms"] >= 0 and rows["memory"]["rss_kib"] > 0 and rows["memory"]["state_kib"] > 0
    assert rows["late"]["count"] > 0 and rows["setup"]["count"] == 20
    if not sip:
        assert rows["counters"]["changed"]['slr_packets_total{verdict="taken"}'] > 0


def test_what_the_sender_does_to_packets_is_told_from_what_the_recorder_loses(engine):
    """Loss, bursts, reordering, copies, jitter, pauses, calls that come and go, several codecs, SRTP through SIP."""
    engine.start_core()
    status, _, verdict, err = load(engine, "--calls", "20", "--seconds", "4", "--churn", "5", "--profile", "bad",
                                   "--dtx", "--codec", "PCMA:3", "--codec", "PCMU:3", "--codec", "G722", "--codec",
                                   "opus", "--srtp", "AES_CM_128_HMAC_SHA1_80", "--rtcp", "--seed", "7", sip=True)
    clean(verdict, err)
    assert status == 0 and verdict["left_out"] > 20 and verdict["churned"] >= 10
    assert verdict["recordings"] == verdict["set_up"]
    # those that were to follow the last ones that ended may not have been set up any more
    assert 20 + verdict["churned"] - 3 <= verdict["set_up"] <= 20 + verdict["churned"]


def test_gcm_on_the_seam(engine):
    status, rows, verdict, err = load(engine, "--calls", "5", "--seconds", "1", "--srtp", "AEAD_AES_256_GCM")
    clean(verdict, err)
    assert status == 0 and rows["counters"]["changed"]["slr_srtp_packets_total"] >= 5 * 2 * 49


def test_the_highest_number_of_calls(engine):
    r = subprocess.run([procs.binary("slr-load"), "--seam", engine.control, "--data", engine.data, "--find-capacity",
                        "--calls", "4", "--max-calls", "10", "--seconds", "1", "--pid", str(engine.engine.pid)],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=100)
    rows = [json.loads(line) for line in r.stdout.splitlines()]
    last = rows[-1]
    tried = [row["calls"] for row in rows if "found" in row]
    assert last["bench"] == "load/capacity" and tried[0] == 4, r.stderr
    if last["limit"] != "generator":
        assert r.returncode == 0 and last["value"] == 10 and last["limit"] == "max-calls" and tried == [4, 8, 10]
    assert not engine.rec_files()


def test_a_changed_byte_in_one_file_is_found(engine):
    child = start(engine, "--calls", "5", "--seconds", "3")
    folder = os.path.join(engine.data, "rec", "open")

    def spoil():
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.path.getsize(path) > 20000:
                with open(path, "r+b") as f:
                    f.seek(10001)
                    byte = f.read(1)[0]
                    f.seek(10001)
                    f.write(bytes([byte ^ 0x21]))
                return True
        return False
    wait.until("a working file has sound in it", spoil, 10)
    status, _, verdict, err = finish(child)
    assert status == 1 and not verdict["ok"], (verdict, err)
    assert verdict["damaged"] == 1 and verdict["found"] == verdict["sent"] - 1 and verdict["leaked"] == 0


def test_no_recorder_is_no_verdict(tmp_path):
    if procs.missing("slr-load"):
        pytest.skip("slr-load is not built")
    r = subprocess.run([procs.binary("slr-load"), "--seam", str(tmp_path / "none"), "--data", str(tmp_path)],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=20)
    assert r.returncode == 2 and "reached" in r.stderr and r.stdout == ""
