/*
 * rig: the engine under test, without sockets, threads or a real clock (tests/engine/fixture.h).
 * Datagrams go in as bytes, files come out. Dies and comes back wherever the session says so.
 */
#include "tests/engine/fixture.h"
#include "tests/sim/bank.h"
#include "tests/sim/result.h"
#include "tests/sim/rng.h"
#include "tests/sim/sim.h"

#define PEER "192.0.2.1:4000"
#define STRANGER "198.51.100.7:7777"

struct rig {
    struct sim *m;
    struct fx f;
    struct slr_session *s;
    char id[SLR_ID_SIZE];
    uint64_t x;
    uint32_t slot[SIM_LEGS];
    bool joined[SIM_LEGS];
    struct slr_addr peer, stranger;
    uint8_t datagram[8192];
    bool disk_off, was_away;
};

static void set_clock(struct rig *r, int64_t ns)
{
    slr_clock_advance(r->f.e.virtual_clock, (slr_wall){FX_START_NS + ns});
    atomic_store(&r->f.e.state->header->alive_ns, FX_START_NS + ns);
}

static void row(struct slr_pt_map *to, uint8_t pt, const char *name, uint32_t hz)
{
    memset(to, 0, sizeof *to);
    to->pt = pt;
    to->clock_hz = hz;
    to->channels = 1;
    snprintf(to->name, sizeof to->name, "%s", name);
}

#define ROWS 12
/* Of events; the index is that of their clocks. */
static const uint32_t event_hz[] = {8000, 16000, 48000};
static const uint8_t event_pt[] = {101, 102, 103};

static uint32_t rows_of_bank(const struct sim_leg *leg, struct slr_pt_map out[static ROWS])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < leg->menu_count; i++) {
        const struct sim_line *l = sim_line((enum sim_codec)leg->menu[i]);
        bool again = false;
        for (uint32_t k = 0; k < i; k++) {
            again |= leg->menu[k] == leg->menu[i];
        }
        if (!again) {
            row(&out[n], l->pt, l->name, l->clock_hz);
            out[n].channels = (uint8_t)l->channels;
            snprintf(out[n].fmtp, sizeof out[n].fmtp, "%s", l->fmtp);
            n++;
        }
    }
    for (size_t i = 0; i < sizeof event_hz / sizeof event_hz[0]; i++) {
        row(&out[n++], event_pt[i], "telephone-event", event_hz[i]);
    }
    row(&out[n++], 13, "CN", 8000);
    return n;
}

static uint32_t rows_of(const struct sim *m, const struct sim_leg *leg,
                        struct slr_pt_map out[static ROWS])
{
    uint32_t n = 0;
    if (m->lossy) {
        return rows_of_bank(leg, out);
    }
    if (m->format == SIM_FILE_ALAW || m->mixed) {
        row(&out[n++], 8, "PCMA", 8000);
    }
    if (m->format == SIM_FILE_ULAW || m->mixed) {
        row(&out[n++], 0, "PCMU", 8000);
    }
    if (m->format == SIM_FILE_S16) {
        row(&out[n++], 96, "L16", m->hz);
    }
    row(&out[n++], 101, "telephone-event", m->hz);
    row(&out[n++], 13, "CN", m->hz);
    return n;
}

static uint8_t pt_of(const struct sim *m, const struct sim_packet *p)
{
    static const uint8_t audio[] = {[SIM_PCMA] = 8, [SIM_PCMU] = 0, [SIM_L16] = 96};
    uint32_t clock = 0;
    if (m->lossy && p->kind == SIM_AUDIO) {
        return sim_line((enum sim_codec)p->codec)->pt;
    }
    while (m->lossy && event_hz[clock] != sim_codec_hz(m, (enum sim_codec)p->codec)) {
        clock++;
    }
    if (p->kind == SIM_AUDIO) {
        return audio[p->codec];
    }
    return p->kind == SIM_NOISE ? 13 : event_pt[clock];
}

static void join(struct rig *r, uint32_t n)
{
    struct slr_pt_map rows[ROWS];
    struct sim_leg *from = &r->m->leg[n];
    uint32_t slot = slr_engine_leg_slot(&r->f.e);
    cr_assert_neq(slot, SLR_NONE);
    slr_engine_leg_reset(&r->f.e, slot);
    struct slr_leg *leg = &r->f.e.state->leg[slot];
    snprintf(leg->id, sizeof leg->id, "leg-%u", n);
    leg->channel = n;
    cr_assert_eq(slr_addr_parse("127.0.0.1", &leg->local), SLR_OK);
    leg->source = r->peer;
    cr_assert_eq(slr_leg_codecs_set(leg, rows, rows_of(r->m, from, rows)), SLR_OK);
    slr_leg_codecs_build(&r->f.e.codecs[slot], leg);
    for (uint32_t i = 0; from->signalled && i < 4 && i < from->stream_count; i++) {
        leg->ssrc_signalled[leg->ssrc_signalled_count++] = from->stream[i].ssrc;
    }
    cr_assert_eq(slr_engine_leg_join(&r->f.worker, r->s, slot), SLR_OK);
    r->slot[n] = slot;
    r->joined[n] = true;
}

static void put32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

/* RFC 3550 5.1, and the payload. */
static uint32_t compose(struct rig *r, const struct sim_leg *leg, const struct sim_packet *p)
{
    uint8_t *d = r->datagram;
    d[0] = 0x80;
    d[1] = (uint8_t)(pt_of(r->m, p) | (p->marker ? 0x80 : 0));
    d[2] = (uint8_t)(p->seq >> 8);
    d[3] = (uint8_t)p->seq;
    put32(d + 4, p->ts);
    put32(d + 8, leg->stream[p->stream].ssrc);
    if (p->kind == SIM_AUDIO) {
        return 12 + sim_payload(r->m, leg, p, d + 12, sizeof r->datagram - 12);
    }
    if (p->kind == SIM_NOISE) {
        d[12] = 40;
        return 13;
    }
    d[12] = leg->digit[p->digit].event;
    d[13] = p->last ? 0x8a : 0x0a;
    d[14] = (uint8_t)(p->samples >> 8);
    d[15] = (uint8_t)p->samples;
    return 16;
}

/* A stranger's packet is as good as any other but for where it comes from. */
static uint32_t compose_stray(struct rig *r, const struct sim_leg *leg, const struct sim_arrival *a)
{
    struct sim_packet p = {.codec = r->m->format == SIM_FILE_ULAW ? SIM_PCMU : 0};
    uint8_t *d = r->datagram;
    memset(d, 0x33, 172);
    d[0] = 0x80;
    p.codec = r->m->lossy ? leg->codec : p.codec;
    d[1] = pt_of(r->m, &p);
    put32(d + 4, (uint32_t)(a->ns / 125000));
    put32(d + 8, 0xabcd0000u + a->stray);
    d[2] = (uint8_t)(a->ns / (20 * SIM_MS) >> 8);
    d[3] = (uint8_t)(a->ns / (20 * SIM_MS));
    return 172;
}

static void deliver(struct rig *r, uint32_t n, const struct sim_arrival *a)
{
    const struct sim_leg *leg = &r->m->leg[n];
    struct slr_packet pkt = {.at = r->datagram, .src = a->packet < 0 ? r->stranger : r->peer};
    pkt.len_bytes =
        a->packet < 0 ? compose_stray(r, leg, a) : compose(r, leg, &leg->packet[a->packet]);
    pkt.arrival = fx_time(a->ns);
    set_clock(r, a->ns);
    slr_worker_packet(&r->f.worker, r->slot[n], false, &pkt);
}

/* One leg may take all of the packet memory: that it is exhausted while the disk is away is another
 * test's subject, and the truth knows nothing of it. */
static void lift_share(struct rig *r)
{
    r->f.e.state->leg_chunk_max = r->f.chunks;
}

static void restart(struct rig *r, int64_t ns)
{
    fx_die(&r->f);
    fx_boot(&r->f);
    lift_share(r);
    r->s = slr_engine_session_find(&r->f.e, r->id);
    cr_assert_not_null(r->s);
    if (r->m->restart_count < SIM_RESTARTS) {
        r->m->restart_ns[r->m->restart_count++] = ns;
    }
}

static bool may_die(struct rig *r, uint32_t permille)
{
    bool yes = rng_permille(&r->x, permille);
    return yes && r->m->dies && r->m->restart_count < SIM_RESTARTS;
}

/* A death after the file was written and before that counts. */
static void die_before_commit(struct rig *r, int64_t ns)
{
    size_t n = r->f.e.state->map_bytes;
    uint8_t *before = malloc(n);
    cr_assert_not_null(before);
    memcpy(before, r->f.e.state->header, n);
    (void)slr_writer_step(&r->f.writer, fx_time(ns));
    memcpy((void *)r->f.e.state->header, before, n);
    free(before);
    restart(r, ns);
}

static void turn_disk(struct rig *r, bool off)
{
    char open_dir[96];
    char away[96];
    if (off == r->disk_off) {
        return;
    }
    snprintf(open_dir, sizeof open_dir, "%s/open", r->f.root);
    snprintf(away, sizeof away, "%s/away", r->f.root);
    cr_assert_eq(off ? rename(open_dir, away) : rename(away, open_dir), 0);
    r->disk_off = off;
}

static bool in_hole(const struct sim *m, int64_t ns)
{
    return ns >= m->hole_from_ns && ns < m->hole_to_ns;
}

static void write_until(struct rig *r, int64_t ns, int64_t *next_ns)
{
    while (*next_ns <= ns) {
        if (!in_hole(r->m, *next_ns)) {
            set_clock(r, *next_ns);
            if (rng_odds(&r->x, 2) && r->m->disk_fails) {
                turn_disk(r, !r->disk_off);
            }
            if (may_die(r, 20)) {
                die_before_commit(r, *next_ns);
            }
            (void)slr_writer_step(&r->f.writer, fx_time(*next_ns));
            if (may_die(r, 20)) {
                restart(r, *next_ns);
            }
        }
        bool slow = rng_odds(&r->x, r->m->lazy ? 25 : 3);
        *next_ns += (slow ? rng_in(&r->x, 1000, 5000) : rng_in(&r->x, 20, 300)) * SIM_MS;
    }
}

static void command(struct rig *r, const struct sim_command *c)
{
    int64_t ticks = 0;
    set_clock(r, c->ns);
    if (c->kind == SIM_CMD_PAUSE || c->kind == SIM_CMD_RESUME) {
        bool on = c->kind == SIM_CMD_PAUSE;
        cr_assert_eq(slr_engine_pause(&r->f.e, r->id, on, 0, &ticks), SLR_OK);
        r->m->pause_answer[c->number][!on] = ticks;
        return;
    }
    slr_placement_hold(r->s, &r->f.e.state->leg[r->slot[c->leg]], c->kind == SIM_CMD_HOLD,
                       fx_time(c->ns));
}

/* The next arrival of all legs. */
static const struct sim_arrival *take(const struct sim *m, uint32_t at[static SIM_LEGS],
                                      uint32_t *leg)
{
    const struct sim_arrival *best = NULL;
    for (uint32_t n = 0; n < m->legs; n++) {
        const struct sim_arrival *a =
            at[n] < m->leg[n].arrival_count ? &m->leg[n].arrival[at[n]] : NULL;
        if (a && (!best || a->ns < best->ns)) {
            best = a;
            *leg = n;
        }
    }
    at[*leg] += best != NULL;
    return best;
}

/* Legs join in order of time, and the writer's turns lie between. */
static void join_until(struct rig *r, int64_t ns, int64_t *next_ns)
{
    for (;;) {
        uint32_t first = SIM_LEGS;
        for (uint32_t n = 0; n < r->m->legs; n++) {
            bool due = !r->joined[n] && r->m->leg[n].join_ns <= ns;
            if (due && (first == SIM_LEGS || r->m->leg[n].join_ns < r->m->leg[first].join_ns)) {
                first = n;
            }
        }
        if (first == SIM_LEGS) {
            return;
        }
        write_until(r, r->m->leg[first].join_ns, next_ns);
        set_clock(r, r->m->leg[first].join_ns);
        join(r, first);
    }
}

/* The engine dies, and comes back only at the end of the hole. */
static void be_away(struct rig *r, int64_t *next_ns)
{
    const struct sim *m = r->m;
    join_until(r, m->hole_from_ns - 1, next_ns);
    write_until(r, m->hole_from_ns - 1, next_ns);
    set_clock(r, m->hole_from_ns);
    fx_die(&r->f);
    r->m->restart_ns[r->m->restart_count++] = m->hole_to_ns;
    slr_clock_advance(r->f.e.virtual_clock, (slr_wall){FX_START_NS + m->hole_to_ns});
    fx_boot(&r->f);
    lift_share(r);
    r->s = slr_engine_session_find(&r->f.e, r->id);
    cr_assert_not_null(r->s);
    r->was_away = true;
}

/* Everything up to and with `ns`: joins, commands, the writer's turns, the engine's absence. */
static void go_on(struct rig *r, int64_t ns, int64_t *next_ns, uint32_t *next_command)
{
    struct sim *m = r->m;
    for (;;) {
        int64_t when = *next_command < m->command_count ? m->command[*next_command].ns : SIM_NEVER;
        int64_t to = when < ns ? when : ns;
        if (m->hole_to_ns <= to && !r->was_away) {
            be_away(r, next_ns);
        }
        join_until(r, to, next_ns);
        write_until(r, to, next_ns);
        if (when > ns) {
            return;
        }
        command(r, &m->command[(*next_command)++]);
    }
}

static void finish(struct rig *r)
{
    struct sim *m = r->m;
    turn_disk(r, false);
    r->f.writer.error_until_ns = 0;
    set_clock(r, m->end_ns);
    cr_assert_eq(slr_engine_session_end(&r->f.e, r->s, "bye", INT64_MIN), SLR_OK);
    if (may_die(r, 300)) {
        restart(r, m->end_ns);
    }
    cr_assert_eq(slr_writer_step(&r->f.writer, fx_time(m->end_ns)), 0u);
    if (may_die(r, 300)) {
        restart(r, m->end_ns);
        cr_assert_eq(slr_writer_step(&r->f.writer, fx_time(m->end_ns)), 0u);
    }
    cr_assert_eq(slr_sealer_step(&r->f.e.sealer), 0u);
    cr_assert_eq(slr_state_chunks_free(r->f.e.state), r->f.chunks);
}

static uint8_t *read_file(const char *root, const char *name, size_t *len_bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *in = fopen(path, "rb");
    cr_assert_not_null(in);
    cr_assert_eq(fseek(in, 0, SEEK_END), 0);
    *len_bytes = (size_t)ftell(in);
    rewind(in);
    uint8_t *at = malloc(*len_bytes + 1);
    cr_assert_not_null(at);
    cr_assert_eq(fread(at, 1, *len_bytes, in), *len_bytes);
    fclose(in);
    return at;
}

static void read_result(const struct rig *r, struct sim_result *to)
{
    char name[SLR_REC_NAME_SIZE];
    size_t n = 0;
    slr_recfile_name_final(r->id, ".wav", name);
    to->file = read_file(r->f.root, name, &to->len_bytes);
    cr_assert_eq(slr_wav_parse(slr_slice_of(to->file, to->len_bytes), &to->wav), SLR_OK);
    cr_assert_not(to->wav.truncated);
    to->data = to->file + to->wav.data_offset_bytes;
    slr_recfile_name_final(r->id, ".json", name);
    uint8_t *text = read_file(r->f.root, name, &n);
    to->ledger = json_loadb((const char *)text, n, 0, NULL);
    free(text);
    cr_assert_not_null(to->ledger);
}

static void open_session(struct rig *r)
{
    slr_wall start;
    snprintf(r->id, sizeof r->id, "%012llx%020x", (unsigned long long)(FX_START_NS / SLR_NS_PER_MS),
             1u);
    struct slr_session_params p = {.session = r->id, .call = "call", .channels = r->m->legs};
    cr_assert_eq(slr_engine_session_open(&r->f.e, &p, &start), SLR_OK);
    r->s = slr_engine_session_find(&r->f.e, r->id);
}

void sim_run(struct sim *m, struct sim_result *result)
{
    struct rig *r = calloc(1, sizeof *r);
    uint32_t at[SIM_LEGS] = {0};
    uint32_t n = 0;
    uint32_t next_command = 0;
    int64_t next_ns = 100 * SIM_MS;
    cr_assert_not_null(r);
    r->m = m;
    r->x = rng_fork(m->seed, 9);
    fx_open_sized(&r->f, 8, m->hz == 48000 ? 6000 : 1500); /* while the disk is off */
    lift_share(r);
    slr_log_init("sim", SLR_LOG_ERROR + 1);
    cr_assert_eq(slr_addr_parse(PEER, &r->peer), SLR_OK);
    cr_assert_eq(slr_addr_parse(STRANGER, &r->stranger), SLR_OK);
    open_session(r);
    for (const struct sim_arrival *a = take(m, at, &n); a; a = take(m, at, &n)) {
        go_on(r, a->ns, &next_ns, &next_command);
        deliver(r, n, a);
        if (may_die(r, 2)) {
            restart(r, a->ns);
        }
    }
    go_on(r, m->end_ns, &next_ns, &next_command);
    finish(r);
    read_result(r, result);
    fx_close(&r->f);
    free(r);
}
