"""A stand-in for the engine on the seam (docs/seam.md), for testing the control plane alone.

It keeps sessions and an event log in memory, which survive `down()` and `up()`, and can be told to
stay silent or to refuse. It has no media: every leg gets the next port number.
"""
import json
import os
import socket
import struct
import threading
import time


class FakeEngine:
    def __init__(self, path, streams_max=100, name="fake-engine", passive=False):
        self.path, self.streams_max, self.name, self.passive = path, streams_max, name, passive
        self.lock = threading.RLock()
        self.sessions, self.sealed, self.events, self.commands = {}, [], [], []
        self.acked = 0
        self.silent = set()  # commands that get no answer
        self.refuse = {}  # command -> error name
        self.owner_epoch = 0
        self.part_rows = 0  # snapshot rows in one frame; 0: all
        self.draining = False
        self.next_port = 20000
        self.epoch = 0
        self.conns = []
        self.listener = None

    # -- life
    def up(self):
        self.epoch += 1
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(8)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def down(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for c in self.conns:
                try:
                    c.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.conns = []

    def _accept(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        buffer = b""
        while True:
            try:
                more = conn.recv(65536)
            except OSError:
                more = b""
            if not more:
                with self.lock:
                    if conn in self.conns:
                        self.conns.remove(conn)
                conn.close()
                return
            buffer += more
            while len(buffer) >= 4:
                n = struct.unpack_from(">I", buffer)[0]
                if len(buffer) < 4 + n:
                    break
                with self.lock:
                    self._command(conn, json.loads(buffer[4 : 4 + n]))
                buffer = buffer[4 + n :]

    # -- sending
    @staticmethod
    def _send(conn, msg):
        raw = json.dumps(msg).encode()
        try:
            conn.sendall(struct.pack(">I", len(raw)) + raw)
        except OSError:
            pass

    def event(self, ev, **fields):
        with self.lock:
            fields.setdefault("wall_ns", time.time_ns())
            e = {"n": len(self.events) + 1, "ev": ev, "engine": self.name, "engine_epoch": self.epoch, **fields}
            self.events.append(e)
            for c in self.conns:
                self._send(c, e)
            return e["n"]

    def heard(self, session, ago_s=0.0, shape=None):
        """A leg of the session was heard; shape: the channels that its file has now."""
        s = self.sessions[session]
        if shape:
            s["shape"] = shape
        self.event("leg_heard", session=session, leg=next(iter(s["legs"])), ssrc=1, src="127.0.0.1:4000", pt=8,
                   wall_ns=time.time_ns() - int(ago_s * 1e9))

    # -- commands
    def _command(self, conn, m):
        cmd = m["cmd"]
        self.commands.append(m)
        if cmd in self.silent:
            return
        if cmd == "ack":
            self.acked = max(self.acked, m["n"])
            return
        if cmd not in ("snapshot", "stats"):
            if m.get("epoch", self.owner_epoch) < self.owner_epoch:
                self._send(conn, {"re": m["id"], "err": "STALE", "text": "fake", "owner_epoch": self.owner_epoch})
                return
            self.owner_epoch = m.get("epoch", self.owner_epoch)
        if cmd in self.refuse:
            self._send(conn, {"re": m["id"], "err": self.refuse[cmd], "text": "told to"})
            return
        err, answer, after = getattr(self, "_" + cmd)(m)
        if cmd == "snapshot" and self.part_rows:
            rows = answer["sessions"]
            while len(rows) > self.part_rows:
                self._send(conn, {"re": m["id"], "ok": True, "more": True, "sessions": rows[: self.part_rows]})
                rows = rows[self.part_rows :]
            answer = {"sessions": rows, "more": False}
        self._send(conn, {"re": m["id"], **({"err": err, "text": "fake"} if err else {"ok": True}), **(answer or {})})
        if cmd == "hello":
            for e in self.events[m["resume_after"] :]:
                self._send(conn, e)
            self.conns.append(conn)
        for ev, fields in after or ():
            self.event(ev, **fields)

    def _hello(self, m):
        return None, {"engine": self.name, "engine_epoch": self.epoch, "last": len(self.events),
                      "streams_max": self.streams_max, "streams_used": self._used(), "media_ips": ["127.0.0.1"],
                      "draining": self.draining, "passive": self.passive}, None

    def _used(self):
        return sum(s["reserve"] for s in self.sessions.values())

    def _session_open(self, m):
        if self.draining or self._used() + m["reserve"] > self.streams_max:
            return "FULL", None, None
        start = m.get("start_wall_ns", time.time_ns())
        self.sessions[m["session"]] = {"call": m["call"], "reserve": m["reserve"], "channels": m["channels"],
                                       "meta": m["meta"], "legs": {}, "paused": False, "start": start}
        return None, {"start_wall_ns": start}, [("session_open", {
            "session": m["session"], "call": m["call"], "meta": m["meta"], "start_wall_ns": start, "auto": False})]

    def _leg_open(self, m):
        s = self.sessions.get(m["session"])
        if not s:
            return "NOTFOUND", None, None
        if m["leg"] not in s["legs"] and m["channel"] >= s.get("shape", 8):
            return "CONFLICT", None, None
        leg = dict(m, port=self.next_port, open=True)
        self.next_port += 2
        s["legs"][m["leg"]] = leg
        if "passive" in m:
            return None, {}, None
        return None, {"ip": "127.0.0.1", "port": leg["port"], "rtcp_port": leg["port"] + 1}, None

    def _leg_update(self, m):
        s = self.sessions.get(m["session"])
        if not s or m["leg"] not in s["legs"]:
            return "NOTFOUND", None, None
        s["legs"][m["leg"]].update(m)
        return None, None, None

    def _leg_close(self, m):
        s = self.sessions.get(m["session"])
        if not s or m["leg"] not in s["legs"]:
            return "NOTFOUND", None, None
        s["legs"][m["leg"]]["open"] = False
        return None, None, None

    def _pause(self, m, paused):
        s = self.sessions.get(m["session"])
        if not s:
            return "NOTFOUND", None, None
        s["paused"] = paused
        return None, {"at_ticks": 42, "paused": paused}, [
            ("paused" if paused else "resumed", {"session": m["session"], "at_ticks": 42})]

    def _session_pause(self, m):
        return self._pause(m, True)

    def _session_resume(self, m):
        return self._pause(m, False)

    def _session_meta(self, m):
        if m["session"] not in self.sessions:
            return "NOTFOUND", None, None
        self.sessions[m["session"]]["meta"] = m["meta"]
        return None, None, None

    def _session_close(self, m):
        s = self.sessions.pop(m["session"], None)
        if not s:
            return "NOTFOUND", None, None
        s.update(session=m["session"], reason=m["reason"])
        self.sealed.append(s)
        legs = [{"leg": k, "dn": v["dn"], "channel": v["channel"], "packets": 0, "lost": 0, "duplicate": 0, "late": 0}
                for k, v in s["legs"].items()]
        return None, None, [("sealed", {
            "session": m["session"], "call": s["call"], "state": "orphan" if m["reason"] == "orphan" else "sealed",
            "file": m["session"] + ".wav", "ledger": m["session"] + ".json", "container": "wav", "mime": "audio/wav",
            "format": "pcma", "channels": s["channels"], "sample_hz": 8000, "frames": 0, "len_ms": 0, "bytes": 0,
            "media_hash": "", "start_wall_ns": s["start"], "end_wall_ns": time.time_ns(),
            "end_reason": m["reason"], "auto": False, "meta": s["meta"], "legs": legs})]

    def _recording_delete(self, m):
        return ("BUSY", None, None) if m["session"] in self.sessions else (
            None, {"removed": [m["session"] + ".wav"]}, [("deleted", {"session": m["session"]})])

    def _snapshot(self, m):
        return None, {"sessions": [
            {"session": k, "call": s["call"], "state": "open", "start_wall_ns": s["start"], "paused": s["paused"],
             "auto": False, "meta": s["meta"],
             "legs": [{"leg": i, "channel": v["channel"], "dn": v["dn"], "ip": "127.0.0.1", "port": v["port"],
                       "rtcp_port": v["port"] + 1, "heard": False, "hold": v.get("hold", False), "packets": 0,
                       "silent_ms": 0} for i, v in s["legs"].items() if v["open"]]}
            for k, s in self.sessions.items()]}, None

    def _stats(self, m):
        return None, {"streams_used": self._used(), "streams_max": self.streams_max, "sessions": len(self.sessions),
                      "draining": self.draining, "uptime_s": 1, "counters": {}, "backend": "fake",
                      "stall_budget_s": 10}, None

    def _drain(self, m):
        self.draining = m["on"]
        return None, None, None

    # -- looking
    def of(self, cmd):
        with self.lock:
            return [c for c in self.commands if c["cmd"] == cmd]
