/*
 * The whole pipeline against a truth: random sessions with loss, delay, duplicates, new streams,
 * jumps, keys, pauses, strays, a disk that goes away, and deaths of the process at any step. Each
 * sample received lies at its place, nothing else is in the file, and the ledger says the same.
 * SLR_SIM_SESSIONS: how many (a failing one is named by its seed, SLR_SIM_SEED runs it alone).
 */
#include "tests/engine/outcome.h"
#include "tests/engine/simulated.h"

#define DEFAULT_SESSIONS 400
#define LEGS 2
#define MAX_PAUSES 8
#define NEVER INT64_MAX

struct pause {
    int64_t on_ns, off_ns, p0, p1; /* p0, p1: samples, by leg */
};

struct sim {
    struct fx f;
    uint64_t seed, x;
    uint8_t pt;
    struct slr_session *s;
    char id[SLR_ID_SIZE];
    uint32_t slot[LEGS];
    struct sim_leg leg[LEGS];
    bool joined[LEGS];
    int64_t join_ns[LEGS];
    uint8_t *image[LEGS]; /* what the file must hold */
    int64_t highest[LEGS], placed_end;
    struct pause pause[LEGS][MAX_PAUSES];
    uint32_t pause_count;
    bool disk_off;
    int64_t end_ns, hole_from_ns, hole_to_ns;
    int64_t length; /* of image, samples */
};

static int by_arrival(const void *a, const void *b)
{
    const struct sim_packet *p = a;
    const struct sim_packet *q = b;
    if (p->arrival_ns != q->arrival_ns) {
        return p->arrival_ns < q->arrival_ns ? -1 : 1;
    }
    return (p->order > q->order) - (p->order < q->order);
}

/* Something that the engine can only follow in calm weather. */
static void change(struct sim_sender *s)
{
    sim_calm(s);
    uint32_t what = (uint32_t)sim_in(s->x, 0, 2);
    if (what == 0 && s->stream + 1 < SIM_STREAMS) { /* another SSRC */
        s->stream++;
        s->leg->stream_count++;
        s->leg->stream[s->stream].ssrc = (uint32_t)sim_next(s->x);
        s->seq = (uint16_t)sim_next(s->x);
        s->ts = (uint32_t)sim_next(s->x);
        s->number = 0;
        sim_advance(s, sim_odds(s->x, 50) ? 0 : sim_in(s->x, 0, 3000) * 8);
    } else if (what == 1) { /* the clock jumps, or stands still */
        bool still = sim_odds(s->x, 50);
        s->pos += still ? sim_in(s->x, 2500, 9000) * 8 : 0;
        s->ts += still ? 0 : (uint32_t)sim_in(s->x, 17000, UINT32_MAX - 17000);
    } else { /* numbers begin anew */
        s->leg->sequences_change = true;
        s->seq = (uint16_t)(s->seq + sim_in(s->x, 10000, 40000));
        struct sim_packet *p = sim_add(s);
        p->announces = true;
        s->calm_until = s->pos + SIM_CALM;
        sim_send(s);
        sim_advance(s, s->ptime);
    }
    sim_calm(s);
}

static void strays(struct sim *m, struct sim_leg *leg, int64_t end)
{
    for (int64_t n = sim_in(&m->x, 0, 5); n > 0; n--) {
        int64_t at = sim_in(&m->x, 0, end - 1);
        uint32_t ts = (uint32_t)sim_next(&m->x); /* the SSRC too */
        for (int64_t k = sim_in(&m->x, 1, 14); k > 0; k--) {
            cr_assert_lt(leg->count, (uint32_t)SIM_PACKETS);
            leg->packet[leg->count] = (struct sim_packet){.arrival_ns = (at + k * 160) * 125000 + 1,
                                                          .kind = SIM_STRAY,
                                                          .ts = ts,
                                                          .seq = (uint16_t)(1000 - k),
                                                          .order = leg->count};
            leg->count++;
        }
    }
}

static void make_leg(struct sim *m, uint32_t n, int64_t seconds)
{
    static const uint32_t loss[] = {0, 0, 1, 5, 30};
    static const int64_t jitter[] = {0, 20, 100, 300};
    struct sim_leg *leg = &m->leg[n];
    leg->packet = malloc(SIM_PACKETS * sizeof *leg->packet);
    cr_assert_not_null(leg->packet);
    struct sim_sender s = {.leg = leg,
                           .x = &m->x,
                           .pos = m->join_ns[n] / 125000 + sim_in(&m->x, 1, 3000) * 8,
                           .ptime = (uint32_t)sim_in(&m->x, 1, 4) * 80,
                           .ts = (uint32_t)sim_next(&m->x),
                           .seq = (uint16_t)sim_next(&m->x),
                           .lost_percent = loss[sim_next(&m->x) % 5],
                           .twice_percent = sim_odds(&m->x, 30) ? 20 : 0,
                           .jitter_ms = jitter[sim_next(&m->x) % 4]};
    bool changes = m->hole_from_ns == NEVER && sim_odds(&m->x, 60);
    s.end = s.pos + seconds * 8000;
    leg->signalled = sim_odds(&m->x, 50);
    leg->stream_count = 1;
    leg->stream[0].ssrc = (uint32_t)sim_next(&m->x);
    sim_audio(&s);
    s.calm_until = s.pos + 1; /* one that was not delayed, soon */
    sim_audio(&s);
    for (int i = 0; i < 50; i++) { /* no key or change before the anchor is settled */
        sim_audio(&s);
    }
    while (s.pos < s.end) {
        uint32_t what = (uint32_t)sim_in(&m->x, 0, 999);
        if (what < 6 && changes) {
            change(&s);
        } else if (what < 10) {
            sim_key(&s);
        } else if (what < 16) {
            sim_silence(&s);
        } else {
            sim_audio(&s);
        }
    }
    strays(m, leg, s.end);
    qsort(leg->packet, leg->count, sizeof *leg->packet, by_arrival);
}

/* Is there a new SSRC on any leg near that time? Its first packets wait, a pause there is moot. */
static bool near_new_stream(const struct sim *m, int64_t ns)
{
    for (uint32_t n = 0; n < LEGS; n++) {
        const struct sim_leg *leg = &m->leg[n];
        int last = -1;
        for (uint32_t i = 0; i < leg->count; i++) {
            const struct sim_packet *p = &leg->packet[i];
            if (p->kind == SIM_STRAY || p->stream <= last) {
                continue;
            }
            last = p->stream;
            if (llabs(p->arrival_ns - ns) < 1500 * SLR_NS_PER_MS) {
                return true;
            }
        }
    }
    return false;
}

static bool in_hole(const struct sim *m, int64_t ns)
{
    return ns >= m->hole_from_ns && ns < m->hole_to_ns;
}

static void make_pauses(struct sim *m)
{
    int64_t at = 3000 * SLR_NS_PER_MS;
    uint32_t want = m->hole_from_ns == NEVER && sim_odds(&m->x, 50) ? 3 : 0;
    while (m->pause_count < want && at < m->end_ns) {
        int64_t on = at + sim_in(&m->x, 0, 4000) * SLR_NS_PER_MS + 500001;
        int64_t off = on + sim_in(&m->x, 1, 3000) * SLR_NS_PER_MS;
        at = off + 100 * SLR_NS_PER_MS;
        if (off < m->end_ns && !near_new_stream(m, on) && !near_new_stream(m, off)) {
            for (uint32_t n = 0; n < LEGS; n++) {
                m->pause[n][m->pause_count] = (struct pause){on, off, NEVER, NEVER};
            }
            m->pause_count++;
        }
    }
}

static void make(struct sim *m, uint64_t seed)
{
    int64_t seconds = 0;
    m->seed = m->x = seed;
    m->pt = sim_odds(&m->x, 30) ? 0 : 8;
    seconds = sim_in(&m->x, 4, 20);
    m->hole_from_ns = m->hole_to_ns = NEVER;
    m->join_ns[1] = sim_odds(&m->x, 50) ? 0 : sim_in(&m->x, 0, 3000) * SLR_NS_PER_MS;
    if (sim_odds(&m->x, 30)) {
        m->hole_from_ns = sim_in(&m->x, 8000, 12000) * SLR_NS_PER_MS + 300001;
        m->hole_to_ns = m->hole_from_ns + sim_in(&m->x, 1, 4000) * SLR_NS_PER_MS;
    }
    for (uint32_t n = 0; n < LEGS; n++) {
        make_leg(m, n, seconds);
        m->highest[n] = -1;
        for (uint32_t i = 0; i < m->leg[n].count; i++) {
            int64_t at = m->leg[n].packet[i].arrival_ns;
            m->end_ns = at > m->end_ns ? at : m->end_ns;
        }
    }
    m->end_ns += sim_in(&m->x, 0, 300) * SLR_NS_PER_MS + 700001;
    m->end_ns = in_hole(m, m->end_ns) ? m->hole_to_ns + 1 : m->end_ns;
    make_pauses(m);
    m->length = m->end_ns / 125000 + 16000;
    for (uint32_t n = 0; n < LEGS; n++) {
        m->image[n] = malloc((size_t)m->length);
        cr_assert_not_null(m->image[n]);
        memset(m->image[n], m->pt == 8 ? 0xd5 : 0xff, (size_t)m->length);
    }
}

/* What must become of a packet. */

static void new_run(struct sim_stream *st, const struct sim_packet *p)
{
    if (st->run_open) {
        st->lost += st->run_last - st->run_first + 1u - st->run_unique;
    }
    st->run_open = true;
    st->run_first = st->run_last = p->number;
    st->run_unique = 1;
}

/* True when it is neither a duplicate nor dropped. */
static bool count_packet(struct sim_stream *st, const struct sim_packet *p)
{
    st->packets++;
    if (st->seen[p->number]) {
        st->duplicate++;
        return false;
    }
    st->seen[p->number] = true;
    if (!st->run_open || p->announces) {
        new_run(st, p);
        return true;
    }
    st->run_first = p->number < st->run_first ? p->number : st->run_first;
    st->run_last = p->number > st->run_last ? p->number : st->run_last;
    st->run_unique++;
    return true;
}

static bool is_suppressed(struct sim *m, uint32_t n, const struct sim_packet *p)
{
    int64_t end = p->pos + (p->samples ? p->samples : 1);
    for (uint32_t i = 0; i < m->pause_count; i++) {
        const struct pause *q = &m->pause[n][i];
        bool by_arrival_ns = p->arrival_ns >= q->on_ns && p->arrival_ns < q->off_ns + SLR_NS_PER_MS;
        if (by_arrival_ns || (q->p1 != NEVER && p->pos < q->p1 && end > q->p0)) {
            return true;
        }
    }
    return false;
}

static void expect(struct sim *m, uint32_t n, const struct sim_packet *p)
{
    struct sim_leg *leg = &m->leg[n];
    struct sim_stream *st = &leg->stream[p->stream];
    if (!count_packet(st, p)) {
        return;
    }
    int64_t end = p->pos + p->samples;
    m->highest[n] = end > m->highest[n] ? end : m->highest[n];
    if (is_suppressed(m, n, p)) {
        st->suppressed++;
        return;
    }
    st->placed++;
    m->placed_end = end > m->placed_end ? end : m->placed_end;
    if (p->kind == SIM_EVENT && leg->key_samples[p->key] < (int64_t)p->samples) {
        leg->key_samples[p->key] = p->samples;
    }
    for (uint32_t i = 0; i < p->samples && p->kind == SIM_AUDIO; i++) {
        m->image[n][p->pos + i] = fx_sample(st->ssrc, p->pos + i);
    }
}

/* The driver. */

static void set_clock(struct sim *m, int64_t ns)
{
    slr_clock_advance(m->f.e.virtual_clock, (slr_wall){FX_START_NS + ns});
    atomic_store(&m->f.e.state->header->alive_ns, FX_START_NS + ns);
}

static void join(struct sim *m, uint32_t n)
{
    m->slot[n] = fx_leg(&m->f, m->s, n, m->pt);
    m->joined[n] = true;
    if (m->leg[n].signalled) {
        struct slr_leg *leg = &m->f.e.state->leg[m->slot[n]];
        leg->ssrc_signalled_count = 4;
        for (uint32_t i = 0; i < 4; i++) {
            leg->ssrc_signalled[i] = m->leg[n].stream[i].ssrc;
        }
    }
}

static void deliver(struct sim *m, uint32_t n, const struct sim_packet *p)
{
    struct fx_packet out = {.pt = m->pt, .seq = p->seq, .ts = p->ts, .len_bytes = p->samples};
    const struct sim_leg *leg = &m->leg[n];
    out.ssrc = leg->stream[p->stream].ssrc;
    if (p->kind == SIM_STRAY) {
        out.src = "198.51.100.7:7777";
        out.ssrc = p->ts;
        out.len_bytes = 160;
        memset(out.at, 0x33, sizeof out.at);
    } else if (p->kind == SIM_EVENT) {
        out = fx_event(out.ssrc, p->seq, p->ts, leg->key_event[p->key], (uint16_t)p->samples,
                       p->last_of_key);
    } else if (p->kind == SIM_NOISE) {
        out.pt = 13;
        out.len_bytes = 1;
    } else {
        for (uint32_t i = 0; i < p->samples; i++) {
            out.at[i] = fx_sample(out.ssrc, p->pos + i);
        }
    }
    (void)fx_rtp_ns(&m->f, m->slot[n], p->arrival_ns, &out);
    if (p->kind != SIM_STRAY) {
        expect(m, n, p);
    }
}

static void restart(struct sim *m)
{
    fx_die(&m->f);
    fx_boot(&m->f);
    m->s = slr_engine_session_find(&m->f.e, m->id);
    cr_assert_not_null(m->s, "seed %llu: the session is gone", (unsigned long long)m->seed);
}

/* A death after the file was written and before that counts. */
static void die_before_commit(struct sim *m, slr_mono now)
{
    size_t n = m->f.e.state->map_bytes;
    uint8_t *before = malloc(n);
    cr_assert_not_null(before);
    memcpy(before, m->f.e.state->header, n);
    (void)slr_writer_step(&m->f.writer, now);
    memcpy((void *)m->f.e.state->header, before, n);
    free(before);
    restart(m);
}

static void turn_disk(struct sim *m, bool off)
{
    char open_dir[96];
    char away[96];
    if (off == m->disk_off) {
        return;
    }
    snprintf(open_dir, sizeof open_dir, "%s/open", m->f.root);
    snprintf(away, sizeof away, "%s/away", m->f.root);
    cr_assert_eq(off ? rename(open_dir, away) : rename(away, open_dir), 0);
    m->disk_off = off;
}

static void pauses(struct sim *m, int64_t ns)
{
    for (uint32_t i = 0; i < m->pause_count; i++) {
        bool on = m->pause[0][i].p0 == NEVER && m->pause[0][i].on_ns <= ns;
        bool off = m->pause[0][i].p1 == NEVER && m->pause[0][i].off_ns <= ns;
        for (int turn = 0; turn < 2; turn++) {
            if (!(turn ? off : on)) {
                continue;
            }
            int64_t at_ns = turn ? m->pause[0][i].off_ns : m->pause[0][i].on_ns;
            int64_t ticks = 0;
            int64_t latest = INT64_MIN;
            set_clock(m, at_ns);
            cr_assert_eq(slr_engine_pause(&m->f.e, m->id, turn == 0, 0, &ticks), SLR_OK);
            for (uint32_t n = 0; n < LEGS; n++) {
                struct pause *q = &m->pause[n][i];
                int64_t now = at_ns * 1764 / 125000; /* ticks */
                int64_t high = m->highest[n];
                int64_t p1 = high * 1764 > now ? high : (now + 1763) / 1764;
                *(turn ? &q->p1 : &q->p0) = turn ? p1 : (high < 0 ? now / 1764 : high);
                latest = turn && p1 > latest ? p1 : latest;
            }
            for (uint32_t n = 0; turn && n < LEGS; n++) {
                m->pause[n][i].p1 = latest; /* one end for all legs: it is what is answered */
            }
        }
    }
}

static int64_t next_step(struct sim *m)
{
    return sim_odds(&m->x, 3) ? sim_in(&m->x, 1000, 5000) : sim_in(&m->x, 20, 300);
}

/* The next packet of both legs in order of arrival; NULL: none is left. */
static const struct sim_packet *take(struct sim *m, uint32_t at[static LEGS], uint32_t *n)
{
    const struct sim_packet *a = at[0] < m->leg[0].count ? &m->leg[0].packet[at[0]] : NULL;
    const struct sim_packet *b = at[1] < m->leg[1].count ? &m->leg[1].packet[at[1]] : NULL;
    *n = !a || (b && b->arrival_ns < a->arrival_ns) ? 1 : 0;
    const struct sim_packet *p = *n ? b : a;
    at[*n] += p != NULL;
    return p;
}

static void write_until(struct sim *m, int64_t ns, int64_t *next_ns)
{
    while (*next_ns <= ns) {
        slr_mono now = fx_time(*next_ns);
        set_clock(m, *next_ns);
        if (sim_odds(&m->x, 1)) {
            turn_disk(m, !m->disk_off);
        }
        if (sim_odds(&m->x, 1)) {
            die_before_commit(m, now);
        }
        (void)slr_writer_step(&m->f.writer, now);
        if (sim_odds(&m->x, 1)) {
            restart(m);
        }
        *next_ns += next_step(m) * SLR_NS_PER_MS;
        if (in_hole(m, *next_ns)) {
            *next_ns = m->hole_to_ns + 1;
        }
    }
}

static void drive(struct sim *m)
{
    uint32_t at[LEGS] = {0};
    uint32_t n = 0;
    int64_t write_ns = 100 * SLR_NS_PER_MS;
    const struct sim_packet *p = take(m, at, &n);
    for (; p; p = take(m, at, &n)) {
        if (in_hole(m, p->arrival_ns)) {
            continue;
        }
        if (p->arrival_ns >= m->hole_to_ns) {
            fx_die(&m->f);
            slr_clock_advance(m->f.e.virtual_clock, (slr_wall){FX_START_NS + m->hole_to_ns});
            fx_boot(&m->f);
            m->s = slr_engine_session_find(&m->f.e, m->id);
            m->hole_from_ns = m->hole_to_ns = NEVER;
        }
        for (uint32_t k = 0; k < LEGS; k++) {
            if (!m->joined[k] && p->arrival_ns >= m->join_ns[k]) {
                set_clock(m, m->join_ns[k]);
                join(m, k);
            }
        }
        pauses(m, p->arrival_ns);
        write_until(m, p->arrival_ns, &write_ns);
        if (m->joined[n]) {
            deliver(m, n, p);
        }
        if (sim_odds(&m->x, 1) && sim_odds(&m->x, 20)) {
            restart(m);
        }
    }
}

static void finish(struct sim *m)
{
    pauses(m, m->end_ns);
    turn_disk(m, false);
    m->hole_from_ns = m->hole_to_ns = NEVER;
    set_clock(m, m->end_ns);
    m->f.writer.error_until_ns = 0;
    cr_assert_eq(slr_engine_session_end(&m->f.e, m->s, "bye", INT64_MIN), SLR_OK);
    if (sim_odds(&m->x, 20)) {
        restart(m);
    }
    cr_assert_eq(slr_writer_step(&m->f.writer, fx_time(m->end_ns)), 0u);
    if (sim_odds(&m->x, 20)) {
        restart(m);
        cr_assert_eq(slr_writer_step(&m->f.writer, fx_time(m->end_ns)), 0u);
    }
    cr_assert_eq(slr_sealer_step(&m->f.e.sealer), 0u);
}

/* Comparing. */

static void check_audio(const struct sim *m, const struct fx_result *r)
{
    int64_t length = m->end_ns * 1764 / 125000;
    int64_t ticks = m->placed_end * 1764;
    length = ticks > length && ticks < length + SLR_TICKS_HZ ? ticks : length;
    cr_assert_eq(json_integer_value(json_object_get(r->ledger, "len_ticks")), length,
                 "seed %llu: %lld ticks", (unsigned long long)m->seed, (long long)length);
    for (uint32_t n = 0; n < LEGS; n++) {
        for (uint64_t i = 0; i < r->wav.frames; i++) {
            cr_assert_eq(r->data[i * LEGS + n], m->image[n][i],
                         "seed %llu: channel %u frame %llu is %02x, not %02x",
                         (unsigned long long)m->seed, n, (unsigned long long)i,
                         r->data[i * LEGS + n], m->image[n][i]);
        }
    }
}

static int64_t number_of(json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void check_streams(struct sim *m, const struct fx_result *r, uint32_t n)
{
    size_t i = 0;
    size_t heard = 0;
    json_t *o = NULL;
    json_t *list = json_object_get(fx_leg_json(r, n), "streams");
    for (uint32_t k = 0; k < m->leg[n].stream_count; k++) {
        struct sim_stream *st = &m->leg[n].stream[k];
        char ssrc[16];
        heard += st->packets > 0;
        snprintf(ssrc, sizeof ssrc, "0x%08x", st->ssrc);
        uint64_t lost = st->lost;
        if (st->run_open) {
            lost += st->run_last - st->run_first + 1u - st->run_unique;
        }
        json_array_foreach(list, i, o)
        {
            if (strcmp(json_string_value(json_object_get(o, "ssrc")), ssrc) != 0) {
                continue;
            }
            const char *key[] = {"packets",  "placed", "duplicate", "suppressed",
                                 "rejected", "lost",   "late"};
            uint64_t want[] = {st->packets, st->placed, st->duplicate, st->suppressed, st->rejected,
                               lost,        0};
            for (size_t f = 0; f < 7; f++) {
                cr_assert_eq(number_of(o, key[f]), (int64_t)want[f],
                             "seed %llu: leg %u stream %u %s: %lld, not %llu",
                             (unsigned long long)m->seed, n, k, key[f],
                             (long long)number_of(o, key[f]), (unsigned long long)want[f]);
            }
        }
    }
    cr_assert_eq(json_array_size(list), heard, "seed %llu: leg %u has %zu streams, not %zu",
                 (unsigned long long)m->seed, n, json_array_size(list), heard);
}

/* Received time is that of the samples that are there; packets missing are never overstated. */
static void check_spans(const struct sim *m, const struct fx_result *r, uint32_t n)
{
    size_t i = 0;
    json_t *o = NULL;
    int64_t received = 0;
    int64_t missing = 0;
    int64_t have = 0;
    int64_t lost = 0;
    uint8_t silence = m->pt == 8 ? 0xd5 : 0xff;
    json_array_foreach(json_object_get(fx_leg_json(r, n), "spans"), i, o)
    {
        bool is = strcmp(json_string_value(json_object_get(o, "kind")), "received") == 0;
        received += is ? number_of(o, "len_ticks") : 0;
        missing += number_of(o, "packets");
    }
    for (uint64_t k = 0; k < r->wav.frames; k++) {
        have += m->image[n][k] != silence;
    }
    json_array_foreach(json_object_get(fx_leg_json(r, n), "streams"), i, o)
    {
        lost += number_of(o, "lost");
    }
    cr_assert_eq(received, have * 1764, "seed %llu: leg %u: %lld samples received, not %lld",
                 (unsigned long long)m->seed, n, (long long)(received / 1764), (long long)have);
    bool plain =
        m->pause_count == 0 && m->leg[n].key_count == 0 && m->f.e.state->header->starts == 1;
    cr_assert(!plain || missing == lost, "seed %llu: leg %u: spans miss %lld packets, not %lld",
              (unsigned long long)m->seed, n, (long long)missing, (long long)lost);
    cr_assert(missing <= lost, "seed %llu: leg %u: spans miss %lld packets of %lld",
              (unsigned long long)m->seed, n, (long long)missing, (long long)lost);
}

static void check_keys(const struct sim *m, const struct fx_result *r)
{
    json_t *items = json_object_get(json_object_get(r->ledger, "digits"), "items");
    size_t want = 0;
    for (uint32_t n = 0; n < LEGS; n++) {
        for (uint32_t k = 0; k < m->leg[n].key_count; k++) {
            size_t i = 0;
            json_t *o = NULL;
            bool found = m->leg[n].key_samples[k] < 0;
            want += !found;
            json_array_foreach(items, i, o)
            {
                found |= number_of(o, "start_ticks") == m->leg[n].key_pos[k] * 1764 &&
                         number_of(o, "duration_ms") == m->leg[n].key_samples[k] / 8 &&
                         number_of(o, "leg") == n &&
                         json_string_value(json_object_get(o, "digit"))[0] ==
                             "0123456789*#ABCD"[m->leg[n].key_event[k]];
            }
            cr_assert(found, "seed %llu: leg %u key %u is missing", (unsigned long long)m->seed, n,
                      k);
        }
    }
    cr_assert_eq(json_array_size(items), want, "seed %llu", (unsigned long long)m->seed);
}

static void run(uint64_t seed)
{
    struct fx_result r;
    struct sim *m = calloc(1, sizeof *m);
    cr_assert_not_null(m);
    make(m, seed);
    fx_open_sized(&m->f, 8, 700);
    slr_log_init("test", SLR_LOG_ERROR + 1);
    m->s = fx_session(&m->f, LEGS);
    memcpy(m->id, m->s->id, sizeof m->id);
    join(m, 0);
    drive(m);
    finish(m);
    fx_result(&m->f, m->id, &r); /* spans add up */
    check_audio(m, &r);
    for (uint32_t n = 0; n < LEGS; n++) {
        check_streams(m, &r, n);
        check_spans(m, &r, n);
        free(m->leg[n].packet);
        free(m->image[n]);
    }
    check_keys(m, &r);
    cr_assert_eq(slr_state_chunks_free(m->f.e.state), m->f.chunks);
    fx_result_free(&r);
    fx_close(&m->f);
    free(m);
}

Test(simulation, sessions_against_the_truth)
{
    const char *only = getenv("SLR_SIM_SEED");
    const char *many = getenv("SLR_SIM_SESSIONS");
    uint64_t sessions = many ? strtoull(many, NULL, 10) : DEFAULT_SESSIONS;
    if (only) {
        run(strtoull(only, NULL, 10));
        return;
    }
    printf("simulation: seeds 1 to %llu\n", (unsigned long long)sessions);
    for (uint64_t seed = 1; seed <= sessions; seed++) {
        run(seed);
    }
}
