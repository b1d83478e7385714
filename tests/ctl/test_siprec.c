/* Recording metadata in the dialects that are really sent. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/siprec.h"

static struct slr_siprec meta;

static enum slr_err read_xml(const char *xml)
{
    size_t n = strlen(xml);
    char *exact = malloc(n ? n : 1);
    memcpy(exact, xml, n);
    enum slr_err err = slr_siprec_read(slr_slice_of(exact, n), &meta);
    free(exact);
    return err;
}

static void expect_sender(const char *label, const char *aor)
{
    const struct slr_siprec_participant *p = slr_siprec_sender(&meta, label);
    cr_assert_not_null(p, "label %s", label);
    cr_assert_str_eq(p->aor, aor);
}

Test(siprec, rfc7865)
{
    cr_assert_eq(
        read_xml("<?xml version='1.0'?>\n<recording xmlns='urn:ietf:params:xml:ns:recording:1'>"
                 "<datamode>complete</datamode><session session_id='S1'/>"
                 "<participant participant_id='P1'><nameID aor='sip:alice@x'><name>Alice</name>"
                 "</nameID></participant><participant participant_id='P2'><nameID aor='tel:+49'/>"
                 "</participant><stream stream_id='T1' session_id='S1'><label>1</label></stream>"
                 "<stream stream_id='T2' session_id='S1'><label> 2 </label></stream>"
                 "<participantstreamassoc participant_id='P1'><send>T1</send><recv>T2</recv>"
                 "</participantstreamassoc><participantstreamassoc participant_id='P2'>"
                 "<send>T2</send></participantstreamassoc></recording>"),
        SLR_OK);
    cr_assert_str_eq(meta.session, "S1");
    cr_assert(!meta.partial);
    cr_assert_str_eq(meta.participant[0].name, "Alice");
    expect_sender("1", "sip:alice@x");
    expect_sender("2", "tel:+49");
    cr_assert_null(slr_siprec_sender(&meta, "3"));
}

Test(siprec, draft_style_with_send_inside_the_participant)
{
    cr_assert_eq(
        read_xml("<recording xmlns='urn:ietf:params:xml:ns:recording'><dataMode>partial</dataMode>"
                 "<session id='A'/><participant id='P' session='A'><aor>sip:7@h</aor><send>X</send>"
                 "</participant><stream id='X' "
                 "session='A'><label>16777219</label></stream></recording>"),
        SLR_OK);
    cr_assert(meta.partial);
    expect_sender("16777219", "sip:7@h");
}

Test(siprec, broadworks_ids_as_children_and_own_root)
{
    cr_assert_eq(
        read_xml(
            "<recording_metadata "
            "xmlns='urn:ietf:params:xml:ns:siprec'><dataMode>complete</dataMode>"
            "<session id='urn:uuid:1'/><participantStreamAssoc "
            "participant='p'><send><id>s</id></send>"
            "</participantStreamAssoc><participant id='p'><nameID aor='5000@bw'/></participant>"
            "<stream id='s'><label>L</label></stream></recording_metadata>"),
        SLR_OK);
    cr_assert_str_eq(meta.session, "urn:uuid:1");
    expect_sender("L", "5000@bw");
}

Test(siprec, prefixed_names)
{
    cr_assert_eq(
        read_xml("<tns:recording xmlns:tns='x'><tns:session tns:session_id='Q'/></tns:recording>"),
        SLR_OK);
    cr_assert_str_eq(meta.session, "Q");
}

Test(siprec, contested_streams_are_not_guessed)
{
    cr_assert_eq(
        read_xml(
            "<recording><participant participant_id='A'/><participant participant_id='B'/>"
            "<stream stream_id='T'><label>1</label></stream>"
            "<participantstreamassoc participant_id='A'><send>T</send></participantstreamassoc>"
            "<participantstreamassoc participant_id='B'><send>T</send></participantstreamassoc>"
            "</recording>"),
        SLR_OK);
    cr_assert_null(slr_siprec_sender(&meta, "1"));
}

Test(siprec, entities_and_document_types_are_refused)
{
    cr_assert_eq(read_xml("<!DOCTYPE recording [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;'>]>"
                          "<recording>&b;</recording>"),
                 SLR_FORMAT);
    cr_assert_eq(read_xml("<!DOCTYPE recording SYSTEM 'file:///etc/passwd'><recording/>"),
                 SLR_FORMAT);
}

Test(siprec, limits_and_malformed)
{
    cr_assert_eq(read_xml(""), SLR_FORMAT);
    cr_assert_eq(read_xml("<recording>"), SLR_FORMAT);
    cr_assert_eq(read_xml("<other/>"), SLR_FORMAT);
    static char deep[4096] = "<recording>";
    for (int i = 0; i < 40; i++) {
        strcat(deep, "<a>");
    }
    for (int i = 0; i < 40; i++) {
        strcat(deep, "</a>");
    }
    strcat(deep, "</recording>");
    cr_assert_eq(read_xml(deep), SLR_FORMAT);
    char *big = malloc(SLR_SIPREC_MAX_BYTES + 1);
    memset(big, ' ', SLR_SIPREC_MAX_BYTES + 1);
    cr_assert_eq(slr_siprec_read(slr_slice_of(big, SLR_SIPREC_MAX_BYTES + 1), &meta), SLR_TOOLONG);
    free(big);
    static char many[8192] = "<recording>";
    for (int i = 0; i < 20; i++) {
        char one[64];
        snprintf(one, sizeof one, "<participant participant_id='p%d'/>", i);
        strcat(many, one);
    }
    strcat(many, "</recording>");
    cr_assert_eq(read_xml(many), SLR_OK);
    cr_assert(meta.cut);
    cr_assert_eq(meta.participant_count, SLR_SIPREC_PARTICIPANTS_MAX);
}

Test(siprec, aor_user)
{
    static const struct {
        const char *aor, *user;
    } row[] = {{"sip:1001@x", "1001"},
               {"sips:a@b;c", "a"},
               {"tel:+4930;phone-context=x", "+4930"},
               {"<sip:7@h>", "7"},
               {"5000", "5000"},
               {"5000@bw", "5000"},
               {"", ""},
               {"SIP:Q@h", "Q"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char out[64];
        slr_siprec_aor_user(row[i].aor, out, sizeof out);
        cr_assert_str_eq(out, row[i].user, "%s", row[i].aor);
    }
}
