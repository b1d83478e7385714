/* A dialog record survives being stored, whatever bytes the peer put into it. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "ctl/dialog.h"
#include "ctl/text.h"

Test(dialog, stored_and_read_back)
{
    struct slr_dialog *d = slr_dialog_new();
    cr_assert_eq(slr_dialog_set(&d->call_id, "abc@h"), SLR_OK);
    cr_assert_eq(slr_dialog_set(&d->local_tag, "slr-1-x"), SLR_OK);
    cr_assert_eq(slr_dialog_set(&d->remote, "\"J\xfcrgen\" <sip:a@b>;tag=1"), SLR_OK);
    cr_assert_eq(slr_dialog_make_key(d), SLR_OK);
    cr_assert_str_eq(d->key, "abc@h;slr-1-x");
    d->local_seq = 7;
    d->remote_seq = 9;
    d->expires_s = 1800;
    d->siprec = true;
    d->line_count = 2;
    d->line[1].taken = true;
    snprintf(d->line[1].leg, sizeof d->line[1].leg, "l2");
    d->line[1].local = (struct slr_sdp_local){
        .taken = true, .ip = "192.0.2.1", .family = 4, .port = 4000, .rtcp_port = 4001};
    snprintf(d->session, sizeof d->session, "0123456789abcdef0123456789abcdef");
    json_t *record = slr_dialog_to_json(d);
    cr_assert_not_null(record, "bytes that are no UTF-8 must not stop the record");
    struct slr_dialog *back = slr_dialog_from_json(record);
    cr_assert_not_null(back);
    json_t *again = slr_dialog_to_json(back);
    cr_assert(json_equal(record, again));
    cr_assert(back->stored && !d->stored);
    cr_assert_str_eq(back->key, d->key);
    json_object_del(record, "target");
    cr_assert_null(slr_dialog_from_json(record));
    json_decref(record);
    json_decref(again);
    slr_dialog_free(d);
    slr_dialog_free(back);
}

Test(dialog, a_key_too_long_is_refused)
{
    struct slr_dialog *d = slr_dialog_new();
    char id[SLR_DIALOG_KEY_SIZE + 1];
    memset(id, 'a', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    cr_assert_eq(slr_dialog_set(&d->call_id, id), SLR_OK);
    cr_assert_eq(slr_dialog_make_key(d), SLR_TOOLONG);
    slr_dialog_free(d);
}

Test(text, clean)
{
    static const struct {
        const char *in, *out;
    } row[] = {{"plain", "plain"},
               {"\xc3\xbc", "\xc3\xbc"},
               {"\xe2\x82\xac!", "\xe2\x82\xac!"},
               {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
               {"\xfc", "?"},
               {"a\xc3", "a?"},
               {"\xc0\xaf", "??"},
               {"\xed\xa0\x80", "???"},
               {"\xe2\x82", "??"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char text[16];
        strcpy(text, row[i].in);
        slr_text_clean(text);
        cr_assert_str_eq(text, row[i].out, "row %zu", i);
    }
}
