"""The disk freezes for 10 s (fsfreeze on a loop mount): audio and signalling do not notice."""
import os
import shutil
import subprocess
import tempfile
import threading
import time

import pytest

from lib import ledger, netns, sip, wait
from lib.call import Call

FROZEN_S = 10


class LoopDisk:
    """An ext4 on a file, mounted in this process's own mount namespace."""

    def __init__(self, size_mb=200):
        self.dir = tempfile.mkdtemp(prefix="slr-disk-")
        self.image, self.mount = os.path.join(self.dir, "disk.img"), os.path.join(self.dir, "mnt")
        os.mkdir(self.mount)
        self.loop, self.frozen, self.mounted = None, False, False
        with open(self.image, "wb") as f:
            f.truncate(size_mb << 20)
        try:
            self._do("mkfs.ext4", "-q", "-F", self.image)
            self.loop = self._do("losetup", "-f", "--show", self.image).strip()
            self._do("mount", self.loop, self.mount)
            self.mounted = True
        except (subprocess.CalledProcessError, FileNotFoundError) as e:
            self.close()
            pytest.skip(f"no loop mount here: {e} {getattr(e, 'stderr', '')}")

    @staticmethod
    def _do(*argv):
        return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout

    def freeze(self):
        self._do("fsfreeze", "-f", self.mount)
        self.frozen = True

    def thaw(self):
        if self.frozen:
            self._do("fsfreeze", "-u", self.mount)
            self.frozen = False

    def close(self):
        try:
            self.thaw()
            if self.mounted:
                self._do("umount", "-l", self.mount)
            if self.loop:
                self._do("losetup", "-d", self.loop)
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def disk():
    if os.getuid() != 0 or not netns.mounts_private():
        pytest.skip("needs root and a mount namespace")
    d = LoopDisk()
    yield d
    d.close()


@pytest.fixture(params=["socket", "uring"])
def rig(request, rigs, disk):
    data = os.path.join(disk.mount, "data")
    os.mkdir(data)
    rig = rigs(capture=request.param, data=data).start()
    yield rig
    disk.thaw()


def within(limit_ms, what, function):
    """Runs function; it must give its answer in time. Returns the answer and the milliseconds."""
    t = time.monotonic()
    answer = function()
    ms = (time.monotonic() - t) * 1000
    assert ms <= limit_ms, f"{what} took {ms:.1f} ms, allowed {limit_ms}"
    return answer


def test_disk_frozen_for_ten_seconds(rig, disk):
    thaw_timer = threading.Timer(FROZEN_S + 8, disk.thaw)  # whatever fails, nothing stays frozen
    thaw_timer.daemon = True
    with Call(rig) as c, Call(rig) as ended, Call(rig) as new:
        c.invite_all(), ended.invite_all()
        c.play(0, FROZEN_S + 4), c.play(1, FROZEN_S + 4)
        ended.play(0, 4), ended.play(1, 4)
        ident = wait.until("the call is listed", c.live)["id"]
        c.start(), ended.start()
        at = lambda s: wait.until("media", lambda: time.monotonic() >= c.sender.start_mono + s, s + 5, 0.005)
        at(1.5)
        disk.freeze()
        thaw_timer.start()
        frozen = time.monotonic()
        news, slow = [], []
        n = 0
        while time.monotonic() - frozen < FROZEN_S:
            n += 1
            within(50, "OPTIONS", lambda: c.ua.options())
            assert within(50, "re-INVITE", lambda: c.reinvite(0)).status == 200
            if n % 10 == 3:
                t = time.monotonic()
                uri, headers = new.uri(0)
                _, r = new.ua.invite(uri.replace(new.name, f"NEW{n}"), new.offer(0), headers=[
                    h for h in headers if "GVP" not in h and "UUID" not in h])
                assert r.status in (200, 503) and time.monotonic() - t <= 0.6, (r.start, time.monotonic() - t)
                news.append(r.status)
            if n == 20:
                t = time.monotonic()
                a = rig.api.post(f"/v1/calls/{ident}/pause", timeout_s=2)
                slow.append(("pause", time.monotonic() - t))
                p0 = a.json()["at_ticks"]
            if n == 30:
                t = time.monotonic()
                p1 = rig.api.post(f"/v1/calls/{ident}/resume", timeout_s=2).json()["at_ticks"]
                slow.append(("resume", time.monotonic() - t))
            if n == 40:
                for d in ended.dialogs:
                    assert within(50, "BYE", lambda d=d: d.bye()).status == 200
            wait.until("next round", lambda: time.monotonic() >= frozen + n * 0.1, 2, 0.005)
        disk.thaw()
        thaw_timer.cancel()
        assert all(s <= 0.05 for _, s in slow) and len(slow) == 2, slow
        assert news
        c.join(), ended.join()
        c.bye()
        for call in (c, ended):
            _, w, led = call.result(timeout_s=20)
            for i in (0, 1):
                leg = led.leg(dn=call.dns[i])
                if call is c:
                    assert leg.count("packets") == len(call.plans[i].sent)
                assert leg.count("lost") == 0 and leg.total("lost-disk", "lost-queue", "lost-kernel") == 0
            if call is ended:
                continue
            a, b = ledger.samples(p0), ledger.samples(p1)
            for i in (0, 1):
                p = c.plans[i]
                leg = led.leg(dn=c.dns[i])
                kept = leg.count("placed")
                assert kept + leg.count("suppressed") == len(p.sent)
                chan = w.channel(leg.channel)
                out = [s for s in p.sent if s.payload not in chan]
                assert len(out) <= leg.count("suppressed"), "packets are missing beyond the paused ones"
            assert b > a


def test_disk_full_keeps_running_and_says_so(rigs, disk):
    """The volume fills up: clear alarm, signalling lives, and it records again when there is room."""
    data = os.path.join(disk.mount, "data")
    os.mkdir(data)
    rig = rigs(data=data).start()
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 4), c.play(1, 4)
        c.start()
        wait.until("the call is listed", c.live)
        filler = os.path.join(disk.mount, "filler")
        try:
            with open(filler, "wb") as f:
                while True:
                    f.write(bytes(1 << 20))
                    f.flush()
        except OSError:
            pass
        assert c.ua.options().status in (200, 503)
        wait.until("half the media", lambda: time.monotonic() >= c.sender.start_mono + 2, 5)
        os.unlink(filler)
        c.join()
        c.bye()
        _, w, led = c.result(timeout_s=25)
        c.verify(0, w, led), c.verify(1, w, led)
