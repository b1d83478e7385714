/* The forms of a recording INVITE's identity, and the keys by which legs pair. */
#include <criterion/criterion.h>

#include "ctl/recuri.h"

static struct slr_recuri r;
static char key[SLR_RECURI_KEY_SIZE];

static void read_uri(const char *uri)
{
    memset(&r, 0, sizeof r);
    cr_assert_eq(slr_recuri_read(slr_slice_str(uri), &r), SLR_OK, "%s", uri);
}

static void header(const char *name, const char *value)
{
    slr_recuri_header(&r, slr_slice_str(name), slr_slice_str(value));
}

Test(recuri, genesys_one_session_per_party)
{
    read_uri("sip:record=RECID@10.0.0.1:5060;calluuid=011AP643;dn=1002;recordDN=1001;site=x");
    cr_assert_str_eq(r.record_id, "RECID");
    cr_assert_str_eq(r.call_uuid, "011AP643");
    cr_assert_str_eq(r.dn, "1002");
    cr_assert_str_eq(r.record_dn, "1001");
    cr_assert_eq(r.extra_count, 1);
    cr_assert_str_eq(r.extra[0].name, "site");
    cr_assert(slr_recuri_pair_key(&r, "S", key));
    cr_assert_str_eq(key, "r:RECID");
}

Test(recuri, names_are_case_folded_and_values_unescaped)
{
    read_uri("<SIP:Record=a%3Bb@h;CALLUUID=U;DN=%2B4930;otherdn=7;RECORDDN=8?Subject=x>");
    cr_assert_str_eq(r.record_id, "a;b");
    cr_assert_str_eq(r.call_uuid, "U");
    cr_assert_str_eq(r.dn, "+4930");
    cr_assert_str_eq(r.other_dn, "7");
    cr_assert_str_eq(r.record_dn, "8");
}

Test(recuri, parameters_inside_the_user_part)
{
    read_uri("sip:record=R;dn=5;calluuid=C@h");
    cr_assert_str_eq(r.record_id, "R");
    cr_assert_str_eq(r.dn, "5");
    cr_assert_str_eq(r.call_uuid, "C");
}

Test(recuri, user_record_with_dn_parameter)
{
    read_uri("sip:record@h:5060;record=1001");
    cr_assert_str_empty(r.record_id);
    cr_assert_str_eq(r.dn, "1001");
    cr_assert(!slr_recuri_pair_key(&r, "", key));
    read_uri("sip:record@h;record=7050;dn=7051");
    cr_assert_str_eq(r.dn, "7051");
    read_uri("sip:record@h;dn=7051;record=7050");
    cr_assert_str_eq(r.dn, "7051");
}

Test(recuri, gvp_session_pairs_when_no_record_id)
{
    read_uri("sip:anything@h");
    header("x-genesys-gvp-session-id", " GUID-1;gvp.rm.datanodes=2|1;gvp.rm.tenant-id=1.102_P");
    header("X-Genesys-CallUUID", "UU");
    header("X-Genesys-RM-Application-dbid", "105");
    cr_assert_str_eq(r.gvp_guid, "GUID-1");
    cr_assert_str_eq(r.call_uuid, "UU");
    cr_assert_eq(r.extra_count, 1);
    cr_assert(slr_recuri_pair_key(&r, "", key));
    cr_assert_str_eq(key, "g:GUID-1");
}

Test(recuri, call_uuid_never_pairs)
{
    read_uri("sip:x@h;calluuid=U");
    cr_assert(!slr_recuri_pair_key(&r, "", key));
    cr_assert(slr_recuri_pair_key(&r, "sess", key));
    cr_assert_str_eq(key, "s:sess");
}

Test(recuri, cisco_built_in_bridge)
{
    static const char near_uri[] = "sip:7001@cucm;x-nearend;x-refci=1234;x-nearenddevice=SEP00;"
                                   "x-nearendaddr=7001;x-farendaddr=8002";
    read_uri("sip:rec@h");
    slr_recuri_from(&r, slr_slice_str(near_uri));
    cr_assert_eq(r.side, SLR_RECURI_NEAR);
    cr_assert_str_eq(r.dn, "7001");
    cr_assert_str_eq(r.record_dn, "7001");
    cr_assert(slr_recuri_pair_key(&r, "", key));
    cr_assert_str_eq(key, "c:1234");
    read_uri("sip:rec@h");
    slr_recuri_from(&r, slr_slice_str("sip:7001@cucm;x-farend;x-refci=1234;x-nearendaddr=7001;"
                                      "x-farendaddr=8002"));
    cr_assert_eq(r.side, SLR_RECURI_FAR);
    cr_assert_str_eq(r.dn, "8002");
    cr_assert_str_eq(r.record_dn, "7001");
}

Test(recuri, to_fills_what_a_proxy_dropped)
{
    read_uri("sip:10.0.0.1:5060");
    slr_recuri_to(&r, slr_slice_str("<sip:record=R9@rm:15060>"));
    cr_assert_str_eq(r.record_id, "R9");
}

Test(recuri, malformed_and_too_long)
{
    memset(&r, 0, sizeof r);
    cr_assert_eq(slr_recuri_read(slr_slice_str("http://x"), &r), SLR_FORMAT);
    cr_assert_eq(slr_recuri_read(slr_slice_str(""), &r), SLR_FORMAT);
    char uri[400] = "sip:record=";
    memset(uri + 11, 'a', 300);
    strcpy(uri + 311, "@h;dn=1%0d%0aX");
    read_uri(uri);
    cr_assert_str_empty(r.record_id);
    cr_assert_str_empty(r.dn);
}
