"""A disk that can be made to stand still: ext4 in a file in memory, mounted by a loop device, frozen
and thawed by fsfreeze. While it is frozen every write to it hangs, as on a disk or a mount that does
not answer. Needs root. Used by capacity.py and the tests."""
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time


class Disk:
    """Mounted at `path` until close()."""

    def __init__(self, megabytes, folder="/dev/shm"):
        self.image = tempfile.mktemp(prefix="slr-disk-", dir=folder)
        self.path = tempfile.mkdtemp(prefix="slr-disk-")
        self.mounted = self.frozen = False
        try:
            with open(self.image, "wb") as f:
                f.truncate(megabytes << 20)
            self._run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.image)
            self._run("mount", "-o", "loop", self.image, self.path)
            self.mounted = True
        except (OSError, subprocess.CalledProcessError):
            self.close()
            raise

    @staticmethod
    def _run(*argv):
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def freeze(self):
        self._run("fsfreeze", "-f", self.path)
        self.frozen = True

    def thaw(self):
        if self.frozen:
            self._run("fsfreeze", "-u", self.path)
            self.frozen = False

    def close(self):
        self.thaw()
        if self.mounted:
            self._run("umount", self.path)
            self.mounted = False
        shutil.rmtree(self.path, ignore_errors=True)
        if os.path.exists(self.image):
            os.unlink(self.image)


def disk(megabytes):
    """None where this machine can't."""
    try:
        return Disk(megabytes) if os.geteuid() == 0 else None
    except (OSError, subprocess.CalledProcessError):
        return None


def stats(seam):
    """The engine's figures, as the seam gives them (docs/seam.md)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(5)
        s.connect(seam)
        frames, buffer = {}, b""
        for n, cmd in enumerate(({"cmd": "hello", "core": "stalling", "proto": 1, "resume_after": 1 << 60},
                                 {"cmd": "stats"})):
            raw = json.dumps({**cmd, "id": f"stalling-{time.monotonic_ns()}-{n}", "epoch": 1}).encode()
            s.sendall(struct.pack(">I", len(raw)) + raw)
            while n not in frames:
                while len(buffer) < 4 or len(buffer) < 4 + struct.unpack_from(">I", buffer)[0]:
                    buffer += s.recv(65536)
                size = struct.unpack_from(">I", buffer)[0]
                frame, buffer = json.loads(buffer[4:4 + size]), buffer[4 + size:]
                if "re" in frame:
                    frames[n] = frame
        return frames[1]


class Stall(threading.Thread):
    """After `after_s` the disk stands still for `seconds`; what the engine says meanwhile is kept."""

    def __init__(self, one, seam, after_s, seconds):
        super().__init__(name="stall", daemon=True)
        self.disk, self.seam, self.after_s, self.seconds = one, seam, after_s, seconds
        self.over = threading.Event()
        self.row = {"bench": "load/stall", "stalled_s": 0}
        self.seen = []

    def run(self):
        if self.over.wait(self.after_s):
            return
        self.row["budget_before_s"] = round(stats(self.seam)["stall_budget_s"], 1)
        self.disk.freeze()
        began = time.monotonic()
        try:
            while time.monotonic() - began < self.seconds and not self.over.wait(0.5):
                self.seen.append(stats(self.seam))
        finally:
            self.disk.thaw()
            self.row["stalled_s"] = round(time.monotonic() - began, 1)

    def finish(self):
        """The row."""
        self.over.set()
        self.join(30)
        if self.seen:
            self.row["budget_least_s"] = round(min(s["stall_budget_s"] for s in self.seen), 1)
            self.row["streams"] = max(s["streams_used"] for s in self.seen)
            self.row["refused"] = any(s["refusing"] == "storage" for s in self.seen)
            self.row["second_volume"] = any(s["counters"]["slr_storage_second_in_use"] for s in self.seen)
        return self.row
