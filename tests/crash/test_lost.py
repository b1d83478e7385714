"""What lies in the recorder's folders is lost or damaged: a recorder that runs goes on with the next call."""
import os
import time

import pytest

from lib import wait
from lib.call import Call, fetch


@pytest.fixture
def rig(rigs):
    return rigs(capture="socket").start()


def core_files(rig):
    folder = os.path.join(rig.data, "core")
    return [os.path.join(folder, n) for n in os.listdir(folder) if n.startswith("core.db")]


def record_one(rig):
    """A call from its first INVITE to its sealed recording, each sample at its place."""
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 1), c.play(1, 1)
        c.run()
        c.bye()
        entry, w, led = c.result()
        c.verify(0, w, led), c.verify(1, w, led)
        return entry


def test_database_lost(rig):
    """The new database begins with the first epoch again. The engine remembers what it answered in
    that epoch: nothing of it may be taken for an answer to a new command."""
    with Call(rig) as old:
        old.invite_all()
        old.play(0, 1), old.play(1, 1)
        old.run()
        rig.core.kill9()
        for path in core_files(rig):
            os.unlink(path)
        rig.start_core()
        assert old.entry()["state"] == "orphan"
        assert record_one(rig)["state"] == "sealed"


def test_state_lost(rig):
    """After a loss of power the state folder, which lies in memory, is empty. What was on the disk
    becomes a recording with the parties that the core knows."""
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 4), c.play(1, 4)
        c.start()
        wait.until("3 s of media", lambda: time.monotonic() >= c.sender.start_mono + 3)
        rig.core.kill9()
        rig.engine.kill9()
        for name in os.listdir(rig.state):
            os.unlink(os.path.join(rig.state, name))
        c.sender.stop()
        rig.start()
        entry, w, led = fetch(rig, c.entry()["id"])
        assert entry["state"] == "partial" and entry["end_reason"] == "state-lost"
        assert entry["call"] and entry["dns"] == c.dns and os.listdir(os.path.join(rig.data, "rec", "open")) == []
        # window, block and writer's nap may be gone; the rest is at its place
        there = [n for n in range(75) if c.plans[0].sent[n].payload in w.channel(0)]
        assert there == list(range(75)), f"{len(there)} of 75 packets, {w.frames} frames"
        assert led.length == w.frames * 1764
        assert record_one(rig)["state"] == "sealed"


def test_engine_is_told_to_end_in_a_call(rig):
    """SIGTERM seals what runs. The platform gets its BYEs, and the catalogue has the recording for good."""
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 2), c.play(1, 2)
        c.start()
        wait.until("1 s of media", lambda: time.monotonic() >= c.sender.start_mono + 1)
        rig.engine.terminate()
        rig.start_engine().wait_core()
        wait.until("BYE on both dialogs", lambda: c.dialogs[0].byed() and c.dialogs[1].byed(), 5)
        c.sender.stop()
        assert record_one(rig)["state"] == "sealed"  # whatever was to be stored of the first one is stored
        assert c.entry()["end_reason"] == "shutdown"
