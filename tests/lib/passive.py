"""Runs over capture files: the engine alone, and `slrctl import` (engine and control plane)."""
import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field

import pytest

from . import ledger, pcap, procs, rtp, wav


@dataclass
class Recording:
    path: str
    raw: bytes
    wav: wav.Wav
    ledger: ledger.Ledger
    ledger_bytes: bytes


@dataclass
class Result:
    recordings: list
    files: dict  # relative name -> sha256
    lines: list = field(default_factory=list)  # JSON objects printed by import
    log: str = ""
    counters: dict = field(default_factory=dict)

    def by_packets(self):
        return sorted(self.recordings, key=lambda r: -r.ledger.packets)


def capture(name):
    """Path of a given capture, or a plain skip."""
    folder = procs.captures_dir()
    found = [f for f in (os.listdir(folder) if os.path.isdir(folder) else []) if f.startswith(name + "-")]
    if not found:
        pytest.skip(f"capture {name} is not in {folder} (set SLR_CAPTURES)")
    return os.path.join(folder, found[0])


def manifest(name):
    """MANIFEST.json's entry of a capture."""
    capture(name)
    entries = procs.load_json(os.path.join(procs.captures_dir(), "MANIFEST.json"))
    return next(x for x in entries if x["file"].startswith(name + "-"))


def truth(name):
    """MANIFEST.json's streams of a capture."""
    return manifest(name)["streams"]


def collect(data):
    """All recordings below a data directory; each file must be one of a pair."""
    out, files = [], {}
    rec = os.path.join(data, "rec") if os.path.isdir(os.path.join(data, "rec")) else data
    for root, _, names in sorted(os.walk(rec)):
        for n in sorted(names):
            path = os.path.join(root, n)
            with open(path, "rb") as f:
                blob = f.read()
            files[os.path.relpath(path, data)] = hashlib.sha256(blob).hexdigest()
            if not n.endswith(".json"):
                continue
            raw = json.loads(blob)
            if "legs" not in raw:
                continue
            media = os.path.join(root, os.path.basename(raw["file"]))
            with open(media, "rb") as f:
                body = f.read()
            w = wav.parse(body)
            led = ledger.check(ledger.parse(raw), w.frames, w.rate)
            ledger.check_hash(led, body)
            out.append(Recording(media, body, w, led, blob))
    return Result(out, files)


def counters(text):
    """Numbers of the engine's last counter line in a log: key=value or JSON members; verdicts by
    their reason alone."""
    out = {}
    for line in text.splitlines():
        for k, v in re.findall(r'verdict=\\*"?(\w+)\\*"?\}\\*"?[:=] ?(\d+)', line):
            out[k] = int(v)
        if re.search(r"\bcapture_(?:end|done|finished)|\bpassive_(?:end|done)|\bcounters\b", line):
            for k, v in re.findall(r"\b([a-z_0-9]+)=(\d+)", line):
                out[k] = int(v)
    return out


def alone(path, *extra, timeout_s=60):
    """`slr` over a capture file, no core. Returns the Result; directories are removed."""
    if procs.missing("slr"):
        pytest.skip(f"slr is not built in {procs.bin_dir()}")
    base = tempfile.mkdtemp(prefix="slr-golden-")
    state = tempfile.mkdtemp(prefix="slr-golden-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else base)
    try:
        run = procs.run([procs.binary("slr"), "--capture", f"pcapfile:{path}", "--data", f"{base}/data",
                         "--state", state, "-w", "0", *extra], timeout_s)
        result = collect(f"{base}/data")
        result.log = run.stdout + run.stderr
        result.counters = counters(result.log)
        return result
    finally:
        shutil.rmtree(base, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


def imported(path, *extra, timeout_s=90):
    """`slrctl import CAPTURE --out DIR`. Returns the Result with the printed JSON lines."""
    if procs.missing("slr", "slr-core", "slrctl"):
        pytest.skip(f"not built: {procs.missing('slr', 'slr-core', 'slrctl')} in {procs.bin_dir()}")
    base = tempfile.mkdtemp(prefix="slr-import-")
    try:
        run = procs.run([procs.binary("slrctl"), "import", str(path), "--out", f"{base}/out", *extra], timeout_s)
        result = collect(f"{base}/out")
        result.lines = [json.loads(x) for x in run.stdout.splitlines() if x.strip()]
        result.log = run.stderr
        return result
    finally:
        shutil.rmtree(base, ignore_errors=True)


def rtp_packets(path):
    """(Datagram, Header) of all RTP in a capture, by this library's reader."""
    out = []
    for d in pcap.datagrams(path):
        h = rtp.parse(d.payload)
        if h is not None and min(d.src[1], d.dst[1]) > 1023 and not _sip(d.payload):
            out.append((d, h))
    return out


def _sip(payload):
    return b"SIP/2.0" in payload[:200]


def segments(packets, ssrc, pt):
    """unique_payload() cut where the sender's timestamps jump against the arrival by more than a
    second: there a recorder goes by the arrival. Each segment's timestamps begin at 0."""
    order, last, base = {}, None, None
    for d, h in packets:
        if h.ssrc == ssrc:
            seq = h.seq if last is None else last + ((h.seq - last + 0x8000) & 0xFFFF) - 0x8000
            last = seq
            order.setdefault(seq, (d.time_ns, h))
    out, drift = [], None
    for _, (at, h) in sorted(order.items()):
        ts = h.ts if base is None else base + ((h.ts - base + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        base = ts
        now = at / 1e9 - ts / 8000
        if drift is None or abs(now - drift) > 1:
            out.append([])
        drift = now
        if h.pt == pt:
            out[-1].append((ts, h.payload))
    return [[(ts - rows[0][0], p) for ts, p in rows] for rows in out if rows]


def unique_payload(packets, ssrc, pt):
    """Payload bytes of one stream in sequence order without duplicates, and the packets:
    [(ts from the first, payload)]."""
    ext, last, base = {}, None, None
    for _, h in packets:
        if h.ssrc != ssrc:
            continue
        seq = h.seq if last is None else last + ((h.seq - last + 0x8000) & 0xFFFF) - 0x8000
        last = seq
        ext.setdefault(seq, h)
    base = next(iter(ext.values())).ts if ext else 0
    rows = []
    for _, h in sorted(ext.items()):
        if h.pt == pt:
            rows.append((((h.ts - base + 0x80000000) & 0xFFFFFFFF) - 0x80000000, h.payload))
    return rows


class pair:
    """Engine and core over a capture as `slrctl import` runs them, with everything left to look at."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        if procs.missing("slr", "slr-core"):
            pytest.skip(f"not built: {procs.missing('slr', 'slr-core')} in {procs.bin_dir()}")
        self.base = tempfile.mkdtemp(prefix="slr-pair-")
        b = self.base
        self.engine = procs.Proc("slr", [procs.binary("slr"), "--capture", f"pcapfile:{self.path}", "--data",
                                         f"{b}/data", "--state", f"{b}/state", "--control", f"{b}/seam",
                                         "--wait-core", "-w", "0"], f"{b}/slr.log").start()
        self.core = procs.Proc("slr-core", [procs.binary("slr-core"), "--import", "--engine", f"{b}/seam",
                                            "--data", f"{b}/data"], f"{b}/core.log").start()
        return self

    def wait(self, timeout_s=60):
        """Exit codes of both."""
        out = []
        for p in (self.engine, self.core):
            p.expected_exit = True
            out.append(p.child.wait(timeout_s))
        return tuple(out)

    def log(self):
        return self.engine.log() + self.core.log()

    def files(self):
        """(name, bytes) of every file they left, their logs among them."""
        for root, _, names in os.walk(self.base):
            for n in names:
                path = os.path.join(root, n)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        yield os.path.relpath(path, self.base), f.read()

    def result(self):
        return collect(f"{self.base}/data")

    def __exit__(self, *_):
        for p in (self.engine, self.core):
            if p.alive():
                p.kill9()
        shutil.rmtree(self.base, ignore_errors=True)
