"""SIPREC (RFC 7866): multipart in any order, labels, metadata, and how vendors bend it."""
import pytest

from lib import rtp, sip, wait, wav
from lib.call import fetch

META = 'application/rs-metadata+xml'
DISPOSITION = "Content-Disposition: recording-session"


@pytest.fixture
def rig(rigs):
    return rigs(capture="uring").start()


class Src:
    """A session recording client with two streams."""

    def __init__(self, rig, transport="udp"):
        self.rig = rig
        self.ua = sip.Ua(rig.sip, transport)
        self.sender = rtp.Sender()
        self.src = [self.sender.bind(), self.sender.bind()]
        self.uri = f"sip:srs@{rig.sip[0]}:{rig.sip[1]}"

    def sdp(self, labels=("1", "2"), version=1, direction="sendonly", **kw):
        return sip.offer([sip.M(self.src[i][1], label=labels[i], direction=direction) for i in range(2)],
                         version=version, session=900, **kw)

    def parts(self, sdp=None, meta=None, order="sdp-first", meta_type=META):
        parts = [("application/sdp", sdp or self.sdp()), (meta_type, meta or sip.metadata(), DISPOSITION)]
        return parts if order == "sdp-first" else parts[::-1]

    def invite(self, parts, headers=("Require: siprec",), contact=";+sip.src", **kw):
        ctype, body = sip.multipart(parts, **kw)
        self.d, r = self.ua.invite(self.uri, body, headers=list(headers), ctype=ctype, contact_params=contact)
        return r

    def talk(self, r, seconds=1.0):
        s = r.sdp()
        self.plans = [rtp.plan(f"siprec{self.ua.local[1]}/{i}", seconds, start_s=0.1) for i in range(2)]
        for i in range(2):
            self.sender.add(self.plans[i], s.address(i), self.src[i])
        self.sender.start().join()

    def finish(self, meta=True):
        assert self.d.bye().status == 200
        e = self.rig.wait_recording()
        entry, w, led = fetch(self.rig, e["id"])
        for i in range(2):
            assert wav.compare(w, i, self.plans[i].truth()).ok, f"channel {i}"
        return entry, w, led

    def close(self):
        self.ua.close(), self.sender.close()


@pytest.fixture
def src(rig):
    s = Src(rig)
    yield s
    s.close()


@pytest.mark.parametrize("order", ["sdp-first", "metadata-first"])
@pytest.mark.parametrize("quoted", [False, True])
def test_both_orders_labels_and_participants(src, order, quoted):
    r = src.invite(src.parts(order=order), quoted=quoted, preamble=b"this is a preamble\r\n")
    assert r.status == 200, r.start
    assert "+sip.srs" in r.get("contact")
    s = r.sdp()
    assert [m.attr("label") for m in s.media] == ["1", "2"]
    assert all(m.direction == "recvonly" for m in s.media)
    src.talk(r)
    entry, _, _ = src.finish()
    text = str(entry)
    assert "sip:alice@x" in text and "sip:bob@x" in text


def test_over_tcp(rig):
    s = Src(rig, "tcp")
    r = s.invite(s.parts())
    assert r.status == 200
    s.talk(r)
    s.finish()
    s.close()


def test_unknown_third_part_optional_and_required(src):
    extra = ("application/gtd", b"GCI,x\r\n", "Content-Disposition: signal;handling=optional")
    r = src.invite(src.parts() + [extra])
    assert r.status == 200
    assert src.d.bye().status == 200
    bad = ("application/gtd", b"GCI,x\r\n", "Content-Disposition: signal;handling=required")
    assert src.invite(src.parts() + [bad]).status == 415


def test_no_closing_boundary_is_400_or_taken(src):
    """sip.md asks for 400; protocols.md 2.3 for leniency: it must be one clear answer."""
    r = src.invite(src.parts(), close=False)
    assert r.status in (200, 400)
    if r.status == 200:
        src.d.bye()


def test_metadata_only_update_without_sdp(src):
    r = src.invite(src.parts())
    src.talk(r)
    more = sip.metadata(people=(("P1", "sip:carol@x", "T1", "1"), ("P2", "sip:bob@x", "T2", "2")))
    u = src.d.request("UPDATE", more, [DISPOSITION], ctype=META)
    assert u.status == 200
    entry, _, _ = src.finish()
    assert "carol" in str(entry)


def test_reinvite_with_metadata_and_sdp_holds_and_resumes(src):
    r = src.invite(src.parts())
    ctype, body = sip.multipart(src.parts(sdp=src.sdp(version=2, direction="inactive")))
    h = src.d.reinvite(body, ctype=ctype)
    assert h.status == 200 and all(m.direction == "inactive" for m in h.sdp().media)
    ctype, body = sip.multipart(src.parts(sdp=src.sdp(version=3)))
    h = src.d.reinvite(body, ctype=ctype)
    assert h.status == 200 and [m.port for m in h.sdp().media] == [m.port for m in r.sdp().media]
    src.talk(r)
    src.finish()


def test_oracle_shape(src):
    """Close delimiter with a blank, huge labels, draft-style metadata, parameter inside brackets."""
    meta = (b"<?xml version='1.0' encoding='UTF-8'?><recording xmlns='urn:ietf:params:xml:ns:recording'>"
            b"<dataMode>complete</dataMode><session id='S'/><participant id='P1' session='S'><nameID aor="
            b"'sip:alice@x'/><send>T1</send></participant><participant id='P2' session='S'><nameID aor="
            b"'sip:bob@x'/><send>T2</send></participant><stream id='T1' session='S'><label>16777219</label>"
            b"</stream><stream id='T2' session='S'><label>16777220</label></stream></recording>")
    ctype, body = sip.multipart(src.parts(sdp=src.sdp(labels=("16777219", "16777220")), meta=meta),
                                boundary="unique-boundary-1")
    src.d, r = src.ua.invite(src.uri, body.rstrip(b"\r\n") + b" \r\n", headers=["Require: siprec"], ctype=ctype)
    assert r.status == 200 and r.sdp().media[0].attr("label") == "16777219"
    src.talk(r)
    entry, _, _ = src.finish()
    assert "alice" in str(entry)


def test_broadworks_shape(src):
    """No Require, Contact ;src, metadata first, other root and namespace, ids as child elements."""
    meta = (b"<recording_metadata xmlns='urn:ietf:params:xml:ns:siprec'><dataMode>complete</dataMode>"
            b"<session id='urn:uuid:1'/><participant id='urn:uuid:2'><nameID aor='sip:alice@x'/>"
            b"<send><id>urn:uuid:4</id></send></participant><stream id='urn:uuid:4' session='urn:uuid:1'>"
            b"<label>1</label></stream></recording_metadata>")
    r = src.invite(src.parts(meta=meta, order="metadata-first"), headers=(), contact=";src",
                   boundary="UniqueBroadWorksBoundary")
    assert r.status == 200
    src.talk(r)
    entry, _, _ = src.finish()
    assert "alice" in str(entry)


def test_metadata_without_plus_xml_and_no_session_level_c(src):
    r = src.invite(src.parts(sdp=src.sdp(session_c=False), meta_type="application/rs-metadata"))
    assert r.status == 200
    src.talk(r)
    src.finish()


@pytest.mark.parametrize("meta", [
    b"<recording><unclosed>", b"", b"<!DOCTYPE a [<!ENTITY x 'y'>]><recording>&x;</recording>",
    b"<recording>" + b"<a>" * 5000 + b"</recording>", b"\0\xff\xfe not xml"],
    ids=["unclosed", "empty", "entity", "deep", "binary"])
def test_bad_metadata_never_stops_the_recording(src, meta):
    """The recording is still made, or the answer is a clear 4xx; the core lives."""
    r = src.invite(src.parts(meta=meta or b"\r\n"))
    assert r.status == 200 or 400 <= r.status < 500
    if r.status == 200:
        src.talk(r)
        src.finish()
    assert src.ua.options().status == 200


def test_entities_are_never_expanded(src):
    laugh = b"<!DOCTYPE l [<!ENTITY a 'ha'>" + b"".join(
        b"<!ENTITY %c '%s'>" % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(8)) + b"]><recording>&i;</recording>"
    r = src.invite(src.parts(meta=laugh))
    assert r.status == 200 or 400 <= r.status < 500
    if r.status == 200:
        src.d.bye()
    assert src.ua.options().status == 200


def test_stored_metadata_is_verbatim(src, rig):
    meta = sip.metadata(session="VERBATIM-77")
    r = src.invite(src.parts(meta=meta))
    src.talk(r)
    src.finish()
    import sqlite3
    db = sqlite3.connect(f"file:{rig.data}/core/core.db?mode=ro", uri=True)
    names = [n for (n,) in db.execute("select name from sqlite_master where type='table'")]
    found = False
    for n in names:
        for row in db.execute(f"select * from \"{n}\""):
            found = found or any((v if isinstance(v, bytes) else str(v).encode()) == meta for v in row)
    db.close()
    assert found, "the received XML is not stored unchanged"


def test_srtp_keys_are_not_in_the_database_or_logs(rig, src):
    key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
    body = sip.offer([sip.M(src.src[0][1], proto="RTP/SAVP",
                            extra=(f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^20|1:4",))])
    uri, headers = sip.genesys(f"{rig.sip[0]}:{rig.sip[1]}", "SAVP", "1", "1")
    d, r = src.ua.invite(uri, body, headers=headers)
    if r.status == 200:
        d.bye()
        wait.until("no call is left", lambda: not rig.api.calls())
    import glob
    for path in glob.glob(f"{rig.data}/**/*", recursive=True) + [rig.engine.log_path, rig.core.log_path]:
        try:
            with open(path, "rb") as f:
                assert key.encode() not in f.read(), f"SRTP key in {path}"
        except IsADirectoryError:
            pass
