"""SIP as a media server, an SBC and a resource manager speak it, beyond the plain call."""
import os
import time

import pytest

from lib import ledger, rtp, sip, wait, wav
from lib.call import Call, fetch


@pytest.fixture
def rig(rigs):
    return rigs(capture="uring").start()


@pytest.fixture
def ua(rig):
    u = sip.Ua(rig.sip)
    yield u
    u.close()


def host(rig):
    return f"{rig.sip[0]}:{rig.sip[1]}"


def media(answer, i=0):
    return answer.sdp().address(i)


def test_options_is_answered_with_abilities(rig, ua):
    r = ua.options()
    assert r.status == 200
    assert "INVITE" in r.get("allow") and "application/sdp" in r.get("accept")
    r = ua.request("OPTIONS", f"sip:REC:5060", to="sip:REC:5060")  # as the resource manager sends it
    assert r.status == 200


def test_comma_joined_vias_and_record_route_come_back_unchanged(rig, ua):
    route = "<sip:0xAB12@127.0.0.1:15060;lr;gvp.rm.datanodes=1;confinstid=R1;idtag=0000000C>"
    uri, headers = sip.genesys(host(rig), "VIA1", "1", "1")
    second = ",SIP/2.0/TCP 10.9.9.9:7090;branch=z9hG4bKsecond"
    d, r = ua.invite(uri, sip.offer([sip.M(4000)]), headers=[*headers, f"Record-Route: {route}"],
                     via_extra=second)
    assert r.status == 200
    vias = [v.strip() for line in r.all("via") for v in line.split(",")]
    assert len(vias) == 2 and "branch=z9hG4bKsecond" in vias[1] and "10.9.9.9:7090" in vias[1]
    assert r.all("record-route") == [route]
    assert d.bye().status == 200


def test_no_common_codec_is_488(rig, ua):
    uri, headers = sip.genesys(host(rig), "C488", "1", "1")
    _, r = ua.invite(uri, sip.offer([sip.M(4000, codecs=((97, "EVS/16000"),), events=0)]), headers=headers)
    assert r.status == 488


def test_unknown_body_type_is_415_with_accept(rig, ua):
    uri, headers = sip.genesys(host(rig), "C415", "1", "1")
    _, r = ua.invite(uri, b"hello", headers=headers, ctype="text/plain")
    assert r.status == 415 and "application/sdp" in r.get("accept")


def test_unknown_require_is_420(rig, ua):
    uri, headers = sip.genesys(host(rig), "C420", "1", "1")
    _, r = ua.invite(uri, sip.offer([sip.M(4000)]), headers=[*headers, "Require: nonsense-tag"])
    assert r.status == 420 and "nonsense-tag" in r.get("unsupported")


def test_malformed_sdp_is_4xx(rig, ua):
    for n, body in enumerate((b"v=0\r\nm=audio", b"\0\0\0\0", b"m=audio 49217 RTP/AVP 0 ,8\r\n",
                              b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nm=audio 99999999 RTP/AVP 8\r\n")):
        uri, headers = sip.genesys(host(rig), f"BAD{n}", "1", "1")
        d, r = ua.invite(uri, body, headers=headers)
        if n == 2 and r.status == 200:  # a readable m-line without the rest: repaired and counted
            assert rig.api.metrics()["slr_core_sdp_repairs_total"] > 0 and d.bye().status == 200
            continue
        assert 400 <= r.status < 500, (n, r.start)
    assert ua.options().status == 200


def test_addresses_that_are_not_allowed_get_403(rigs):
    rig = rigs(core_args=("--sip-allow", "127.0.0.1/32")).start()
    good, bad = sip.Ua(rig.sip), sip.Ua(rig.sip, local=("127.0.0.2", 0))
    uri, headers = sip.genesys(host(rig), "C403", "1", "1")
    _, r = bad.invite(uri, sip.offer([sip.M(4000)]), headers=headers)
    assert r.status == 403
    assert good.options().status == 200
    assert any("403" in k or "denied" in k or "forbidden" in k or "refused" in k
               for k, v in rig.api.metrics().items() if v > 0), "no counter tells of the refusal"
    good.close(), bad.close()


def test_full_engine_is_503_with_retry_after_and_comes_back(rigs):
    """-S 4: two calls; the third is refused, OPTIONS says 503; a leg of a known call is not."""
    rig = rigs(engine_args=("-S", "4")).start()
    with Call(rig) as a, Call(rig) as b, Call(rig) as c:
        a.invite(0)
        b.invite(0)
        t = time.monotonic()
        r = c.invite(0, expect=503)
        assert time.monotonic() - t < 0.6 and r.get("retry-after")
        wait.until("OPTIONS is 503 while full", lambda: a.ua.options().status == 503, 3)
        a.invite(1), b.invite(1)  # both streams were reserved with the first leg
        a.bye()
        wait.until("OPTIONS is 200 again", lambda: a.ua.options().status == 200, 5)
        c.invite_all()
        c.bye(), b.bye()


def test_drain_refuses_new_calls_and_keeps_known_ones(rig):
    from lib import procs
    if procs.missing("slrctl"):
        pytest.skip("slrctl is not built")
    with Call(rig) as a, Call(rig) as b:
        a.invite(0)
        child = procs.Proc("slrctl", [procs.binary("slrctl"), "drain", "--api", f"http://{rig.http[0]}:{rig.http[1]}"],
                           rig.dir + "/slrctl.log").start()
        wait.until("OPTIONS is 503 while draining", lambda: a.ua.options().status == 503, 5)
        b.invite(0, expect=503)
        a.invite(1)
        a.bye()
        wait.until("drain ends when the last call is over", lambda: not child.alive(), 10)
        assert child.child.returncode == 0, child.tail()


def test_cancel_after_200_has_no_effect_and_bye_twice_is_481(rig):
    with Call(rig) as c:
        c.invite(0)
        d = c.dialogs[0]
        assert d.bye().status == 200
        assert d.bye().status == 481
        c.entry()


def test_cancel_of_a_pending_invite(rigs):
    """The engine is frozen (SIGSTOP), so the INVITE is pending: CANCEL gives 200 and 487."""
    import signal
    rig = rigs(capture="socket").start()
    u = sip.Ua(rig.sip)
    uri, headers = sip.genesys(host(rig), "CANCEL1", "1", "1")
    os.kill(rig.engine.pid, signal.SIGSTOP)
    try:
        d = u.dialog(uri)
        t = u.start("INVITE", uri, to=d.remote, frm=d.local, call_id=d.call_id, cseq=1, headers=headers,
                    body=sip.offer([sip.M(4000)]))
        r = t.cancel(2)
        assert r.status == 200
        assert t.final(2).status in (487, 503)
    finally:
        os.kill(rig.engine.pid, signal.SIGCONT)
    wait.until("no stream stays reserved", lambda: rig.api.status()["engine"].get("streams_used", 0) == 0, 5)
    u.close()


def test_frozen_engine_gives_503_within_600_ms(rigs):
    import signal
    rig = rigs(capture="socket").start()
    with Call(rig) as c:
        os.kill(rig.engine.pid, signal.SIGSTOP)
        try:
            t = time.monotonic()
            c.invite(0, expect=503)
            assert time.monotonic() - t < 0.7
            assert c.ua.options().status in (200, 503)
        finally:
            os.kill(rig.engine.pid, signal.SIGCONT)
    wait.until("nothing stays reserved", lambda: rig.api.status()["engine"].get("streams_used", 0) == 0, 5)


def test_retransmitted_invite_is_one_dialog(rig, ua):
    uri, headers = sip.genesys(host(rig), "RETR", "11", "11")
    d = ua.dialog(uri)
    t = ua.start("INVITE", uri, to=d.remote, frm=d.local, call_id=d.call_id, cseq=1, headers=headers,
                 body=sip.offer([sip.M(4000)]))
    t.resend()
    first = d.invited(t, t.final(), ack=False)
    assert first.status == 200
    t.resend()
    again = t.final()
    d.ack()
    assert again.status == 200 and again.to_tag == first.to_tag and again.body == first.body
    assert len(rig.api.calls()) == 1
    assert d.bye().status == 200


def test_missing_ack_repeats_the_200(rig, ua):
    uri, headers = sip.genesys(host(rig), "NOACK", "11", "11")
    d = ua.dialog(uri)
    t = ua.start("INVITE", uri, to=d.remote, frm=d.local, call_id=d.call_id, cseq=1, headers=headers,
                 body=sip.offer([sip.M(4000)]))
    r = d.invited(t, t.final(), ack=False)
    assert t.final(3).status == 200, "the 200 is repeated until the ACK comes"
    d.ack()
    assert r.status == 200 and d.bye().status == 200


def test_bye_before_ack(rig, ua):
    uri, headers = sip.genesys(host(rig), "BYEACK", "11", "11")
    d, r = ua.invite(uri, sip.offer([sip.M(4000)]), headers=headers, ack=False)
    assert r.status == 200 and d.bye().status == 200


def test_update_info_and_options_in_a_dialog(rig):
    with Call(rig) as c:
        c.invite_all()
        d = c.dialogs[0]
        assert d.request("UPDATE").status == 200
        c._versions[0] += 1
        r = d.request("UPDATE", c.offer(0, "inactive"))
        assert r.status == 200 and r.sdp().media[0].direction == "inactive"
        assert d.request("INFO", b"Signal=1\r\n", ctype="application/dtmf-relay").status in (200, 415)
        assert d.request("OPTIONS").status == 200
        assert c.ua.request("INFO").status == 481
        c.bye()


def test_old_cseq_in_a_dialog_is_refused(rig):
    with Call(rig) as c:
        c.invite(0)
        d = c.dialogs[0]
        d.cseq += 5
        assert c.reinvite(0).status == 200
        d.cseq -= 4
        assert c.reinvite(0).status == 500
        d.cseq += 4
        c.bye(0)


def test_answer_directions_and_rejected_lines(rig, ua):
    """sendrecv becomes recvonly, inactive stays, video is refused with port 0, order is kept."""
    uri, headers = sip.genesys(host(rig), "DIR", "1", "1")
    body = sip.offer([sip.M(4010, kind="video", codecs=((96, "VP8/90000"),), events=0),
                      sip.M(4000, direction="sendrecv")])
    d, r = ua.invite(uri, body, headers=headers)
    s = r.sdp()
    assert r.status == 200 and [m.kind for m in s.media] == ["video", "audio"]
    assert s.media[0].port == 0 and s.media[1].port != 0 and s.media[1].direction == "recvonly"
    d.bye()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_one_dialog_with_two_m_lines(rig, transport):
    u = sip.Ua(rig.sip, transport)
    sender = rtp.Sender()
    src = [sender.bind(), sender.bind()]
    uri, headers = sip.genesys(host(rig), f"TWO{transport}", "3001", "3001", other="3002")
    d, r = u.invite(uri, sip.offer([sip.M(src[0][1]), sip.M(src[1][1])]), headers=headers)
    assert r.status == 200, r.start
    s = r.sdp()
    assert len(s.media) == 2 and all(m.direction == "recvonly" for m in s.media)
    plans = [rtp.plan(f"two{transport}{i}", 2, start_s=0.1) for i in (0, 1)]
    for i in (0, 1):
        sender.add(plans[i], s.address(i), src[i])
    sender.start().join()
    assert d.bye().status == 200
    e = rig.wait_recording()
    _, w, led = fetch(rig, e["id"])
    assert w.channels == 2 and len(led.legs) == 2
    for i in (0, 1):
        assert wav.compare(w, i, plans[i].truth()).ok
    u.close(), sender.close()


def test_whole_call_over_tcp(rig):
    with Call(rig, transport="tcp") as c:
        c.invite_all()
        c.play(0, 1), c.play(1, 1)
        c.run()
        c.bye()
        _, w, led = c.result()
        c.verify(0, w, led), c.verify(1, w, led)


def test_tcp_split_byte_by_byte_and_two_messages_in_one_segment(rig):
    u = sip.Ua(rig.sip, "tcp")
    sent = []
    whole = u.send_raw
    u.send_raw = sent.append
    a = u.start("OPTIONS", f"sip:{host(rig)}", to=f"<sip:{host(rig)}>", frm="<sip:a@b>;tag=1", call_id="a", cseq=1)
    b = u.start("OPTIONS", f"sip:{host(rig)}", to=f"<sip:{host(rig)}>", frm="<sip:a@b>;tag=1", call_id="b", cseq=1)
    u.send_raw = whole
    for i in range(len(sent[0])):
        whole(sent[0][i : i + 1])
    assert a.final().status == 200
    whole(b"\r\n\r\n" + sent[1] + sent[1][:40])
    assert b.final().status == 200
    u.close()


def test_new_tcp_connection_for_the_bye(rig):
    """The connection of the INVITE is gone; BYE comes on another one."""
    with Call(rig, transport="tcp") as c:
        c.invite_all()
        c.ua.reconnect()
        c.bye()
        c.entry()


def test_third_dn_before_any_packet_is_a_further_channel(rig):
    with Call(rig, legs=3) as c:
        c.invite_all()
        for i in range(3):
            c.play(i, 1, start_s=0.1)
        c.run()
        c.bye()
        _, w, led = c.result()
        assert w.channels == 3 and sorted(leg.channel for leg in led.legs) == [0, 1, 2]
        for i in range(3):
            c.verify(i, w, led)


def test_third_dn_once_the_file_has_its_shape_is_a_second_recording(rig):
    with Call(rig, legs=3) as c:
        c.invite(0), c.invite(1)
        c.play(0, 3), c.play(1, 3)
        c.start()
        conversation = c.live()["call"]
        wait.until("the file is written", lambda: any(os.path.getsize(f) > 1000 for f in rig.rec_files()))
        c.invite(2)
        c.plans[2] = rtp.plan("late", 0.5)
        extra = rtp.Sender()
        extra.add(c.plans[2], c.media[2], extra.bind()).start().join()
        c.join()
        c.bye()
        wait.until("both sealed", lambda: len([r for r in rig.api.recordings() if r["state"] == "sealed"]) > 1)
        recs = rig.api.recordings()
        assert len(recs) == 2 and {r["call"] for r in recs} == {conversation}
        for r in recs:
            _, w, led = fetch(rig, r["id"])
            for leg in led.legs:
                assert wav.compare(w, leg.channel, c.plans[c.dns.index(leg.dn)].truth()).ok
        assert sorted(len(r["dns"]) for r in recs) == [1, 2]
        extra.close()


@pytest.mark.parametrize("scheme", ["min-se", "refresh"])
def test_session_timer(rig, ua, scheme):
    uri, headers = sip.genesys(host(rig), f"ST{scheme}", "1", "1")
    if scheme == "min-se":
        _, r = ua.invite(uri, sip.offer([sip.M(4000)]), headers=[*headers, "Session-Expires: 20"])
        assert r.status == 422 and int(r.get("min-se")) >= 90
    else:
        d, r = ua.invite(uri, sip.offer([sip.M(4000)]), headers=[*headers, "Session-Expires: 1800;refresher=uac"])
        assert r.status == 200 and "1800" in r.get("session-expires")
        assert d.request("UPDATE", headers=["Session-Expires: 1800;refresher=uac"]).status == 200
        d.bye()


def test_delayed_offer(rig, ua):
    """INVITE without SDP: the 200 offers recvonly, the answer comes in the ACK."""
    uri, headers = sip.genesys(host(rig), "DELAY", "77", "77")
    d, r = ua.invite(uri, b"", headers=headers, ack=False)
    assert r.status == 200
    offered = r.sdp()
    assert offered.media and offered.media[0].direction == "recvonly" and offered.media[0].port
    sender = rtp.Sender()
    src = sender.bind()
    d.ack(sip.offer([sip.M(src[1])]))
    p = rtp.plan("delayed", 1, start_s=0.2)
    sender.add(p, offered.address(0), src).start().join()
    d.bye()
    e = rig.wait_recording()
    _, w, led = fetch(rig, e["id"])
    assert led.packets == len(p.sent)
    sender.close()


def test_ipv6_call(rigs):
    rig = rigs(media_ip="::1", sip_ip="::1").start()
    u = sip.Ua(rig.sip, local=("::1", 0))
    assert u.options().status == 200
    sender = rtp.Sender()
    src = sender.bind("::1")
    uri, headers = sip.genesys(f"[::1]:{rig.sip[1]}", "V6", "1", "1")
    d, r = u.invite(uri, sip.offer([sip.M(src[1])], ip="::1"), headers=headers)
    assert r.status == 200 and r.sdp().address(0)[0] == "::1"
    p = rtp.plan("v6", 1, start_s=0.1)
    sender.add(p, r.sdp().address(0), src).start().join()
    d.bye()
    e = rig.wait_recording()
    _, w, _ = fetch(rig, e["id"])
    assert wav.compare(w, 0, p.truth()).ok
    u.close(), sender.close()
