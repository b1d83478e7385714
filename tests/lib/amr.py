"""AMR and AMR-WB speech frames by the encoders of opencore-amrnb and vo-amrwbenc, as RTP payloads in both
packings (RFC 4867) and in the storage format. Nothing of it is shared with the recorder."""
import array
import ctypes
import math
import random

import pytest

BITS = {"AMR": [95, 103, 118, 134, 148, 159, 204, 244], "AMR-WB": [132, 177, 253, 285, 317, 365, 397, 461, 477]}
RATE = {"AMR": 8000, "AMR-WB": 16000}
MAGIC = {"AMR": b"#!AMR\n", "AMR-WB": b"#!AMR-WB\n"}


def _library(name):
    try:
        return ctypes.CDLL(name)
    except OSError:
        pytest.skip(f"{name} is not installed")


def encode(codec, modes, pcm):
    """A frame of 20 ms in storage format for each mode, of int16 samples at the codec's rate."""
    size, out = RATE[codec] // 50, []
    lib = _library("libopencore-amrnb.so.0" if codec == "AMR" else "libvo-amrwbenc.so.0")
    make, free = ((lib.Encoder_Interface_init, lib.Encoder_Interface_exit) if codec == "AMR"
                  else (lib.E_IF_init, lib.E_IF_exit))
    make.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    state = ctypes.c_void_p(make(0) if codec == "AMR" else make())
    for n, mode in enumerate(modes):
        speech = (ctypes.c_int16 * size)(*pcm[n * size : n * size + size])
        frame = ctypes.create_string_buffer(64)
        got = (lib.Encoder_Interface_Encode(state, mode, speech, frame, 0) if codec == "AMR"
               else lib.E_IF_encode(state, ctypes.c_int16(mode), speech, frame, ctypes.c_int16(0)))
        frame = frame.raw[:got]
        assert frame[0] >> 3 == mode and len(frame) == 1 + (BITS[codec][mode] + 7) // 8
        out.append(frame)
    free(state)
    return out


def payload(codec, frame, octet_align):
    """One frame as an RTP payload; the sender asks for no mode (CMR 15)."""
    mode = frame[0] >> 3
    if octet_align:
        return b"\xf0" + bytes([mode << 3 | 4]) + frame[1:]
    n = BITS[codec][mode]
    bits = int.from_bytes(frame[1:], "big") >> (8 * (len(frame) - 1) - n)
    value, total = (15 << 6 | mode << 1 | 1) << n | bits, 10 + n
    octets = (total + 7) // 8
    return (value << (octets * 8 - total)).to_bytes(octets, "big")


def stored(codec, frames):
    """A file of these frames."""
    return MAGIC[codec] + b"".join(frames)


def speech(rate, seconds, seed=1):
    """Pulses of a gliding pitch and hiss in turn, with pauses, through three wandering formants, as int16:
    a signal in which decoders that differ a little do not drift apart, as they do on steady tones."""
    rng, out, phase = random.Random(f"speech/{seed}"), array.array("h"), 0.0
    memory = [[0.0, 0.0] for _ in range(3)]
    for n in range(int(rate * seconds) // (rate // 100)):  # 10 ms at a time
        syllable, at = divmod(n, 18)
        voiced, loud = syllable % 3 != 2, 0.0 if at >= 15 else math.sin(math.pi * (at + 0.5) / 15)
        pitch = 110 + 40 * math.sin(0.07 * n) + 15 * math.sin(0.9 * syllable)
        formants = [(500 + 250 * math.sin(0.05 * n), 90), (1500 + 500 * math.sin(0.031 * n + 1), 120), (2600, 160)]
        taps = []
        for f, width in formants:
            r = math.exp(-math.pi * width / rate)
            taps.append((2 * r * math.cos(2 * math.pi * f / rate), -r * r))
        for _ in range(rate // 100):
            phase += pitch / rate
            x = rng.gauss(0, 0.12 if voiced else 0.5)
            if phase >= 1:
                phase -= 1
                x += 6.0 if voiced else 0.0
            x *= loud
            for (a, b), m in zip(taps, memory):
                x = x + a * m[0] + b * m[1]
                m[1], m[0] = m[0], x
                x *= 0.35
            out.append(max(-32768, min(32767, int(x * 250 * rate / 8000))))
    return out
