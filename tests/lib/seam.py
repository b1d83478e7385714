"""A client of the seam (docs/seam.md): a core of our own, to drive the engine alone."""
import itertools
import json
import os
import socket
import struct
import threading
import time

from . import wait


class SeamError(RuntimeError):
    def __init__(self, answer):
        super().__init__(json.dumps(answer))
        self.answer, self.err = answer, answer.get("err")


def connect(path, timeout_s=5):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(timeout_s)
    s.connect(path)
    return s


class Seam:
    """Connects, says hello and gathers events in a thread."""

    def __init__(self, path, resume_after=0, epoch=1, name="test-core", hello=True):
        self.sock = connect(path)
        self.epoch = epoch
        self.events = []
        self.answers = {}
        self.closed = False
        self._ids = (f"{os.getpid()}-{time.monotonic_ns()}-{i}" for i in itertools.count())
        self._cond = threading.Condition()
        threading.Thread(target=self._read, name="seam", daemon=True).start()
        self.hello = None
        if hello:
            self.hello = self.ask("hello", core=name, proto=1, resume_after=resume_after)

    def _read(self):
        self.sock.settimeout(None)
        buffer = b""
        try:
            while True:
                more = self.sock.recv(65536)
                if not more:
                    break
                buffer += more
                while len(buffer) >= 4:
                    n = struct.unpack_from(">I", buffer)[0]
                    if len(buffer) < 4 + n:
                        break
                    self._take(json.loads(buffer[4 : 4 + n]))
                    buffer = buffer[4 + n :]
        except OSError:
            pass
        with self._cond:
            self.closed = True
            self._cond.notify_all()

    def _take(self, frame):
        with self._cond:
            if "re" in frame:
                self.answers[frame["re"]] = frame
            else:
                self.events.append(frame)
            self._cond.notify_all()

    def send(self, frame):
        raw = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        self.sock.sendall(struct.pack(">I", len(raw)) + raw)

    def ask(self, cmd, timeout_s=5.0, cmd_id=None, epoch=None, **fields):
        """Sends a command and waits for its answer; SeamError when it is refused."""
        cmd_id = cmd_id or next(self._ids)
        self.send({"cmd": cmd, "id": cmd_id, "epoch": self.epoch if epoch is None else epoch, **fields})
        with self._cond:
            ok = self._cond.wait_for(lambda: cmd_id in self.answers or self.closed, timeout_s)
        assert ok and cmd_id in self.answers, f"no answer to {cmd} (closed: {self.closed})"
        answer = self.answers.pop(cmd_id)
        if not answer.get("ok"):
            raise SeamError(answer)
        return answer

    def event(self, ev, session=None, timeout_s=10.0, after=0):
        """The first event of that name (and session) with n > after."""
        def find():
            for e in self.events:
                if e["ev"] == ev and (session is None or e.get("session") == session) and e.get("n", 0) > after:
                    return e
            return None
        with self._cond:
            found = self._cond.wait_for(lambda: find() or self.closed, timeout_s)
        e = find()
        if not e:
            raise wait.Deadline(f"no event {ev} of {session} in {timeout_s} s (closed: {self.closed}, "
                                f"last: {self.events[-5:]}, {found})")
        return e

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
