"""A small SIP user agent over UDP and TCP for tests: it plays the media server.

Messages are written by hand here, on purpose: malformed ones must be possible, and nothing of the
project is used to check the project.
"""
import itertools
import queue
import random
import re
import socket
import threading
import time
from dataclasses import dataclass, field

_ids = itertools.count(1)
_rng = random.Random()

COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
           "c": "content-type", "k": "supported", "e": "content-encoding", "s": "subject"}


def token(prefix="t"):
    return f"{prefix}{next(_ids)}x{_rng.getrandbits(48):x}"


@dataclass
class Message:
    start: str
    headers: list
    body: bytes = b""
    at_mono: float = 0.0

    @property
    def status(self):
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self):
        return self.start.split()[0]

    def all(self, name):
        return [v for k, v in self.headers if k == name.lower()]

    def get(self, name, default=""):
        values = self.all(name)
        return values[0] if values else default

    @property
    def cseq(self):
        n, m = self.get("cseq").split()
        return int(n), m

    @property
    def branch(self):
        m = re.search(r"branch=([^;,\s]+)", self.get("via"))
        return m.group(1) if m else ""

    @property
    def to_tag(self):
        m = re.search(r";\s*tag=([^;>\s]+)", self.get("to"))
        return m.group(1) if m else ""

    def contact_uri(self):
        m = re.search(r"<([^>]*)>", self.get("contact"))
        return m.group(1) if m else self.get("contact").split(";")[0]

    def sdp(self):
        return Sdp.parse(self.body)


def parse(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = re.sub(rb"\r\n[ \t]+", b" ", head).decode("utf-8", "replace").split("\r\n")
    headers = []
    for line in lines[1:]:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        headers.append((COMPACT.get(name, name), value.strip()))
    return Message(lines[0], headers, body, time.monotonic())


@dataclass
class SdpMedia:
    kind: str
    port: int
    proto: str
    pts: list
    conn: str = ""
    attrs: list = field(default_factory=list)

    def attr(self, name):
        for a in self.attrs:
            if a == name or a.startswith(name + ":"):
                return a[len(name) + 1 :]
        return None

    @property
    def direction(self):
        for a in self.attrs:
            if a in ("sendrecv", "sendonly", "recvonly", "inactive"):
                return a
        return "sendrecv"


@dataclass
class Sdp:
    origin: str = ""
    conn: str = ""
    attrs: list = field(default_factory=list)
    media: list = field(default_factory=list)

    @classmethod
    def parse(cls, body):
        out = cls()
        for line in body.decode().replace("\r\n", "\n").split("\n"):
            kind, _, value = line.partition("=")
            if kind == "o":
                out.origin = value
            elif kind == "m":
                p = value.split()
                out.media.append(SdpMedia(p[0], int(p[1].split("/")[0]), p[2], p[3:]))
            elif kind == "c":
                if out.media:
                    out.media[-1].conn = value.split()[-1]
                else:
                    out.conn = value.split()[-1]
            elif kind == "a":
                (out.media[-1].attrs if out.media else out.attrs).append(value)
        return out

    def address(self, i):
        """(ip, port) at which m-line i receives."""
        m = self.media[i]
        return (m.conn or self.conn, m.port)

    @property
    def version(self):
        return int(self.origin.split()[2])


@dataclass
class M:
    """An m-line to offer. codecs: (pt, 'NAME/clock[/ch]') pairs; events: pt of telephone-event."""

    port: int
    codecs: tuple = ((8, "PCMA/8000"),)
    events: int = 101
    direction: str = "sendonly"
    label: object = None
    ip: str = ""
    kind: str = "audio"
    ptime: int = 20
    proto: str = "RTP/AVP"
    extra: tuple = ()


def offer(media, ip="127.0.0.1", version=1, session=None, session_c=True, extra=()):
    """SDP bytes of an offer."""
    fam = "IP6" if ":" in ip else "IP4"
    session = session or 1000 + next(_ids)
    out = ["v=0", f"o=mcp {session} {version} IN {fam} {ip}", "s=-"]
    if session_c:
        out.append(f"c=IN {fam} {ip}")
    out += ["t=0 0", *extra]
    for m in media:
        pts = [str(pt) for pt, _ in m.codecs] + ([str(m.events)] if m.events else [])
        out.append(f"m={m.kind} {m.port} {m.proto} {' '.join(pts)}")
        if m.ip or not session_c:
            addr = m.ip or ip
            out.append(f"c=IN {'IP6' if ':' in addr else 'IP4'} {addr}")
        out += [f"a=rtpmap:{pt} {name}" for pt, name in m.codecs]
        if m.events:
            out += [f"a=rtpmap:{m.events} telephone-event/8000", f"a=fmtp:{m.events} 0-15"]
        if m.ptime:
            out.append(f"a=ptime:{m.ptime}")
        if m.label is not None:
            out.append(f"a=label:{m.label}")
        if m.direction:
            out.append(f"a={m.direction}")
        out += m.extra
    return ("\r\n".join(out) + "\r\n").encode()


def multipart(parts, boundary="b1", close=True, preamble=b"", quoted=False):
    """parts: (content type, body, extra header lines). Returns (Content-Type value, body)."""
    out = preamble
    for ctype, body, *extra in parts:
        out += b"--" + boundary.encode() + b"\r\n" + f"Content-Type: {ctype}\r\n".encode()
        for line in extra:
            out += line.encode() + b"\r\n"
        out += b"\r\n" + body + b"\r\n"
    if close:
        out += b"--" + boundary.encode() + b"--\r\n"
    value = f'"{boundary}"' if quoted else boundary
    return f"multipart/mixed;boundary={value}", out


def metadata(session="S1", people=(("P1", "sip:alice@x", "T1", "1"), ("P2", "sip:bob@x", "T2", "2")),
             mode="complete", ns="urn:ietf:params:xml:ns:recording:1"):
    """RFC 7865 metadata; people: (participant id, aor, stream id, label)."""
    x = [f"<?xml version='1.0' encoding='UTF-8'?>\n<recording xmlns='{ns}'><datamode>{mode}</datamode>",
         f"<session session_id='{session}'/>"]
    for pid, aor, _, _ in people:
        x.append(f"<participant participant_id='{pid}'><nameID aor='{aor}'/></participant>")
    for _, _, tid, label in people:
        x.append(f"<stream stream_id='{tid}' session_id='{session}'><label>{label}</label></stream>")
    for pid, _, tid, _ in people:
        x.append(f"<participantstreamassoc participant_id='{pid}'><send>{tid}</send></participantstreamassoc>")
    return ("".join(x) + "</recording>").encode()


class Ua:
    """One local SIP endpoint talking to one remote. Requests of the remote are kept in .requests
    and answered 200 when auto_answer is on."""

    def __init__(self, remote, transport="udp", local=("127.0.0.1", 0), auto_answer=True):
        self.remote, self.transport, self.auto = remote, transport, auto_answer
        self.requests = []
        self._waiting = {}
        self._stray = queue.Queue()
        self._lock = threading.Lock()
        self._open = True
        if transport == "udp":
            family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
            self.sock = socket.socket(family, socket.SOCK_DGRAM)
            self.sock.bind(local)
        else:
            self.sock = socket.create_connection(remote, timeout=5, source_address=(local[0], local[1]))
        self.local = self.sock.getsockname()[:2]
        threading.Thread(target=self._read, args=(self.sock,), name="sip-ua", daemon=True).start()

    def reconnect(self):
        """TCP: a new connection (after the remote died)."""
        self.sock.close()
        self.sock = socket.create_connection(self.remote, timeout=5, source_address=(self.local[0], 0))
        threading.Thread(target=self._read, args=(self.sock,), name="sip-ua", daemon=True).start()

    # receiving

    def _read(self, sock):
        sock.settimeout(None)
        buffer = b""
        while self._open:
            try:
                more = sock.recv(65536)
            except ConnectionRefusedError:
                continue
            except OSError:
                return
            if self.transport == "udp":
                self._take(more)
                continue
            if not more:
                return
            buffer = (buffer + more).lstrip(b"\r\n") if not buffer else buffer + more
            while b"\r\n\r\n" in buffer:
                head = buffer.index(b"\r\n\r\n") + 4
                m = re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", buffer[:head])
                size = head + (int(m.group(1)) if m else 0)
                if len(buffer) < size:
                    break
                self._take(buffer[:size])
                buffer = buffer[size:].lstrip(b"\r\n")

    def _take(self, raw):
        if not raw.strip():
            return
        try:
            m = parse(raw)
            is_response = bool(m.status)
        except (ValueError, IndexError):
            return
        if is_response:
            with self._lock:
                q = self._waiting.get((m.branch, m.cseq[1]))
            (q or self._stray).put(m)
            return
        self.requests.append(m)
        if self.auto and m.method != "ACK":
            self.respond(m, 200)

    def respond(self, m, status, reason="OK", headers=(), body=b""):
        lines = [f"SIP/2.0 {status} {reason}"]
        lines += [f"Via: {v}" for v in m.all("via")]
        lines += [f"From: {m.get('from')}", f"To: {m.get('to')}", f"Call-ID: {m.get('call-id')}",
                  f"CSeq: {m.get('cseq')}", *headers, f"Content-Length: {len(body)}"]
        self.send_raw(("\r\n".join(lines) + "\r\n\r\n").encode() + body)

    def stray(self, timeout_s=1.0):
        """A response that belongs to no transaction (repeated 2xx), or None."""
        try:
            return self._stray.get(timeout=timeout_s)
        except queue.Empty:
            return None

    # sending

    def send_raw(self, raw):
        if self.transport == "udp":
            for _ in range(2):
                try:
                    self.sock.sendto(raw, self.remote)
                    return
                except ConnectionRefusedError:
                    continue
        else:
            self.sock.sendall(raw)

    def via(self, branch):
        proto = self.transport.upper()
        return f"SIP/2.0/{proto} {_host(self.local[0])}:{self.local[1]};branch={branch};rport"

    def contact(self, params=""):
        tail = ";transport=tcp" if self.transport == "tcp" else ""
        return f"<sip:mcp@{_host(self.local[0])}:{self.local[1]}{tail}>{params}"

    def start(self, method, uri, *, to, frm, call_id, cseq, headers=(), body=b"", ctype=None,
              branch=None, via_extra="", contact_params="", raw_edit=None):
        """Sends a request; returns its Transaction."""
        branch = branch or token("z9hG4bK")
        lines = [f"{method} {uri} SIP/2.0", f"Via: {self.via(branch)}{via_extra}", f"From: {frm}",
                 f"To: {to}", f"Call-ID: {call_id}", f"CSeq: {cseq} {method}", "Max-Forwards: 70"]
        if method not in ("ACK", "BYE", "CANCEL"):
            lines.append(f"Contact: {self.contact(contact_params)}")
        lines += list(headers)
        if body:
            lines.append(f"Content-Type: {ctype or 'application/sdp'}")
        lines.append(f"Content-Length: {len(body)}")
        raw = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
        if raw_edit:
            raw = raw_edit(raw)
        t = Transaction(self, method, uri, raw, branch, frm, to, call_id, cseq)
        if method != "ACK":
            with self._lock:
                self._waiting[(branch, method)] = t.queue
        self.send_raw(raw)
        return t

    def request(self, method, uri=None, *, timeout_s=5.0, retransmit=False, **kw):
        """Out-of-dialog request: returns its final response."""
        uri = uri or f"sip:{_host(self.remote[0])}:{self.remote[1]}"
        kw.setdefault("to", f"<{uri}>")
        kw.setdefault("frm", f"<sip:GVP@{_host(self.local[0])}:{self.local[1]}>;tag={token()}")
        kw.setdefault("call_id", token("c") + "@test")
        kw.setdefault("cseq", 1)
        return self.start(method, uri, **kw).final(timeout_s, retransmit)

    def options(self, timeout_s=5.0):
        return self.request("OPTIONS", timeout_s=timeout_s)

    def invite(self, uri, body, *, headers=(), timeout_s=5.0, retransmit=False, ack=True, to=None,
               frm=None, call_id=None, ctype=None, via_extra="", contact_params="", from_params="",
               raw_edit=None):
        """Returns (Dialog, final response); the ACK is sent."""
        d = self.dialog(uri, to=to, frm=frm, call_id=call_id, from_params=from_params)
        t = self.start("INVITE", uri, to=d.remote, frm=d.local, call_id=d.call_id, cseq=d.cseq,
                       headers=headers, body=body, ctype=ctype, via_extra=via_extra,
                       contact_params=contact_params, raw_edit=raw_edit)
        return d, d.invited(t, t.final(timeout_s, retransmit), ack)

    def dialog(self, uri, to=None, frm=None, call_id=None, from_params=""):
        host = f"{_host(self.local[0])}:{self.local[1]}"
        frm = frm or f"<sip:Genesys@{host}{from_params}>;tag={token('ft')}"
        return Dialog(self, uri, frm, to or f"<{uri}>", call_id or f"{token('c')}@{host}")

    def close(self):
        self._open = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


def _host(ip):
    return f"[{ip}]" if ":" in ip else ip


class NoAnswer(AssertionError):
    pass


class Transaction:
    def __init__(self, ua, method, uri, raw, branch, frm, to, call_id, cseq):
        self.ua, self.method, self.uri, self.raw, self.branch = ua, method, uri, raw, branch
        self.frm, self.to, self.call_id, self.cseq = frm, to, call_id, cseq
        self.queue = queue.Queue()
        self.sent_mono = time.monotonic()
        self.retransmissions = 0
        self.provisional = []

    def final(self, timeout_s=5.0, retransmit=False):
        """The final response. With retransmit the request is repeated as RFC 3261 timer A/E."""
        end, step = time.monotonic() + timeout_s, 0.5
        again = time.monotonic() + step
        while True:
            now = time.monotonic()
            limit = min(end, again) if retransmit else end
            try:
                m = self.queue.get(timeout=max(limit - now, 0.001))
            except queue.Empty:
                if time.monotonic() >= end:
                    raise NoAnswer(f"no final answer to {self.method} {self.uri} in {timeout_s} s "
                                   f"(provisional: {[p.status for p in self.provisional]})") from None
                if retransmit and time.monotonic() >= again:
                    self.resend()
                    step = min(step * 2, 4.0)
                    again = time.monotonic() + step
                continue
            if m.status < 200:
                self.provisional.append(m)
                if self.method == "INVITE":
                    retransmit = False
                continue
            if self.method == "INVITE" and m.status >= 300:
                self.ua.start("ACK", self.uri, to=m.get("to"), frm=self.frm, call_id=self.call_id,
                              cseq=self.cseq, branch=self.branch)
            return m

    def resend(self):
        self.retransmissions += 1
        try:
            self.ua.send_raw(self.raw)
        except OSError:
            if self.ua.transport == "tcp":
                try:
                    self.ua.reconnect()
                except OSError:
                    pass

    def cancel(self, timeout_s=5.0):
        """CANCEL of this INVITE; returns the CANCEL's answer."""
        return self.ua.start("CANCEL", self.uri, to=self.to, frm=self.frm, call_id=self.call_id,
                             cseq=self.cseq, branch=self.branch).final(timeout_s)


class Dialog:
    """A dialog that this side opened."""

    def __init__(self, ua, uri, local, remote, call_id):
        self.ua, self.uri, self.local, self.remote, self.call_id = ua, uri, local, remote, call_id
        self.cseq = 1
        self.target = uri
        self.routes = []
        self.answer = None

    def invited(self, transaction, response, ack=True):
        if 200 <= response.status < 300:
            self.remote = response.get("to")
            self.target = response.contact_uri() or self.uri
            self.routes = list(reversed(response.all("record-route")))
            self.answer = response
            self._invite_cseq = transaction.cseq
            if ack:
                self.ack()
        return response

    def ack(self, body=b""):
        self.ua.start("ACK", self.target, to=self.remote, frm=self.local, call_id=self.call_id,
                      cseq=self._invite_cseq, body=body, headers=[f"Route: {r}" for r in self.routes])

    def start(self, method, body=b"", headers=(), **kw):
        self.cseq += 1
        return self.ua.start(method, self.target, to=self.remote, frm=self.local,
                             call_id=self.call_id, cseq=self.cseq, body=body,
                             headers=[*(f"Route: {r}" for r in self.routes), *headers], **kw)

    def request(self, method, body=b"", headers=(), timeout_s=5.0, retransmit=False, **kw):
        return self.start(method, body, headers, **kw).final(timeout_s, retransmit)

    def reinvite(self, body, headers=(), timeout_s=5.0, retransmit=False, ack=True, **kw):
        t = self.start("INVITE", body, headers, **kw)
        r = t.final(timeout_s, retransmit)
        if 200 <= r.status < 300:
            return self.invited(t, r, ack)
        return r

    def bye(self, timeout_s=5.0, retransmit=False):
        return self.request("BYE", timeout_s=timeout_s, retransmit=retransmit)

    def byed(self):
        """True when the remote has sent BYE in this dialog."""
        return any(m.method == "BYE" and m.get("call-id") == self.call_id for m in self.ua.requests)


def genesys(host, record, dn, record_dn, uuid="", other="", form="user", guid=None):
    """(request URI, headers) of a recording INVITE. form: user (record= in the user part),
    param (user `record`, ;record=DN), headers (any user, X-Genesys headers only)."""
    uuid = uuid or _uuid32(record)
    guid = guid or _guid(record)
    tail = f";otherDN={other}" if other else ""
    if form == "user":
        uri = f"sip:record={record}@{host};calluuid={uuid};dn={dn};recordDN={record_dn}{tail}"
    elif form == "param":
        uri = f"sip:record@{host};record={dn};recordDN={record_dn}{tail}"
    else:
        uri = f"sip:recorder@{host};dn={dn};recordDN={record_dn}{tail}"
    return uri, [f"X-Genesys-CallUUID: {uuid}",
                 f"X-Genesys-GVP-Session-ID: {guid};gvp.rm.datanodes=2|1;gvp.rm.tenant-id=1.102_PROFILE",
                 f"X-Genesys-GVP-Session-Data: callsession={guid};2;1;;;;Environment/Tenant;PROFILE",
                 "X-Genesys-RM-Application-dbid: 105", "Supported: timer, uui"]


def _uuid32(seed):
    r = random.Random(f"uuid/{seed}")
    return "".join(r.choice("0123456789ABCDEFGHIJKLMNOPQRSTUV") for _ in range(32))


def _guid(seed):
    r = random.Random(f"guid/{seed}")
    h = f"{r.getrandbits(128):032X}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
