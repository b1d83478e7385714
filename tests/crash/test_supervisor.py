"""The small supervisor of `slrctl run`: a killed process is back within 2 s, the call goes on."""
import os
import re
import signal
import time

import pytest

from lib import procs, wait
from lib.call import Call


def children(pid):
    """{program name: pid} of a process's children."""
    out = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as f:
                    m = re.match(r"\d+ \((.*)\) (\S) (\d+)", f.read())
            except OSError:
                continue
            if m and int(m.group(3)) == pid and m.group(2) != "Z":
                out[m.group(1)] = int(entry)
    return out


def test_supervisor_restarts_both_and_the_call_goes_on(rigs):
    rig = rigs()
    if procs.missing("slrctl"):
        pytest.skip("slrctl is not built")
    p = procs.Proc("slrctl run", [procs.binary("slrctl"), "run", "--data", rig.data, "--sip", f"{rig.sip[0]}:{rig.sip[1]}",
                                  "--http", f"{rig.http[0]}:{rig.http[1]}"], os.path.join(rig.dir, "run.log")).start()
    try:
        wait.until("the recorder is up", lambda: rig.api.status()["engine"].get("connected"), 15)
        assert set(children(p.pid)) == {"slr", "slr-core"}
        with Call(rig) as c:
            c.invite_all()
            c.play(0, 6), c.play(1, 6)
            c.start()
            for name in ("slr", "slr-core"):
                wait.until("some media", lambda: time.monotonic() > c.sender.start_mono + (1 if name == "slr" else 3), 6)
                old = children(p.pid)[name]
                os.kill(old, signal.SIGKILL)
                t = time.monotonic()
                wait.until(f"{name} is back", lambda: children(p.pid).get(name, old) != old, 2.5)
                if name == "slr":
                    wait.until("the engine is joined", lambda: rig.api.status()["engine"].get("connected"), 3)
                assert time.monotonic() - t < 3
            c.join()
            c.bye(retransmit=True)
            entry, w, led = c.result()
            for i in (0, 1):
                leg = led.leg(dn=c.dns[i])
                assert leg.count("packets") >= 300 - 2 * 50 - 5
                chan = w.channel(leg.channel)
                assert c.plans[i].sent[0].payload in chan and c.plans[i].sent[-1].payload in chan
        mine = children(p.pid)
        assert p.terminate(20) == 0
        for pid in mine.values():
            wait.until("no child is left behind", lambda pid=pid: not os.path.exists(f"/proc/{pid}"), 5)
    finally:
        if p.alive():
            p.kill9()
        print(p.tail(60))


@pytest.mark.parametrize("args,name", [(["--engine-args", "-S 0"], "slr"), (["--media-ip", "telepathy"], "slr"),
                                       (["--core-args", "--sip-allow 10.0.0.0/33"], "slr-core")])
def test_options_that_cannot_be_right_end_it(rigs, args, name):
    """Nothing is tried again and again that its own options keep from starting."""
    if procs.missing("slrctl"):
        pytest.skip("slrctl is not built")
    r = procs.run([procs.binary("slrctl"), "run", "--data", rigs().data, "--sip", "127.0.0.1:0", "--http", "127.0.0.1:0",
                   *args], 20, ok=None)
    assert r.returncode == 1 and f"{name} cannot start with these options" in r.stderr, r.stderr
    assert "starts again" not in r.stderr, r.stderr
