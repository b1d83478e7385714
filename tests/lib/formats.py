"""Recordings of a known signal in every format we write, and what strangers say of the files.

The signal starts and ends at full strength, so that a container or codec that loses its first or last
milliseconds is found out. docs/formats.md holds the table that `table()` gives.
"""
import array
import bisect
import glob
import json
import math
import os
import re
import shutil
import struct
import subprocess
import tempfile

from lib import pcap, procs, rtp, wav

HZ, PACKETS = 8000, 151  # 3.02 s: no whole number of GSM's blocks of 40 ms
FRAMES = PACKETS * 160
DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "formats.md")
T0 = 1_700_000_000_000_000_000
CHROMIUM = "Chromium"
TOOLS = ("ffprobe", "soxi", "opusinfo", CHROMIUM)

# (row of the table, options of slr, law of the capture, channels of each file)
ROWS = [
    ("WAV, A-law as received", [], wav.ALAW, 2),
    ("WAV, mu-law as received", [], wav.ULAW, 2),
    ("WAV, PCM16", ["--format", "wav-pcm"], wav.ALAW, 2),
    ("WAV, PCM16, 48 kHz", ["--format", "wav-pcm", "--rate", "48000"], wav.ALAW, 2),
    ("WAV, A-law, mono mix", ["--format", "wav-alaw", "--layout", "mix"], wav.ALAW, 1),
    ("WAV, A-law, a file a leg", ["--layout", "legs"], wav.ALAW, 1),
    ("WAV, GSM 6.10, mono mix", ["--format", "gsm"], wav.ALAW, 1),
    ("WAV, GSM 6.10, a file a leg", ["--format", "gsm", "--layout", "legs"], wav.ALAW, 1),
    ("Ogg Opus, two channels", ["--format", "opus"], wav.ALAW, 2),
    ("Ogg Opus, two channels, 48 kHz", ["--format", "opus", "--rate", "48000"], wav.ALAW, 2),
    ("Ogg Opus, mono mix", ["--format", "opus", "--layout", "mix"], wav.ALAW, 1),
    ("Ogg Opus, a file a leg", ["--format", "opus", "--layout", "legs"], wav.ALAW, 1),
    ("FLAC, two channels", ["--format", "flac"], wav.ALAW, 2),
    ("FLAC, a file a leg", ["--format", "flac", "--layout", "legs"], wav.ALAW, 1),
    ("FLAC, mono mix, 16 kHz", ["--format", "flac", "--layout", "mix", "--rate", "16000"], wav.ALAW, 1),
]
# Rows that are others with the header that a file beyond 4 GiB has.
LONG = {"WAV, PCM16, RF64": "WAV, PCM16", "WAV, A-law, RF64": "WAV, A-law as received"}
NAMES = [r[0] for r in ROWS] + list(LONG)


def sound(channel, seconds):
    """A voice's harmonics under a moving envelope, as a float: any rate can be asked for."""
    f0 = 140 if channel == 0 else 205
    phase = 2 * math.pi * f0 * (seconds + 0.004 * math.sin(2 * math.pi * 1.3 * seconds) / 1.3)
    envelope = 0.7 + 0.3 * math.cos(2 * math.pi * (2.1 + channel) * seconds)
    total = 0.0
    for k in range(1, 9 if channel else 13):
        f = k * f0
        gain = 1 / (1 + ((f - 500) / 250) ** 2) + 0.5 / (1 + ((f - 1500) / 300) ** 2)
        total += gain * math.cos(k * phase + k * k)
    return 4500 * envelope * total


_encoders = {}


def companded(channel, law):
    """The signal as bytes of a law."""
    if law not in _encoders:
        table = wav.ALAW_TABLE if law == wav.ALAW else wav.ULAW_TABLE
        _encoders[law] = sorted((v, code) for code, v in enumerate(table))
    levels = _encoders[law]
    values = [v for v, _ in levels]
    out = bytearray()
    for i in range(FRAMES):
        s = sound(channel, i / HZ)
        at = bisect.bisect(values, s)
        near = [j for j in (at - 1, at) if 0 <= j < 256]
        out.append(levels[min(near, key=lambda j: abs(values[j] - s))][1])
    return bytes(out)


def write_capture(path, law, media):
    items = []
    ends = (("10.3.0.1", 4000), ("10.3.0.2", 5000))
    for c in (0, 1):
        for k in range(PACKETS):
            raw = rtp.packet(8 if law == wav.ALAW else 0, 7 + k, 1000 + 160 * k, 0x100 + c,
                             media[c][160 * k : 160 * k + 160])
            # the second sender is 1 us behind: the first one heard is channel 0
            items.append((T0 + 20_000_000 * k + 1000 * c, ends[c], ends[1 - c], raw))
    pcap.write(path, sorted(items))


class Made:
    """The files of one row."""

    def __init__(self, name, channels, files, media, law, ledger):
        self.name, self.channels, self.files = name, channels, files
        table = wav.ALAW_TABLE if law == wav.ALAW else wav.ULAW_TABLE
        self.pcm = [array.array("h", [table[b] for b in m]) for m in media]
        self.media, self.law, self.ledger = media, law, ledger

    def mixed(self):
        return array.array("h", [max(-32768, min(32767, a + b)) for a, b in zip(*self.pcm)])


def as_rf64(blob, more=0):
    """A WAV file of ours with the header of one that is too long for 32 bits (EBU Tech 3306): the same
    length, ds64 in the place that was kept for it. more: bytes of media that the caller puts behind it.
    tests/storage/test_wav.c has what the container itself writes."""
    (riff,) = struct.unpack_from("<I", blob, 4)
    at = blob.index(b"data") + 8
    (size,) = struct.unpack_from("<I", blob, at - 4)
    (frame,) = struct.unpack_from("<H", blob, blob.index(b"fmt ") + 20)
    assert blob[:4] == b"RIFF" and blob[8:16] == b"WAVEJUNK" and len(blob) == riff + 8
    riff, size = riff + more, size + more
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, riff, size, size // frame, 0)
    ffs = b"\xff" * 4
    return b"RF64" + ffs + b"WAVE" + ds64 + blob[12 + len(ds64) : at - 4] + ffs + blob[at:]


def _long(folder, name, like):
    os.makedirs(folder)
    path = f"{folder}/" + os.path.basename(like.files[0])
    with open(like.files[0], "rb") as f, open(path, "wb") as to:
        to.write(as_rf64(f.read()))
    for note in glob.glob(os.path.dirname(like.files[0]) + "/*.json"):
        shutil.copy(note, folder)
    return Made(name, like.channels, [path], like.media, like.law, like.ledger)


def make(folder):
    """Every row, made by `slr` from a capture."""
    media = {law: [companded(c, law) for c in (0, 1)] for law in (wav.ALAW, wav.ULAW)}
    out = []
    for law in media:
        write_capture(f"{folder}/{law}.pcap", law, media[law])
    for n, (name, options, law, channels) in enumerate(ROWS):
        data, state = f"{folder}/{n}", tempfile.mkdtemp(prefix="slr-formats-", dir=folder)
        procs.run([procs.binary("slr"), "--capture", f"pcapfile:{folder}/{law}.pcap", "--data", data,
                   "--state", state, "-w", "0", *options], 60)
        day = next(d for d in os.listdir(f"{data}/rec") if d.isdigit())
        names = sorted(os.listdir(f"{data}/rec/{day}"))
        (note,) = [x for x in names if x.endswith(".json")]
        with open(f"{data}/rec/{day}/{note}") as f:
            told = json.load(f)
        files = [f"{data}/rec/{day}/{x}" for x in names if x != note]
        assert [f"{data}/rec/" + x["file"] for x in told.get("files", [told])] == files
        assert os.listdir(f"{data}/rec/open") == [], "nothing but the final files is left"
        out.append(Made(name, channels, files, media[law], law, told))
    for name, like in LONG.items():
        out.append(_long(f"{folder}/{len(out)}", name, next(m for m in out if m.name == like)))
    return out


def _ask(*command):
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return run.stdout if run.returncode == 0 else ""


def ffprobe(path):
    text = _ask("ffprobe", "-v", "error", "-of", "csv=p=0", "-show_entries", "stream=channels,duration", path)
    return (int(text.split(",")[0]), float(text.split(",")[1])) if text else None


def soxi(path):
    channels, seconds = _ask("soxi", "-c", path), _ask("soxi", "-D", path)
    return (int(channels), float(seconds)) if channels and seconds else None


def opusinfo(path):
    text = _ask("opusinfo", path)
    channels = re.search(r"Channels: (\d+)", text)
    length = re.search(r"Playback length: (\d+)m:(\d+\.\d+)s", text)
    if not channels or not length:
        return None
    return int(channels.group(1)), 60 * int(length.group(1)) + float(length.group(2))


def chromium(paths):
    from lib import chromium as browser
    kinds = {".wav": "audio/wav", ".opus": "audio/ogg", ".flac": "audio/flac"}
    seen = browser.open_all([(p, kinds[os.path.splitext(p)[1]]) for p in paths])
    return [None if "error" in r else (r["channels"], r["seconds"]) for r in seen]


def installed(tool):
    return shutil.which(tool.lower()) is not None


def cell(seen):
    return f"{seen[0]} ch, {seen[1]:.3f} s" if seen else "unsupported"


def in_docs():
    """The table of docs/formats.md as {row: {tool: cell}}."""
    with open(DOCS) as f:
        lines = [x for x in f.read().splitlines() if x.startswith("|")]
    head = [x.strip() for x in lines[0].strip("|").split("|")]
    assert head[1:] == list(TOOLS)
    out = {}
    for line in lines[2:]:
        cells = [x.strip() for x in line.strip("|").split("|")]
        if len(cells) == len(head) and cells[0] in NAMES:
            out[cells[0]] = dict(zip(TOOLS, cells[1:]))
    return out
