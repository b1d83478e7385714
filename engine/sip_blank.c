/*
 * sip_blank: a machine over single bytes, so that a secret cut by a segment's end is found, too.
 * See sip_blank.h.
 */
#include "engine/sip_blank.h"

#include "common/slice.h"

static const char *const secrets[] = {"authorization", "proxy-authorization", "a=crypto",
                                      "a=key-mgmt"};

static bool is_secret(const struct slr_sip_blank *s)
{
    struct slr_slice name = slr_slice_trim(slr_slice_of(s->name, s->name_len));
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        if (slr_slice_eq_nocase(name, secrets[i])) {
            return true;
        }
    }
    return false;
}

static void end_line(struct slr_sip_blank *s, bool cr)
{
    if (s->begun || cr || !s->after_cr) { /* the LF of a CR LF ends nothing */
        s->secret_line = s->secret;
        s->secret = s->name_over = s->begun = false;
        s->name_len = 0;
    }
    s->after_cr = cr;
}

static void begin_line(struct slr_sip_blank *s, uint8_t first)
{
    s->begun = true;
    if (first == ' ' || first == '\t') {
        s->name_over = true;
        s->secret = s->secret_line; /* a folded line belongs to the one before */
    }
}

static void take_name(struct slr_sip_blank *s, uint8_t b)
{
    if (b == ':') {
        s->name_over = true;
        s->secret = is_secret(s);
    } else if (b == '=' && s->name_len == 1 && s->name[0] == 'k') {
        s->name_over = s->secret = true;
    } else if (s->name_len == sizeof s->name) {
        s->name_over = true;
    } else {
        s->name[s->name_len++] = (char)b;
    }
}

void slr_sip_blank(struct slr_sip_blank *s, uint8_t *at, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++) {
        uint8_t b = at[i];
        if (b == '\r' || b == '\n') {
            end_line(s, b == '\r');
            continue;
        }
        s->after_cr = false;
        if (!s->begun) {
            begin_line(s, b);
        }
        if (s->secret) {
            at[i] = b == ' ' || b == '\t' ? b : 'x';
        } else if (!s->name_over) {
            take_name(s, b);
        }
    }
}

struct slr_sip_blank *slr_sip_blank_flow(struct slr_sip_blank_flows *f, const struct slr_addr *src,
                                         const struct slr_addr *dst)
{
    size_t oldest = 0;
    f->turn++;
    for (size_t i = 0; i < SLR_SIP_BLANK_FLOWS; i++) {
        if (f->at[i].used != 0 && slr_addr_eq(&f->at[i].src, src) &&
            slr_addr_eq(&f->at[i].dst, dst)) {
            f->at[i].used = f->turn;
            return &f->at[i].state;
        }
        oldest = f->at[i].used < f->at[oldest].used ? i : oldest;
    }
    f->at[oldest].src = *src;
    f->at[oldest].dst = *dst;
    f->at[oldest].state = (struct slr_sip_blank){.name_len = 0};
    f->at[oldest].used = f->turn;
    return &f->at[oldest].state;
}
