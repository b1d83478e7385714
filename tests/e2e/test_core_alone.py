"""slr-core against a stand-in engine: what it asks for, when it refuses, what survives a kill."""
import json
import os
import sqlite3
import time

import pytest

from lib import procs, sip, wait
from lib.fake_engine import FakeEngine


class Bench:
    """A stand-in engine and a real core with its ports."""

    def __init__(self, directory, **engine):
        self.dir = str(directory)
        self.data = os.path.join(self.dir, "data")
        self.engine = FakeEngine(os.path.join(self.dir, "engine.sock"), **engine).up()
        self.core = procs.Proc("slr-core", [
            procs.binary("slr-core"), "--engine", self.engine.path, "--sip-udp", "127.0.0.1:0",
            "--sip-tcp", "127.0.0.1:0", "--data", self.data], os.path.join(self.dir, "slr-core.log"))
        self.uas = []
        self.args = list(self.core.argv)

    def start(self):
        hellos = len(self.engine.of("hello"))
        self.core.start()
        self.ports = wait.until("ports.json", self._ports)
        self.core.argv = self.args + ["--sip-udp", f"127.0.0.1:{self.ports['sip_udp']}",
                                      "--sip-tcp", f"127.0.0.1:{self.ports['sip_tcp']}"]
        wait.until("hello", lambda: len(self.engine.of("hello")) > hellos)
        wait.until("OPTIONS 200", lambda: self.ua().options().status == 200)
        return self

    def _ports(self):
        try:
            with open(os.path.join(self.data, "core", "ports.json")) as f:
                p = json.load(f)
            return p if p["pid"] == self.core.pid else None
        except (OSError, ValueError):
            return None

    def ua(self, transport="udp"):
        u = sip.Ua(("127.0.0.1", self.ports["sip_" + transport]), transport)
        self.uas.append(u)
        return u

    @property
    def host(self):
        return f"127.0.0.1:{self.ports['sip_udp']}"

    def invite(self, ua, record, dn, record_dn="1001", port=4000, **kw):
        uri, headers = sip.genesys(self.host, record, dn, record_dn)
        return ua.invite(uri, sip.offer([sip.M(port)]), headers=headers, **kw)

    def one_session(self):
        assert len(self.engine.sessions) == 1, self.engine.sessions
        return next(iter(self.engine.sessions.items()))

    def stored(self, table):
        db = sqlite3.connect(f"file:{self.data}/core/core.db?mode=ro", uri=True)
        try:
            return db.execute(f"select * from {table}").fetchall()
        finally:
            db.close()

    def close(self):
        for u in self.uas:
            u.close()
        if self.core.alive():
            self.core.terminate()
        self.engine.down()
        self.core.check()


@pytest.fixture
def bench(tmp_path):
    if procs.missing("slr-core"):
        pytest.skip(f"not built: slr-core in {procs.bin_dir()}")
    b = Bench(tmp_path)
    b.start()
    yield b
    b.close()


@pytest.mark.parametrize("order", [("1001", "1002"), ("1002", "1001")])
def test_two_legs_make_one_recording_whatever_their_order(bench, order):
    ua = bench.ua()
    dialogs = []
    for dn in order:
        d, r = bench.invite(ua, "R1", dn)
        assert r.status == 200
        dialogs.append(d)
    session, s = bench.one_session()
    assert s["channels"] == 2
    assert {leg["dn"]: leg["channel"] for leg in s["legs"].values()} == {"1001": 0, "1002": 1}
    assert dialogs[0].bye().status == 200
    assert session in bench.engine.sessions
    assert dialogs[1].bye().status == 200
    wait.until("sealed", lambda: bench.engine.sealed)
    assert bench.engine.sealed[0]["reason"] == "bye"
    wait.until("acknowledged", lambda: bench.engine.acked == len(bench.engine.events))


def test_same_dn_again_is_a_new_segment_and_a_third_dn_never_shares_a_channel(bench):
    ua = bench.ua()
    for dn in ("1002", "1001", "1003", "1004"):
        assert bench.invite(ua, "R2", dn)[1].status == 200
    first, s = bench.one_session()
    assert channels(s) == {"1001": 0, "1002": 1, "1003": 2, "1004": 3}
    bench.engine.heard(first, ago_s=1)
    wait.until("heard", lambda: bench.engine.acked == len(bench.engine.events))
    assert bench.invite(ua, "R2", "1005")[1].status == 200
    second = list(bench.engine.sessions.values())[1]
    assert channels(second) == {"1005": 1} and s["call"] == second["call"]
    assert bench.invite(ua, "R2", "1001")[1].status == 200
    assert channels(second) == {"1005": 1, "1001": 0}
    assert bench.invite(ua, "R2", "1001")[1].status == 200
    assert len(bench.engine.sessions) == 3


def channels(session):
    return {leg["dn"]: leg["channel"] for leg in session["legs"].values()}


def test_a_party_too_late_for_the_file_gets_its_own_recording(bench):
    """Only the engine knows exactly when a file has its shape: its CONFLICT is no refusal to the caller."""
    ua = bench.ua()
    dialogs = [bench.invite(ua, "RL", dn)[0] for dn in ("1001", "1002")]
    first, s = bench.one_session()
    s["shape"] = 2
    d, r = bench.invite(ua, "RL", "1003")
    assert r.status == 200 and r.sdp().media[0].port
    second = next(v for k, v in bench.engine.sessions.items() if k != first)
    assert channels(s) == {"1001": 0, "1002": 1} and channels(second) == {"1003": 1}
    assert second["call"] == s["call"] and second["meta"]["record_id"] == "RL"
    _, r = bench.invite(ua, "RL", "1004")
    assert r.status == 200 and channels(second) == {"1003": 1, "1004": 2}
    for x in dialogs:
        assert x.bye().status == 200
    wait.until("the first is sealed", lambda: len(bench.engine.sealed) == 1)
    assert d.reinvite(sip.offer([sip.M(4000, direction="inactive")], version=2)).status == 200
    assert d.bye().status == 200


def test_two_lines_too_late_for_the_file_move_together(bench):
    ua = bench.ua()
    bench.invite(ua, "RM", "1002")
    first, s = bench.one_session()
    s["shape"] = 2
    uri, headers = sip.genesys(bench.host, "RM", "1003", "1001", other="1004")
    d, r = ua.invite(uri, sip.offer([sip.M(4000), sip.M(4002)]), headers=headers)
    assert r.status == 200 and all(m.port for m in r.sdp().media)
    second = next(v for k, v in bench.engine.sessions.items() if k != first)
    assert {leg["dn"] for leg in second["legs"].values()} == {"1003", "1004"}
    assert len({leg["channel"] for leg in second["legs"].values()}) == 2
    assert not any(leg["open"] for leg in s["legs"].values() if leg["dn"] != "1002")
    assert d.bye().status == 200


def test_call_uuid_alone_never_pairs(bench):
    ua = bench.ua()
    for dn in ("1", "2"):
        _, r = ua.invite(f"sip:x@{bench.host};calluuid=U1;dn={dn}", sip.offer([sip.M(4000)]))
        assert r.status == 200
    assert len(bench.engine.sessions) == 2
    assert {s["call"] for s in bench.engine.sessions.values()} == {"U1"}
    assert {s["channels"] for s in bench.engine.sessions.values()} == {1}


def test_hold_and_resume_go_to_the_engine_and_versions_count(bench):
    ua = bench.ua()
    d, r = bench.invite(ua, "R3", "1001")
    v0 = r.sdp().version
    r = d.reinvite(sip.offer([sip.M(4000, direction="inactive")], version=2))
    assert r.status == 200 and r.sdp().media[0].direction == "inactive" and r.sdp().version == v0 + 1
    leg = next(iter(bench.one_session()[1]["legs"].values()))
    wait.until("held", lambda: leg["hold"])
    r = d.reinvite(sip.offer([sip.M(4010)], version=3))
    assert r.status == 200 and r.sdp().media[0].direction == "recvonly"
    wait.until("resumed", lambda: not leg["hold"] and leg["source_port"] == 4010)
    v = r.sdp().version
    r = d.reinvite(sip.offer([sip.M(4010)], version=3))
    assert r.sdp().version == v, "nothing changed, so neither does the version"
    assert d.bye().status == 200


def test_a_silent_engine_means_503_in_time_and_nothing_is_left(bench):
    bench.engine.silent = {"leg_open"}
    ua = bench.ua()
    began = time.monotonic()
    _, r = bench.invite(ua, "R4", "1001")
    assert r.status == 503 and r.get("retry-after")
    assert time.monotonic() - began < 0.7
    wait.until("undone", lambda: not bench.engine.sessions)
    bench.engine.silent = set()
    assert bench.invite(ua, "R4", "1001")[1].status == 200


def test_a_full_engine_means_503_but_a_known_call_gets_its_leg(bench):
    ua = bench.ua()
    assert bench.invite(ua, "R5", "1001")[1].status == 200
    bench.engine.refuse = {"session_open": "FULL"}
    _, r = bench.invite(ua, "R6", "1001")
    assert r.status == 503 and r.get("retry-after")
    assert bench.invite(ua, "R5", "1002")[1].status == 200


def test_no_engine_means_503_on_invite_and_options(bench):
    ua = bench.ua()
    bench.engine.down()
    wait.until("OPTIONS 503", lambda: ua.options().status == 503)
    _, r = bench.invite(ua, "R7", "1001")
    assert r.status == 503
    bench.engine.up()
    wait.until("OPTIONS 200", lambda: ua.options().status == 200)
    assert bench.invite(ua, "R7", "1001")[1].status == 200


def test_calls_go_on_over_an_engine_restart_and_bye_reaches_it_later(bench):
    ua = bench.ua()
    d, r = bench.invite(ua, "R8", "1001")
    assert r.status == 200
    bench.engine.down()
    assert d.reinvite(sip.offer([sip.M(4000, direction="inactive")], version=2)).status == 200
    assert d.bye().status == 200
    assert bench.engine.sessions
    bench.engine.up()
    wait.until("sealed", lambda: bench.engine.sealed)
    assert bench.engine.sealed[0]["reason"] == "bye"


def test_kill_9_of_the_core_and_the_dialogs_go_on(bench):
    ua = bench.ua()
    route = "<sip:127.0.0.1:15060;lr;x=1>"
    uri, headers = sip.genesys(bench.host, "R9", "1001", "1001")
    d1, r = ua.invite(uri, sip.offer([sip.M(4000)]), headers=[*headers, f"Record-Route: {route}"])
    assert r.status == 200
    d2, r = bench.invite(ua, "R9", "1002")
    assert r.status == 200
    bench.core.kill9()
    bench.start()
    r = d1.reinvite(sip.offer([sip.M(4000, direction="inactive")], version=2))
    assert r.status == 200 and r.to_tag == d1.answer.to_tag
    assert d1.request("INFO").status == 200
    assert d1.request("UPDATE", sip.offer([sip.M(4000)], version=3)).status == 200
    assert d1.reinvite(sip.offer([sip.M(4002)], version=4)).status == 200
    assert len(bench.engine.sessions) == 1
    bench.engine.heard(bench.one_session()[0], ago_s=1)
    wait.until("heard", lambda: bench.engine.acked == len(bench.engine.events))
    d3, r = bench.invite(ua, "R9", "1003")
    assert r.status == 200 and len({s["call"] for s in bench.engine.sessions.values()}) == 1
    for d in (d1, d2, d3):
        assert d.bye().status == 200
    wait.until("sealed", lambda: len(bench.engine.sealed) == 2)
    assert {s["reason"] for s in bench.engine.sealed} == {"bye"}
    assert d1.bye().status == 481


@pytest.mark.parametrize("offer", [sip.offer([sip.M(4000)]), b""], ids=["offer", "delayed"])
def test_a_death_between_store_and_200_and_the_invite_comes_again(bench, offer):
    ua = bench.ua()
    uri, headers = sip.genesys(bench.host, "RC", "1001", "1001")
    d = ua.dialog(uri)
    t = ua.start("INVITE", uri, to=d.remote, frm=d.local, call_id=d.call_id, cseq=1,
                 headers=[*headers, "Supported: timer", "Session-Expires: 1800"], body=offer)
    first = d.invited(t, t.final(), ack=False)  # it is in the store: as if this answer was never seen
    bench.core.kill9()
    bench.start()
    while not t.queue.empty():
        t.queue.get()  # repetitions of the old core's answer
    t.resend()
    again = t.final()
    assert again.status == 200 and again.to_tag == first.to_tag and again.body == first.body
    assert again.get("session-expires") == first.get("session-expires") and again.get("contact") == first.get("contact")
    t.resend()
    assert t.final().to_tag == first.to_tag, "and this is one transaction again"
    d.ack(b"" if offer else sip.offer([sip.M(4000)]))
    assert len(bench.one_session()[1]["legs"]) == 1 and len(bench.engine.of("session_open")) == 1
    assert d.reinvite(sip.offer([sip.M(4000, direction="inactive")], version=2)).status == 200
    stale = ua.start("INVITE", uri, to=t.to, frm=d.local, call_id=d.call_id, cseq=1, headers=headers,
                     body=sip.offer([sip.M(4000)]))
    assert stale.final().status == 482 and len(bench.engine.sessions) == 1
    assert d.bye().status == 200
    wait.until("sealed", lambda: bench.engine.sealed)


def test_sessions_that_nobody_knows_are_closed_as_orphans(bench):
    bench.core.kill9()
    bench.engine._session_open({"session": "0" * 31 + "1", "call": "x", "reserve": 2, "channels": 2, "meta": {}})
    bench.start()
    wait.until("orphan", lambda: bench.engine.sealed)
    assert bench.engine.sealed[0]["reason"] == "orphan"


def test_a_snapshot_in_parts_is_read_to_its_end(bench):
    ua = bench.ua()
    dialogs = [bench.invite(ua, f"RP{i}", "1001")[0] for i in range(5)]
    bench.core.kill9()
    bench.engine.part_rows = 2
    bench.engine._session_open({"session": "0" * 31 + "1", "call": "x", "reserve": 2, "channels": 2, "meta": {}})
    bench.start()
    wait.until("the last row's orphan", lambda: bench.engine.sealed)
    assert [s["session"] for s in bench.engine.sealed] == ["0" * 31 + "1"], "no call was taken for lost"
    for d in dialogs:
        assert not d.byed() and d.bye().status == 200


def test_an_epoch_older_than_the_engines_is_raised_and_kept(bench):
    bench.core.kill9()
    bench.engine.owner_epoch = 70
    bench.start()
    ua = bench.ua()
    d, r = bench.invite(ua, "REPOCH", "1001")
    assert r.status == 200 and bench.engine.owner_epoch == 71
    bench.engine.owner_epoch = 90  # another core was there meanwhile: the next command meets it
    assert d.reinvite(sip.offer([sip.M(4000, direction="inactive")], version=2)).status == 200
    leg = next(iter(bench.one_session()[1]["legs"].values()))
    wait.until("held", lambda: leg["hold"])
    assert bench.engine.owner_epoch == 91
    wait.until("stored", lambda: ("core_epoch", 91) in bench.stored("value"))
    assert d.bye().status == 200
    wait.until("sealed", lambda: bench.engine.sealed)


def test_a_call_that_the_engine_lost_is_ended(bench):
    ua = bench.ua()
    d, r = bench.invite(ua, "R10", "1001")
    assert r.status == 200
    bench.engine.down()
    bench.engine.sessions.clear()
    bench.engine.up()
    wait.until("BYE", d.byed)


def test_engine_that_seals_by_itself_ends_the_dialogs(bench):
    ua = bench.ua()
    d, _ = bench.invite(ua, "R11", "1001")
    session = bench.one_session()[0]
    bench.engine._command(_Nowhere(), {"cmd": "session_close", "id": 1, "session": session, "reason": "stop"})
    wait.until("BYE", d.byed)


class _Nowhere:
    def sendall(self, raw):
        pass


def test_silence_of_all_legs_ends_the_call(bench):
    ua = bench.ua()
    d, _ = bench.invite(ua, "R12", "1001")
    bench.engine.event("session_silent", session=bench.one_session()[0])
    wait.until("BYE", d.byed)
    wait.until("sealed", lambda: bench.engine.sealed)
    assert bench.engine.sealed[0]["reason"] == "silent"


def test_cancel_before_the_answer(bench):
    bench.engine.silent = {"leg_open"}
    ua = bench.ua()
    uri, headers = sip.genesys(bench.host, "R13", "1001", "1001")
    d = ua.dialog(uri)
    t = ua.start("INVITE", uri, to=d.remote, frm=d.local, call_id=d.call_id, cseq=1, headers=headers,
                 body=sip.offer([sip.M(4000)]))
    wait.until("leg_open", lambda: bench.engine.of("leg_open"))
    assert t.cancel().status == 200
    assert t.final().status == 487
    wait.until("closed", lambda: not bench.engine.sessions)
    assert bench.engine.sealed[0]["reason"] == "cancel"


def test_delayed_offer(bench):
    ua = bench.ua()
    uri, headers = sip.genesys(bench.host, "R14", "1001", "1001")
    d, r = ua.invite(uri, b"", headers=headers, ack=False)
    assert r.status == 200 and r.sdp().media[0].direction == "recvonly"
    d.ack(sip.offer([sip.M(4040)]))
    leg = next(iter(bench.one_session()[1]["legs"].values()))
    wait.until("answer taken", lambda: leg["source_port"] == 4040)
    d, r = ua.invite(uri.replace("R14", "R15"), b"", headers=headers, ack=False)
    d.ack()
    wait.until("BYE", d.byed)


def test_tcp(bench):
    ua = bench.ua("tcp")
    d, r = bench.invite(ua, "R16", "1001")
    assert r.status == 200 and "transport=tcp" in r.get("contact")
    assert d.bye().status == 200


def test_two_lines_in_one_dialog(bench):
    ua = bench.ua()
    uri, headers = sip.genesys(bench.host, "R17", "1001", "1002", other="1002")
    d, r = ua.invite(uri, sip.offer([sip.M(4000), sip.M(4002)]), headers=headers)
    assert r.status == 200 and len(r.sdp().media) == 2
    _, s = bench.one_session()
    assert {leg["dn"]: leg["channel"] for leg in s["legs"].values()} == {"1001": 1, "1002": 0}
    r = d.reinvite(sip.offer([sip.M(4000), sip.M(0)], version=2))
    assert r.status == 200 and r.sdp().media[1].port == 0
    wait.until("line closed", lambda: [leg["open"] for leg in s["legs"].values()] == [True, False])
    r = d.reinvite(sip.offer([sip.M(4000), sip.M(4002)], version=3))
    assert r.status == 200 and r.sdp().media[1].port != 0
    assert [leg["channel"] for leg in s["legs"].values()] == [1, 0, 0]


def test_unusable_reinvite_leaves_the_call_alone(bench):
    ua = bench.ua()
    d, _ = bench.invite(ua, "R18", "1001")
    t38 = (b"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
           b"m=image 4000 udptl t38\r\n")
    assert d.reinvite(t38).status == 488
    assert [leg["open"] for leg in bench.one_session()[1]["legs"].values()] == [True]
    assert d.bye().status == 200


def test_session_timer_ends_a_call_nobody_refreshes(bench):
    """90 s is the least that is taken; the stored end is moved instead of waiting for it."""
    ua = bench.ua()
    uri, headers = sip.genesys(bench.host, "R19", "1001", "1001")
    timer = [*headers, "Supported: timer", "Session-Expires: 90"]
    d, r = ua.invite(uri, sip.offer([sip.M(4000)]), headers=timer)
    assert r.status == 200 and r.get("session-expires") == "90;refresher=uac"
    kept, r = bench.invite(ua, "R19", "1002")
    assert r.status == 200
    refreshed, r = ua.invite(uri.replace("R19", "R19b"), sip.offer([sip.M(4000)]), headers=timer)
    assert r.status == 200
    bench.core.kill9()
    db = sqlite3.connect(f"{bench.data}/core/core.db")
    for key, record in db.execute("select key, record from dialog").fetchall():
        record = json.loads(record)
        if record["expires_s"]:
            assert 80e9 < record["expires_wall_ns"] - time.time_ns() <= 90e9
            record["expires_wall_ns"] = time.time_ns() + 2_500_000_000
            db.execute("update dialog set record=? where key=?", (json.dumps(record), key))
    db.commit()
    db.close()
    bench.start()
    assert refreshed.request("UPDATE", headers=["Session-Expires: 90;refresher=uac"]).status == 200
    first = next(s for s in bench.engine.sessions.values() if s["meta"]["record_id"] == "R19")
    wait.until("BYE", d.byed, 6)
    assert not kept.byed() and not refreshed.byed()
    leg = next(x for x in first["legs"].values() if x["dn"] == "1001")
    wait.until("its leg is closed", lambda: not leg["open"])
    assert [c["reason"] for c in bench.engine.of("leg_close")] == ["timer"]
    assert kept.bye().status == 200 and refreshed.bye().status == 200
    wait.until("sealed", lambda: len(bench.engine.sealed) == 2)


def test_session_timer_is_agreed_or_its_least_named(bench):
    ua = bench.ua()
    uri, headers = sip.genesys(bench.host, "R20", "1001", "1001")
    d, r = ua.invite(uri, sip.offer([sip.M(4000)]), headers=[*headers, "Supported: timer", "Session-Expires: 1800"])
    assert r.status == 200 and r.get("session-expires") == "1800;refresher=uac" and r.get("require") == "timer"
    _, r = ua.invite(uri.replace("R20", "R21"), sip.offer([sip.M(4000)]), headers=[*headers, "Session-Expires: 20"])
    assert r.status == 422 and r.get("min-se") == "90"


def test_bye_before_the_second_leg_comes_makes_two_segments(bench):
    ua = bench.ua()
    d, _ = bench.invite(ua, "R22", "1001")
    assert d.bye().status == 200
    assert bench.invite(ua, "R22", "1002")[1].status == 200
    assert len(bench.engine.sealed) == 1 and len(bench.engine.sessions) == 1


def test_sigterm_leaves_the_calls_alone(bench):
    ua = bench.ua()
    d, _ = bench.invite(ua, "R23", "1001")
    assert bench.core.terminate() == 0
    assert not d.byed() and bench.engine.sessions
    bench.start()
    assert d.bye().status == 200
    wait.until("sealed", lambda: bench.engine.sealed)


def test_who_is_not_allowed_gets_403_and_nothing_else_happens(tmp_path):
    if procs.missing("slr-core"):
        pytest.skip(f"not built: slr-core in {procs.bin_dir()}")
    b = Bench(tmp_path)
    b.core.argv += ["--sip-allow", "192.0.2.0/24"]
    b.core.start()
    b.ports = wait.until("ports.json", b._ports)
    try:
        ua = b.ua()
        wait.until("hello", lambda: b.engine.of("hello"))
        assert ua.options().status == 403
        assert b.invite(ua, "R30", "1001")[1].status == 403
        assert not b.engine.of("session_open")
    finally:
        b.close()


@pytest.mark.parametrize("how", ["in time", "late", "conflict"])
def test_a_line_added_later_gets_a_further_channel_or_is_refused_never_mixed(bench, how):
    ua = bench.ua()
    uri, headers = sip.genesys(bench.host, "R31", "1001", "1001", other="1002")
    d, r = ua.invite(uri, sip.offer([sip.M(4000), sip.M(4002)]), headers=headers)
    assert r.status == 200
    session, s = bench.one_session()
    if how == "late":
        bench.engine.heard(session, ago_s=1)
        wait.until("heard", lambda: bench.engine.acked == len(bench.engine.events))
    elif how == "conflict":
        s["shape"] = 2
    for version in (2, 3):
        r = d.reinvite(sip.offer([sip.M(4000), sip.M(4002), sip.M(4004)], version=version))
        assert r.status == 200 and [m.port != 0 for m in r.sdp().media] == [True, True, how == "in time"]
        assert [leg["channel"] for leg in s["legs"].values()] == ([0, 1, 2] if how == "in time" else [0, 1])
    assert d.bye().status == 200
