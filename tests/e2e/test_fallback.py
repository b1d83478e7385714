"""Where io_uring is refused the engine goes on with the socket backend, by itself and saying so."""
import os

import pytest

from lib import procs, seam, seccomp, wait, wav
from lib.call import Call


def test_uring_refused_records_all_the_same(rigs):
    rig = rigs(capture="uring")
    rig.engine.preexec = seccomp.refuse_io_uring
    log = one_call(rig)
    assert "socket" in log and any("uring" in x and ("WARN" in x or "INFO" in x) for x in log.splitlines()[1:])


def test_shared_records(rigs):
    log = one_call(rigs(capture="shared"))
    assert "capture_fallback" not in log, "this machine refuses it"


def test_shared_refused_takes_uring(rigs):
    rig = rigs(capture="shared")
    rig.engine.preexec = seccomp.refuse_bpf
    log = one_call(rig)
    assert "capture_fallback refused=shared using=uring" in log and "using=socket" not in log


def test_xdp_records(rigs):
    rig = rigs(capture="xdp")
    log = one_call(rig)
    assert "capture_fallback" not in log and "capture_attached backend=xdp interface=lo mode=skb" in log
    core = seam.Seam(rig.control)
    taken = core.ask("stats")["capture"]
    core.close()
    assert taken["by_ring"] > 80 and taken["packets"] <= taken["by_ring"] + 20, taken


def test_xdp_refused_takes_uring(rigs):
    rig = rigs(capture="xdp")
    rig.engine.preexec = seccomp.refuse_bpf
    log = one_call(rig)
    assert "capture_fallback refused=xdp using=uring" in log and "using=socket" not in log


def one_call(rig):
    """A recorded call, checked sample by sample; the engine's log."""
    rig.start()
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 1, start_s=0.1), c.play(1, 1, start_s=0.1)
        c.run()
        c.bye()
        _, w, led = c.result()
        c.verify(0, w, led), c.verify(1, w, led)
    return rig.engine.log()


def test_run_demo_makes_a_first_recording(tmp_path):
    """What `make run ONCE=1` does, also where io_uring is refused."""
    if procs.missing("slr", "slr-core", "slrctl"):
        pytest.skip(f"not built: {procs.missing('slr', 'slr-core', 'slrctl')}")
    p = procs.Proc("slrctl run", [procs.binary("slrctl"), "run", "--demo", "--once", "--data", str(tmp_path / "data")],
                   str(tmp_path / "run.log"))
    p.preexec = seccomp.refuse_io_uring
    p.start()
    try:
        wait.until("the demo ends", lambda: not p.alive(), 60)
        assert p.child.returncode == 0, p.tail(100)
        waves = [os.path.join(r, n) for r, _, names in os.walk(tmp_path / "data") for n in names if n.endswith(".wav")]
        assert len(waves) == 1, p.tail(100)
        w = wav.load(waves[0])
        assert w.channels == 2 and w.frames > 8000
        assert not wav.is_silence(w, w.channel(0)) and not wav.is_silence(w, w.channel(1))
        assert os.path.basename(waves[0]) in p.log() or waves[0] in p.log(), "it does not say where the recording is"
    finally:
        if p.alive():
            p.kill9()
