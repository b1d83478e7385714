#!/usr/bin/python3
"""What `slrctl import` costs: a capture of N calls with SIP and RTP in it, made into stereo WAV.

Writes a capture (G.711 A-law, 20 ms, both directions, all calls at once, begun within a second), runs
`slrctl import` on it and looks for each packet of each call in the recordings. Prints one JSON line a
case: processor seconds and the largest resident memory of slrctl and of all that it started, summed over
the processes. Exit status: 0 each packet is at its place, 1 not so.

  bench/import.py [--bin DIR] [--case CALLSxSECONDS]... [--keep]
"""
import argparse
import glob
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
T0_US = 1_700_000_000_000_000
PACKET = 160
A, B = bytes((10, 9, 0, 1)), bytes((10, 9, 0, 2))


def text_ip(ip):
    return ".".join(map(str, ip))


def frame(src, dst, sport, dport, payload):
    """Ethernet, IPv4 and UDP without checksums, which a capture may lack."""
    return (b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(payload), 1, 0, 64, 17, 0) +
            src + dst + struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload)


def sdp(ip, port):
    return (f"v=0\r\no=- 1 1 IN IP4 {text_ip(ip)}\r\ns=-\r\nc=IN IP4 {text_ip(ip)}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n").encode()


def message(start, call, cseq, to_tag="", body=b""):
    lines = [start, f"Via: SIP/2.0/UDP {text_ip(A)}:5060;branch=z9hG4bK{call}{cseq[0]}",
             f"From: <sip:1{call:05}@a>;tag=f{call}",
             f"To: <sip:2{call:05}@b>{to_tag and ';tag=' + to_tag}", f"Call-ID: import-{call}", f"CSeq: {cseq}",
             f"Contact: <sip:1{call:05}@{text_ip(A)}>"]
    lines += ["Content-Type: application/sdp"] if body else []
    return ("\r\n".join([*lines, f"Content-Length: {len(body)}"]) + "\r\n\r\n").encode() + body


class Call:
    """One call's frames by the packet's number."""

    def __init__(self, number, calls, seconds):
        rnd = random.Random(number)
        self.number, self.packets = number, seconds * 50
        self.begin_us = number * 1_000_000 // calls + rnd.randrange(1000)
        self.sound = [rnd.randbytes(self.packets * PACKET) for _ in range(2)]
        self.ssrc = [number * 2 + 1, number * 2 + 2]
        ports = 2048 + 4 * number, 2050 + 4 * number
        self.heads = []
        for i, (src, dst) in enumerate(((A, B), (B, A))):
            one = frame(src, dst, ports[i], ports[1 - i], bytes(12 + PACKET))
            self.heads.append(one[:42])
        self.ports = ports

    def rtp(self, way, i):
        head = struct.pack(">BBHII", 0x80, 8 | (0x80 if i == 0 else 0), i & 0xFFFF, i * PACKET, self.ssrc[way])
        return (self.heads[way] + head +
                self.sound[way][i * PACKET:(i + 1) * PACKET])

    def events(self):
        """(time_us, frame) of all but RTP."""
        n, at = self.number, self.begin_us
        end = at + 300_000 + self.packets * 20_000
        for t, out, raw in (
                (at, True, message(f"INVITE sip:2{n:05}@b SIP/2.0", n, "1 INVITE", body=sdp(A, self.ports[0]))),
                (at + 100_000, False, message("SIP/2.0 180 Ringing", n, "1 INVITE", "t")),
                (at + 200_000, False, message("SIP/2.0 200 OK", n, "1 INVITE", "t", sdp(B, self.ports[1]))),
                (at + 210_000, True, message(f"ACK sip:2{n:05}@b SIP/2.0", n, "1 ACK", "t")),
                (end, True, message(f"BYE sip:2{n:05}@b SIP/2.0", n, "2 BYE", "t")),
                (end + 10_000, False, message("SIP/2.0 200 OK", n, "2 BYE", "t"))):
            yield t, frame(*((A, B) if out else (B, A)), 5060, 5060, raw)


def write_capture(path, calls):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        events = sorted((e for c in calls for e in c.events()), key=lambda e: e[0])
        order = sorted((c.begin_us + 220_000 + way * 7_000, c.number, way) for c in calls for way in (0, 1))
        due, at = [], 0
        for i in range(calls[0].packets + 1 + 2 * 50):  # rounds of 20 ms: each stream has one packet in each
            for begin_us, number, way in order:
                t = begin_us // 20_000 * 20_000
                k = i - (t - order[0][0] // 20_000 * 20_000) // 20_000
                if 0 <= k < calls[number].packets:
                    due.append((begin_us + k * 20_000, number, way, k))
            due.sort()
            for t, number, way, k in due:
                while at < len(events) and events[at][0] <= t:
                    put(f, *events[at])
                    at += 1
                put(f, t, calls[number].rtp(way, k))
            due.clear()
        for e in events[at:]:
            put(f, *e)


def put(f, at_us, data):
    at_us += T0_US
    f.write(struct.pack("<IIII", at_us // 1_000_000, at_us % 1_000_000, len(data), len(data)) + data)


def children_of(pid):
    """pid and all below it."""
    out, todo = [], [pid]
    while todo:
        out.append(todo.pop())
        for path in glob.glob(f"/proc/{out[-1]}/task/*/children"):
            try:
                with open(path, encoding="ascii") as f:
                    todo += map(int, f.read().split())
            except OSError:
                pass
    return out


class Memory(threading.Thread):
    """The high-water mark of each process, looked at while they live."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak_kb, self.over = pid, {}, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.02):
            for pid in children_of(self.pid):
                try:
                    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
                        rows = dict(x.split(":", 1) for x in f if ":" in x)
                    self.peak_kb[pid] = rows["Name"].strip(), int(rows["VmHWM"].split()[0])
                except (OSError, KeyError):
                    pass


def check(out, calls):
    """Packets of calls that are not in their channel, and recordings."""
    found = {}
    for path in glob.glob(f"{out}/**/*.json", recursive=True):
        with open(path, encoding="utf-8") as f:
            raw = json.load(f)
        for leg in raw.get("legs", ()):
            for stream in leg["streams"]:
                media = os.path.join(os.path.dirname(path), os.path.basename(raw["file"]))
                found[int(stream["ssrc"], 16)] = media, leg["channel"]
    missing, files = 0, {p for p, _ in found.values()}
    for c in calls:
        for way in (0, 1):
            path, channel = found.get(c.ssrc[way], (None, 0))
            data = b""
            if path:
                with open(path, "rb") as f:
                    data = f.read()
                data = data[data.index(b"data") + 8:]
            if c.sound[way] not in data[channel::2]:
                missing += c.packets
    return missing, len(files)


def case(args, count, seconds):
    base = tempfile.mkdtemp(prefix="slr-import-bench-")
    try:
        calls = [Call(i, count, seconds) for i in range(count)]
        capture = os.path.join(base, "calls.pcap")
        write_capture(capture, calls)
        before, begin = os.times(), time.monotonic()
        p = subprocess.Popen([f"{args.bin}/slrctl", "import", capture, "--out", f"{base}/out"], stdout=subprocess.DEVNULL,
                             stderr=open(f"{base}/log", "wb"))
        memory = Memory(p.pid)
        status = p.wait()
        wall = time.monotonic() - begin
        memory.over.set()
        memory.join()
        after = os.times()
        missing, files = check(f"{base}/out", calls)
        user, system = after.children_user - before.children_user, after.children_system - before.children_system
        print(json.dumps({"bench": f"import/{count}x{seconds}", "packets": count * 2 * seconds * 50,
                          "capture_bytes": os.path.getsize(capture), "cpu_s": round(user + system, 2),
                          "user_s": round(user, 2), "system_s": round(system, 2), "wall_s": round(wall, 2),
                          "memory_mb": round(sum(kb for _, kb in memory.peak_kb.values()) / 1024, 1),
                          "memory_by_process_mb": {n: round(kb / 1024, 1) for n, kb in memory.peak_kb.values()},
                          "recordings": files, "packets_missing": missing, "status": status}), flush=True)
        good = status == 0 and missing == 0 and files == count
        if not good:
            with open(f"{base}/log", encoding="utf-8", errors="replace") as f:
                sys.stderr.write(f.read()[-4000:])
        return good
    finally:
        if args.keep:
            print(f"import: kept in {base}", file=sys.stderr)
        else:
            shutil.rmtree(base, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.path.join(SOURCE, "build", "release", "bin"))
    parser.add_argument("--case", action="append", help="calls and seconds, as in 200x60")
    parser.add_argument("--keep", action="store_true", help="leave capture and recordings where they are")
    args = parser.parse_args()
    good = True
    for text in args.case or ["200x60", "1000x30"]:
        count, seconds = map(int, text.split("x"))
        good &= case(args, count, seconds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
