"""SRTP and SRTCP as a sender makes them (RFC 3711, 6188, 7714), and a=crypto lines (RFC 4568).

Written from the RFCs with nothing of the project's: AES from libcrypto by ctypes, HMAC from Python.
"""
import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import os
import re
import struct

_crypto = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
for _name in ("EVP_CIPHER_CTX_new", "EVP_get_cipherbyname"):
    getattr(_crypto, _name).restype = ctypes.c_void_p
_GET_TAG = 0x10

# name: (cipher, key bytes, salt bytes, RTP tag bytes)
SUITES = {
    "AES_CM_128_HMAC_SHA1_80": ("ctr", 16, 14, 10),
    "AES_CM_128_HMAC_SHA1_32": ("ctr", 16, 14, 4),
    "AES_256_CM_HMAC_SHA1_80": ("ctr", 32, 14, 10),
    "AES_256_CM_HMAC_SHA1_32": ("ctr", 32, 14, 4),
    "AEAD_AES_128_GCM": ("gcm", 16, 12, 16),
    "AEAD_AES_256_GCM": ("gcm", 32, 12, 16),
}


def _encrypt(mode, key, iv, data, aad=b""):
    """(ciphertext, tag)."""
    cipher = _crypto.EVP_get_cipherbyname(f"aes-{len(key) * 8}-{mode}".encode())
    ctx = ctypes.c_void_p(_crypto.EVP_CIPHER_CTX_new())
    out, n = ctypes.create_string_buffer(len(data) + 16), ctypes.c_int(0)
    try:
        assert _crypto.EVP_EncryptInit_ex(ctx, ctypes.c_void_p(cipher), None, key, iv) == 1
        if aad:
            assert _crypto.EVP_EncryptUpdate(ctx, None, ctypes.byref(n), aad, len(aad)) == 1
        assert _crypto.EVP_EncryptUpdate(ctx, out, ctypes.byref(n), data, len(data)) == 1
        tag = ctypes.create_string_buffer(16)
        if mode == "gcm":
            assert _crypto.EVP_EncryptFinal_ex(ctx, ctypes.create_string_buffer(16), ctypes.byref(n)) == 1
            assert _crypto.EVP_CIPHER_CTX_ctrl(ctx, _GET_TAG, 16, tag) == 1
        return out.raw[: len(data)], tag.raw
    finally:
        _crypto.EVP_CIPHER_CTX_free(ctx)


def _xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


class Keys:
    """One master key of a suite; random unless given. mki: (value, length in bytes)."""

    def __init__(self, suite="AES_CM_128_HMAC_SHA1_80", secret=None, mki=None):
        self.suite = suite
        self.mode, self.key_len, self.salt_len, self.tag_len = SUITES[suite]
        self.secret = secret or os.urandom(self.key_len + self.salt_len)
        self.mki = mki
        self.mki_bytes = mki[0].to_bytes(mki[1], "big") if mki else b""
        key, salt = self.secret[: self.key_len], self.secret[self.key_len :].ljust(14, b"\0")

        def derive(label, size):
            iv = _xor(salt, bytes(7) + bytes([label]) + bytes(6)) + b"\0\0"
            return _encrypt("ctr", key, iv, bytes(size))[0]

        self.rtp_keys = [derive(0, self.key_len), derive(1, 20), derive(2, self.salt_len)]
        self.rtcp_keys = [derive(3, self.key_len), derive(4, 20), derive(5, self.salt_len)]

    @property
    def text(self):
        return base64.b64encode(self.secret).decode()

    def inline(self, lifetime=""):
        out = f"inline:{self.text}" + (f"|{lifetime}" if lifetime else "")
        return out + (f"|{self.mki[0]}:{self.mki[1]}" if self.mki else "")

    def line(self, tag=1, lifetime="", name=None, more=""):
        return f"a=crypto:{tag} {name or self.suite} {self.inline(lifetime)}{more}"

    def rtp(self, raw, roc=0):
        """Protects one packet."""
        cut = 12 + 4 * (raw[0] & 15)
        if raw[0] & 0x10:
            cut += 4 + 4 * struct.unpack_from(">H", raw, cut + 2)[0]
        head, body = raw[:cut], raw[cut:]
        key, auth, salt = self.rtp_keys
        ssrc, index = raw[8:12], struct.pack(">I", roc) + raw[2:4]
        if self.mode == "gcm":
            data, tag = _encrypt("gcm", key, _xor(b"\0\0" + ssrc + index, salt), body, head)
            return head + data + tag + self.mki_bytes
        data, _ = _encrypt("ctr", key, _xor(b"\0" * 4 + ssrc + index, salt) + b"\0\0", body)
        tag = hmac.new(auth, head + data + struct.pack(">I", roc), hashlib.sha1).digest()[: self.tag_len]
        return head + data + self.mki_bytes + tag

    def rtcp(self, raw, index):
        head, body = raw[:8], raw[8:]
        key, auth, salt = self.rtcp_keys
        word = struct.pack(">I", 0x80000000 | index)
        if self.mode == "gcm":
            iv = _xor(b"\0\0" + raw[4:8] + b"\0\0" + struct.pack(">I", index), salt)
            data, tag = _encrypt("gcm", key, iv, body, head + word)
            return head + data + tag + word + self.mki_bytes
        iv = _xor(b"\0" * 4 + raw[4:8] + b"\0\0" + struct.pack(">I", index), salt) + b"\0\0"
        data, _ = _encrypt("ctr", key, iv, body)
        tag = hmac.new(auth, head + data + word, hashlib.sha1).digest()[:10]
        return head + data + word + self.mki_bytes + tag


def protect(plan, keys, first=0, last=None, roc0=0):
    """Protects the packets [first, last) of an rtp.Plan in place."""
    for s in plan.sent[first:last]:
        s.raw = keys.rtp(s.raw, roc0 + (s.seq >> 16))
    return plan


def lines(media):
    """(tag, suite, rest) of the a=crypto lines of a lib.sip SdpMedia."""
    found = [re.match(r"crypto:(\d+) (\S+) (.*)", a) for a in media.attrs]
    return [(int(m[1]), m[2], m[3]) for m in found if m]
