/* How legs pair, which channel each takes, and that a stored call reads back. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "ctl/call.h"

/* A wall time, and times before it. */
#define NOW ((slr_wall){1000 * SLR_NS_PER_S})
#define AGO(ms) ((slr_wall){1000 * SLR_NS_PER_S - (ms)*SLR_NS_PER_MS})
#define SESSION "0123456789abcdef0123456789abcdef"

static struct slr_call *call_of(const char *record_dn)
{
    struct slr_call *c = slr_call_new("r:X", SESSION);
    cr_assert_not_null(c);
    c->state = SLR_CALL_OPEN;
    snprintf(c->record_dn, sizeof c->record_dn, "%s", record_dn);
    return c;
}

static uint8_t join(struct slr_call *c, const char *dn)
{
    uint8_t channel = slr_call_place(c, slr_call_wish_of(NULL, c->record_dn, dn), NOW);
    cr_assert_not_null(slr_call_add_leg(c, dn, channel));
    return channel;
}

Test(call, the_recorded_party_is_channel_0_whoever_comes_first)
{
    struct slr_call *c = call_of("1001");
    cr_assert_eq(join(c, "1002"), 1);
    cr_assert_eq(join(c, "1001"), 0);
    cr_assert_eq(slr_call_channels(c), 2);
    cr_assert_eq(slr_call_match(c, "1003", NOW), c);
    cr_assert_eq(join(c, "1003"), 2, "a third party is a further channel");
    cr_assert_eq(slr_call_channels(c), 3);
    slr_call_free(c);
}

Test(call, without_a_name_the_first_is_channel_0)
{
    struct slr_call *c = call_of("");
    cr_assert_eq(join(c, "a"), 0);
    cr_assert_eq(join(c, "b"), 1);
    slr_call_free(c);
}

Test(call, built_in_bridge_goes_by_side)
{
    struct slr_recuri near_end = {.side = SLR_RECURI_NEAR}, far_end = {.side = SLR_RECURI_FAR};
    cr_assert_eq(slr_call_wish_of(&near_end, "", "x"), SLR_CALL_RECORDED);
    cr_assert_eq(slr_call_wish_of(&far_end, "", "x"), SLR_CALL_OTHER);
    cr_assert_eq(slr_call_wish_of(&near_end, "7", "8"), SLR_CALL_OTHER, "names beat sides");
}

Test(call, no_further_channel_once_the_file_may_have_its_shape)
{
    struct slr_call *c = call_of("1001");
    join(c, "1002");
    cr_assert_eq(slr_call_room(c, NOW), 7);
    cr_assert_eq(join(c, "1003"), 2, "channel 0 stays free for the recorded party");
    c->heard = AGO(SLR_CALL_GROWS_MS - 1);
    cr_assert_eq(slr_call_room(c, NOW), 6);
    c->heard = AGO(SLR_CALL_GROWS_MS);
    cr_assert_eq(slr_call_room(c, NOW), 1, "only what is there already");
    cr_assert_eq(slr_call_match(c, "1001", NOW), c);
    cr_assert_eq(join(c, "1001"), 0);
    cr_assert_null(slr_call_match(c, "1004", NOW));
    cr_assert_eq(slr_call_place(c, SLR_CALL_OTHER, NOW), SLR_CALL_NO_CHANNEL);
    slr_call_free(c);
}

Test(call, a_leg_that_the_engine_refused_leaves_its_place)
{
    struct slr_call *c = call_of("1");
    join(c, "1");
    join(c, "2");
    join(c, "3");
    c->fixed = true;
    slr_call_remove_leg(c, "l2");
    slr_call_remove_leg(c, "l2");
    cr_assert_eq(c->leg_count, 2);
    cr_assert_eq(slr_call_channels(c), 3);
    cr_assert_eq(slr_call_match(c, "2", NOW), c);
    cr_assert_eq(join(c, "2"), 1);
    slr_call_remove_leg(c, "l3");
    cr_assert_eq(slr_call_channels(c), 2);
    cr_assert_null(slr_call_match(c, "3", NOW), "the engine has said so");
    slr_call_free(c);
}

Test(call, eight_channels_and_no_more)
{
    struct slr_call *c = call_of("");
    for (int i = 0; i < SLR_CALL_CHANNELS_MAX; i++) {
        char dn[8];
        snprintf(dn, sizeof dn, "%d", i);
        cr_assert_eq(slr_call_match(c, dn, NOW), c);
        cr_assert_eq(join(c, dn), i);
    }
    cr_assert_eq(slr_call_place(c, SLR_CALL_ANY, NOW), SLR_CALL_NO_CHANNEL);
    cr_assert_null(slr_call_match(c, "9", NOW));
    cr_assert_null(slr_call_add_leg(c, "9", SLR_CALL_NO_CHANNEL));
    slr_call_free(c);
}

Test(call, same_dn_again_is_a_new_segment)
{
    struct slr_call *old = call_of("1"), *fresh = call_of("1");
    join(old, "1");
    cr_assert_null(slr_call_match(old, "1", NOW));
    cr_assert_eq(slr_call_match(old, "2", NOW), old);
    fresh->older = old;
    cr_assert_eq(slr_call_match(fresh, "1", NOW), fresh);
    join(fresh, "1");
    cr_assert_eq(slr_call_match(fresh, "2", NOW), fresh, "the newest first");
    fresh->state = SLR_CALL_SEALING;
    cr_assert_eq(slr_call_match(fresh, "2", NOW), old);
    old->state = SLR_CALL_SEALING;
    cr_assert_null(slr_call_match(fresh, "2", NOW));
    slr_call_free(old);
    slr_call_free(fresh);
}

Test(call, legs_without_a_name_pair_once)
{
    struct slr_call *c = call_of("");
    join(c, "");
    cr_assert_eq(slr_call_match(c, "", NOW), c);
    join(c, "");
    cr_assert_null(slr_call_match(c, "", NOW));
    slr_call_free(c);
}

Test(call, a_silent_leg_is_shown_until_it_is_heard)
{
    struct slr_call *c = call_of("");
    join(c, "1001");
    c->leg[0].state = SLR_LEG_OPEN;
    cr_assert(slr_call_note_silence(c, "l1", "no-audio", 1200));
    cr_assert_not(slr_call_note_silence(c, "l1", "no-audio", 1200));
    cr_assert_not(slr_call_note_silence(c, "l9", "no-audio", 1200));
    cr_assert_not(slr_call_note_silence(c, NULL, NULL, 0));
    json_t *record = slr_call_to_json(c);
    struct slr_call *back = slr_call_from_json(record);
    json_t *shown = slr_call_describe(back);
    const json_t *leg = json_array_get(json_object_get(shown, "legs"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(leg, "silent")), "no-audio");
    cr_assert_eq(json_integer_value(json_object_get(leg, "silent_since_ms")), 1200);
    json_decref(shown);
    cr_assert(slr_call_note_silence(back, "l1", NULL, 0));
    shown = slr_call_describe(back);
    cr_assert_null(json_object_get(json_array_get(json_object_get(shown, "legs"), 0), "silent"));
    json_decref(shown);
    json_decref(record);
    slr_call_free(c);
    slr_call_free(back);
}

Test(call, stored_and_read_back)
{
    struct slr_call *c = call_of("1001");
    snprintf(c->id, sizeof c->id, "UUID");
    c->paused = true;
    c->segment = 3;
    c->start.ns = 1234567890123;
    join(c, "1002");
    join(c, "1001");
    c->leg[0].state = SLR_LEG_CLOSED;
    c->leg[1].state = SLR_LEG_OPEN;
    json_object_set_new(c->meta, "k", json_string("v"));
    json_t *record = slr_call_to_json(c);
    cr_assert_not_null(record);
    struct slr_call *back = slr_call_from_json(record);
    cr_assert_not_null(back);
    json_t *again = slr_call_to_json(back);
    cr_assert(json_equal(record, again));
    cr_assert(slr_call_has_open_leg(back));
    cr_assert_eq(slr_call_leg_by_id(back, "l1")->channel, 1);
    cr_assert_eq(slr_call_leg_by_id(back, "l9"), NULL);
    cr_assert_neq(slr_call_add_leg(back, "x", 1)->id[1], '1', "leg ids are never used twice");
    json_object_set_new(record, "session", json_string("short"));
    cr_assert_null(slr_call_from_json(record));
    json_decref(record);
    json_decref(again);
    slr_call_free(c);
    slr_call_free(back);
}
