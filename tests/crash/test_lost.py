"""What lies in the recorder's folders is lost or damaged: a recorder that runs goes on with the next call."""
import os

import pytest

from lib.call import Call


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
