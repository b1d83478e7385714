"""Both programs under ThreadSanitizer (make soak): calls that are paused, resumed, held and stopped
while the API, the seam and the sniffer are read by many at once, the engine killed and restored.
Any report of the sanitizer fails the test; there are suppressions (tests/tsan.supp) for libraries
only. SLR_TSAN_BIN_DIR names another build, SLR_TSAN_SECONDS how long each backend runs."""
import http.client
import os
import random
import socket
import threading
import time

import pytest

from lib import hep, procs, seam, wait
from lib.call import Call

BIN = os.environ.get("SLR_TSAN_BIN_DIR") or os.path.join(procs.SOURCE, "build", "tsan", "bin")
SECONDS = float(os.environ.get("SLR_TSAN_SECONDS") or 60)
SUPP = os.path.join(procs.SOURCE, "tests", "tsan.supp")
NOT_UP = (OSError, http.client.HTTPException, AssertionError, EOFError, KeyError, ValueError, seam.SeamError)


@pytest.fixture(autouse=True)
def tsan_build(monkeypatch):
    if not all(os.access(os.path.join(BIN, n), os.X_OK) for n in ("slr", "slr-core")):
        pytest.skip(f"no ThreadSanitizer build in {BIN}: cmake --preset tsan && cmake --build --preset tsan")
    monkeypatch.setenv("SLR_BIN_DIR", BIN)
    monkeypatch.setenv("TSAN_OPTIONS", f"suppressions={SUPP} history_size=5 second_deadlock_stack=1")


class Crowd:
    """Threads that repeat something until the end; what a restart breaks is no matter here."""

    def __init__(self):
        self.over = threading.Event()
        self.threads = []
        self.turns = {}

    def add(self, name, work):
        def loop():
            while not self.over.is_set():
                try:
                    work()
                    self.turns[name] = self.turns.get(name, 0) + 1
                except NOT_UP:
                    self.over.wait(0.1)
        self.threads.append(threading.Thread(target=loop, name=name))

    def start(self):
        for t in self.threads:
            t.start()

    def end(self):
        self.over.set()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive(), f"{t.name} hangs"


def read_http(rig, rng):
    for path in ("/v1/status", "/v1/calls", "/v1/recordings?limit=20", "/metrics", "/v1/openapi.json"):
        rig.api.request("GET", path)
    page = rig.api.get("/v1/recordings?limit=20").json()["recordings"]
    if page:
        r = rng.choice(page)
        for part in ("", "/ledger", "/media"):
            rig.api.request("GET", f"/v1/recordings/{r['id']}{part}")


def delete_some(rig, rng):
    page = rig.api.get("/v1/recordings?limit=50").json()["recordings"]
    if page:
        rig.api.request("DELETE", f"/v1/recordings/{rng.choice(page)['id']}")
    time.sleep(0.3)


def read_sniffer(rig, name):
    r = hep.Reader(rig.sniffer, name)
    try:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            p = r.next(0.5)
            if p is not None and p.payload_type != 1 and p.payload[:1] == b"{":
                r.ack(p.json().get("n", 0))
    finally:
        r.close()


def read_seam(rig):
    """Beside the core, under its epoch: what changes nothing."""
    s = seam.Seam(rig.control, hello=False)
    try:
        try:
            s.ask("hello", epoch=0, core="watch", proto=1, resume_after=0)
        except seam.SeamError as e:
            s.ask("hello", epoch=e.answer["owner_epoch"], core="watch", proto=1, resume_after=0)
        for cmd in ("snapshot", "stats") * 10:
            s.ask(cmd)
    finally:
        s.sock.shutdown(socket.SHUT_RDWR)  # its reading thread sees the end and closes nothing early


def one_call(rig, rng):
    """A call with everything that changes a running session."""
    with Call(rig, transport=rng.choice(("udp", "tcp"))) as c:
        c.invite_all()
        seconds = rng.uniform(1.0, 3.0)
        c.play(0, seconds, digits=rng.choice(("", "", "12#"))), c.play(1, seconds, loss=0.02)
        c.start()
        time.sleep(rng.uniform(0.2, 0.8))
        ident = (c.live() or {}).get("id")
        for verb in rng.choice(((), ("pause", "resume"), ("pause",), ("stop",))):
            rig.api.request("POST", f"/v1/calls/{ident}/{verb}")
            time.sleep(rng.uniform(0.05, 0.4))
        if rng.random() < 0.5:
            for direction in ("inactive", "sendonly"):
                c.reinvite(0, direction)
                time.sleep(0.1)
        if rng.random() < 0.9:
            c.join()
            c.bye()


def restarts(rig, rng, until):
    """Kills and clean ends, while calls run."""
    while time.monotonic() < until:
        time.sleep(rng.uniform(4, 8))
        for p in rng.choice(((rig.engine,), (rig.core,), (rig.engine, rig.core))):
            (p.kill9 if rng.random() < 0.5 else p.terminate)()
            p.start()
        rig.wait_engine(60)
        rig.wait_core(60)


@pytest.mark.parametrize("backend", ["socket", "uring"])
def test_no_data_race(rigs, backend):
    rng = random.Random(int(os.environ.get("SLR_SEED") or 1))
    rig = rigs(capture=backend, engine_args=("--workers", "2", "--writers", "2", "-S", "200", "-t", "1",
                                             "--hep-send", "udp:127.0.0.1:9", "--hep-send", "tcp:127.0.0.1:9"))
    rig.start_engine(timeout_s=60)
    rig.start_core(timeout_s=60)
    crowd = Crowd()
    for i in range(3):
        crowd.add(f"http{i}", lambda: read_http(rig, rng))
        crowd.add(f"call{i}", lambda: one_call(rig, rng))
    for i in range(2):
        crowd.add(f"sniffer{i}", lambda i=i: read_sniffer(rig, f"reader{i}"))
    crowd.add("seam", lambda: read_seam(rig))
    crowd.add("delete", lambda: delete_some(rig, rng))
    crowd.start()
    try:
        restarts(rig, rng, time.monotonic() + SECONDS)
    finally:
        crowd.end()
    print(crowd.turns)
    for what in ("http0", "call0", "sniffer0", "seam", "delete"):
        assert crowd.turns.get(what), f"{what} never got through: {crowd.turns}"
    wait.until("the engine answers", lambda: rig.api.status()["engine"]["connected"], 60)
    rig.check()
