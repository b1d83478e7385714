/*
 * skew: see the header. Writer thread, or a test; no allocation.
 */
#include "engine/skew.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TICKS_S ((double)SLR_TICKS_HZ)
#define MS (TICKS_S / 1000.0)

/* A window ends after so long with so many packets, or after longer with few. The first ones are
 * shorter. */
#define WINDOW_TICKS (5 * SLR_TICKS_HZ)
#define WINDOW_PACKETS 100u
#define FIRST_TICKS (3 * SLR_TICKS_HZ)
#define FIRST_PACKETS 40u
#define FIRST_POINTS 4u /* that many are needed before anything is believed */
#define WINDOW_MAX_TICKS (30 * SLR_TICKS_HZ)
#define WINDOW_LEAST_PACKETS 10u

/* So many points are the beginning, in which a lower delay is no step but a better look. */
#define EARLY 6u
#define DROP_WINDOWS 2u /* a lower delay can't be jitter */
#define EDGES 16u       /* windows that the mean of their edges goes back */
#define PAIRS (SLR_SKEW_POINTS * (SLR_SKEW_POINTS - 1) / 2)

/* Rates closer than that, and than can be told after a minute, are of one clock. */
#define SAME_RATE_PPM 3.0
#define RATE_POINTS 12u
/* So many corrections of one leg in one direction prove that it is not of the other's clock. */
#define PROOF_STARTS 3
/* Sender reports agree with arrival while their rates do. */
#define TRUST_RATE 40e-6
#define TRUST_SPAN_S 25.0
#define TRUST_END_MS 20.0

static double at(const struct slr_skew_line *l, double t_s)
{
    return l->fit_ticks + l->rate * (t_s - l->fit_at_s) * TICKS_S;
}

static double since(const struct slr_skew_line *l, int64_t now_ticks)
{
    return (double)(now_ticks - l->at0_ticks) / TICKS_S;
}

/* The line's value at a moment. */
static int64_t line_at(const struct slr_skew_line *l, int64_t now_ticks)
{
    return l->delay0_ticks + (int64_t)llround(at(l, since(l, now_ticks)));
}

/* The k-th smallest; v is reordered. */
static double nth(double *v, uint32_t count, uint32_t k)
{
    uint32_t lo = 0;
    uint32_t hi = count - 1;
    while (lo < hi) {
        double pivot = v[lo + (hi - lo) / 2];
        uint32_t i = lo;
        uint32_t j = hi;
        while (i <= j) {
            while (v[i] < pivot) {
                i++;
            }
            while (v[j] > pivot) {
                j--;
            }
            if (i <= j) {
                double swap = v[i];
                v[i++] = v[j];
                v[j] = swap;
                if (j == 0) {
                    break;
                }
                j--;
            }
        }
        if (k <= j) {
            hi = j;
        } else if (k >= i) {
            lo = i;
        } else {
            return v[k];
        }
    }
    return v[lo];
}

/* Median of the slopes of all pairs (Theil and Sen): nearly a third of the points may be wild. */
static double median_rate(const struct slr_skew_line *l)
{
    double slope[PAIRS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        for (uint32_t k = i + 1; k < l->count; k++) {
            double dt = (double)l->at_s[k] - (double)l->at_s[i];
            if (dt > 0.0) {
                slope[n++] = (double)(l->delay_ticks[k] - l->delay_ticks[i]) / TICKS_S / dt;
            }
        }
    }
    return n > 0 ? nth(slope, n, n / 2) : 0.0;
}

struct sums {
    double n, t, d, tt, td;
};

static void add(struct sums *s, double t, double d)
{
    s->n += 1.0;
    s->t += t;
    s->d += d;
    s->tt += t * t;
    s->td += t * d;
}

/*
 * Through the points that lie lowest along the median slope: jitter only ever adds. The level is
 * the mean of those within a band above the lower quarter.
 */
static void fit(struct slr_skew_line *l)
{
    double residual[SLR_SKEW_POINTS];
    double copy[SLR_SKEW_POINTS];
    double rate = median_rate(l);
    double t0 = (double)l->at_s[0];
    for (uint32_t i = 0; i < l->count; i++) {
        residual[i] = (double)l->delay_ticks[i] - rate * ((double)l->at_s[i] - t0) * TICKS_S;
        copy[i] = residual[i];
    }
    double low = nth(copy, l->count, l->count / 4);
    double band = low - copy[0]; /* nth leaves nothing greater before it */
    for (uint32_t i = 0; i < l->count / 4; i++) {
        band = low - copy[i] > band ? low - copy[i] : band;
    }
    band = (band < MS ? band : MS) + 0.7 * MS;
    struct sums s = {0};
    for (uint32_t i = 0; i < l->count; i++) {
        if (residual[i] <= low + band) {
            add(&s, (double)l->at_s[i] - t0, residual[i]);
        }
    }
    double spread = s.tt - s.t * s.t / s.n;
    double more = spread > 0.0 ? (s.td - s.t * s.d / s.n) / spread : 0.0; /* ticks a second */
    double sum = 0.0;
    for (uint32_t i = 0; i < l->count; i++) {
        double off = residual[i] - s.d / s.n - more * ((double)l->at_s[i] - t0 - s.t / s.n);
        sum += residual[i] <= low + band ? off * off : 0.0;
    }
    l->rate = rate + more / TICKS_S;
    l->fit_at_s = t0 + s.t / s.n;
    l->fit_ticks = s.d / s.n + rate * (s.t / s.n) * TICKS_S;
    l->rms_ticks = sqrt(sum / s.n);
    l->valid = s.n >= 3.0 && s.n * 4.0 >= (double)l->count && l->rms_ticks < 1.5 * MS;
}

static void drop_first(struct slr_skew_line *l)
{
    uint32_t rest = l->count + l->pending - 1;
    memmove(l->at_s, l->at_s + 1, rest * sizeof l->at_s[0]);
    memmove(l->delay_ticks, l->delay_ticks + 1, rest * sizeof l->delay_ticks[0]);
    l->count--;
}

/* The pending points join the others. */
static void accept(struct slr_skew_line *l)
{
    l->count += l->pending;
    l->pending = 0;
    while (l->count > SLR_SKEW_POINTS) {
        drop_first(l);
    }
    fit(l);
}

/* The pending points are the truth from now on. */
static void begin_again(struct slr_skew_line *l)
{
    while (l->count > 0) {
        drop_first(l);
    }
    accept(l);
}

static double residual_of(const struct slr_skew_line *l, uint32_t i)
{
    return (double)l->delay_ticks[i] - at(l, (double)l->at_s[i]);
}

/* Adds it to the pending ones. False: it can't be held (a delay of minutes): all begins anew. */
static bool put(struct slr_skew_line *l, int64_t at_ticks, int64_t delay_ticks)
{
    if (!l->has_origin) {
        l->has_origin = true;
        l->at0_ticks = at_ticks;
        l->delay0_ticks = delay_ticks;
    }
    int64_t delay = delay_ticks - l->delay0_ticks;
    if (delay > INT32_MAX / 2 || delay < INT32_MIN / 2) {
        memset(l, 0, sizeof *l);
        return false;
    }
    uint32_t i = l->count + l->pending;
    l->at_s[i] = (float)((double)(at_ticks - l->at0_ticks) / TICKS_S);
    l->delay_ticks[i] = (int32_t)delay;
    l->pending++;
    return true;
}

enum verdict { ON_LINE, WAIT, STEP, OTHER_RATE };

/* Middle of the pending points' distances from the line, and how far they are spread. */
static double pending_step(const struct slr_skew_line *l, double *spread)
{
    double v[SLR_SKEW_PENDING];
    double least = INFINITY;
    double most = -INFINITY;
    for (uint32_t i = 0; i < l->pending; i++) {
        v[i] = residual_of(l, l->count + i);
        least = v[i] < least ? v[i] : least;
        most = v[i] > most ? v[i] : most;
    }
    *spread = most - least;
    /* of a higher level the lowest is nearest to the truth */
    return nth(v, l->pending, v[0] > 0.0 ? l->pending / 4 : l->pending / 2);
}

/* What is the newest (pending) point? early: how many points are no history yet. */
static enum verdict judge(struct slr_skew_line *l, double *step)
{
    double tolerance = 3.0 * l->rms_ticks > 2.0 * MS ? 3.0 * l->rms_ticks : 2.0 * MS;
    double newest = residual_of(l, l->count + l->pending - 1);
    double spread = 0.0;
    *step = 0.0;
    if (l->count < EARLY || !l->valid) {
        return ON_LINE;
    }
    if (fabs(newest) <= tolerance) {
        /* whatever came before it was a passing delay */
        l->at_s[l->count] = l->at_s[l->count + l->pending - 1];
        l->delay_ticks[l->count] = l->delay_ticks[l->count + l->pending - 1];
        l->pending = 1;
        return ON_LINE;
    }
    *step = pending_step(l, &spread);
    bool drop = newest < 0.0;
    bool one_way = l->pending == 1 || (residual_of(l, l->count + l->pending - 2) < 0.0) == drop;
    if (!one_way) {
        l->at_s[l->count] = l->at_s[l->count + l->pending - 1];
        l->delay_ticks[l->count] = l->delay_ticks[l->count + l->pending - 1];
        l->pending = 1;
        return WAIT;
    }
    if (drop && l->pending >= DROP_WINDOWS && spread <= 1.5 * MS) {
        return STEP;
    }
    if (l->pending < SLR_SKEW_PENDING) {
        return WAIT;
    }
    return spread <= 3.0 * MS + tolerance ? STEP : OTHER_RATE;
}

/* Points that are held already follow a change of what they are measured by. */
static void shift_pending(struct slr_skew_line *l, double by_ticks)
{
    for (uint32_t i = 0; i < l->pending; i++) {
        l->delay_ticks[l->count + i] += (int32_t)lround(by_ticks);
    }
}

/* Did the sender's media clock make this step? Its reports left their line by the same. */
static bool clock_made(const struct slr_skew *k, double step)
{
    const struct slr_skew_line *r = &k->report;
    double spread = 0.0;
    if (!r->valid || r->pending == 0) {
        return false;
    }
    double own = pending_step(r, &spread);
    return fabs(own - step) <= (fabs(step) / 4.0 > 3.0 * MS ? fabs(step) / 4.0 : 3.0 * MS);
}

/* Reports that agree with arrival for a while are believed, until they part for good. */
static void judge_reports(struct slr_skew *k, int64_t now_ticks)
{
    const struct slr_skew_line *p = &k->path;
    const struct slr_skew_line *r = &k->report;
    if (k->refused || !p->valid || !r->valid || r->count < 4) {
        return;
    }
    int64_t apart = line_at(p, now_ticks) - line_at(r, now_ticks);
    double span_s = (double)r->at_s[r->count - 1] - (double)r->at_s[0];
    if (!k->trusted && span_s >= TRUST_SPAN_S && p->count >= EARLY && r->rms_ticks < MS) {
        k->trusted = fabs(p->rate - r->rate) <= TRUST_RATE;
        k->trust_ticks = apart;
        k->refused = !k->trusted && p->count == SLR_SKEW_POINTS;
    } else if (k->trusted && fabs((double)(apart - k->trust_ticks)) > TRUST_END_MS * MS) {
        k->trusted = false;
        k->refused = true;
    }
}

/* Does every point go the line's way, and none of them most of it, as a step would? */
static bool is_steady(const struct slr_skew_line *l)
{
    for (uint32_t i = 0; i + 1 < l->count; i++) {
        double passed = ((double)l->at_s[i + 1] - (double)l->at_s[i]) * TICKS_S * l->rate;
        double moved = (double)(l->delay_ticks[i + 1] - l->delay_ticks[i]);
        if (moved / passed < 0.3 || moved / passed > 3.0) {
            return false;
        }
    }
    return true;
}

/* Is it a skew at all? */
static enum slr_skew_event judge_rate(struct slr_skew *k)
{
    double off = fabs(k->path.rate) * 1e6;
    /* of few points a step (another packet length, a clock that stood still) or jitter makes a
     * slope, too, and of two movements one may look like the other by chance */
    bool few = k->path.count < FIRST_POINTS;
    double most = (few ? 50.0 : 10.0) * SLR_SKEW_RATE_MAX_PPM;
    bool steady = is_steady(&k->path);
    bool sure = k->path.count >= FIRST_POINTS && k->path.valid && off > SLR_SKEW_RATE_MAX_PPM &&
                (steady || k->path.count >= RATE_POINTS);
    bool gross = k->path.count >= 3 && off > most && steady;
    if (!k->rate_off && (sure || gross)) {
        k->rate_off = true;
        k->rates++;
        return SLR_SKEW_RATE;
    }
    if (k->rate_off && k->path.count >= EARLY && k->path.valid &&
        off < SLR_SKEW_RATE_MAX_PPM * 0.9) {
        k->rate_off = false;
        k->rebase = true; /* where it is now is where it belongs */
        return SLR_SKEW_RATE_BACK;
    }
    return SLR_SKEW_NOTHING;
}

/* Where the new segment's delay was counted from: from the same place as before, or from arrival.
 */
static void settle_segment(struct slr_skew *k)
{
    k->rebase = false;
    if (k->before_valid && k->steps_ticks != 0) {
        int64_t kept = k->base_ticks - (k->path.delay0_ticks - k->steps_ticks);
        int64_t anew = k->base_ticks - k->path.delay0_ticks;
        int64_t from_kept = llabs(kept - k->before_ticks);
        int64_t from_anew = llabs(anew - k->before_ticks);
        if (from_anew < from_kept) {
            k->steps_ticks = 0;
        } else {
            k->path.delay0_ticks -= k->steps_ticks;
        }
    } else {
        k->steps_ticks = 0;
    }
}

/* What the window that is over should show if nothing has happened. */
static int64_t expected(const struct slr_skew *k, int64_t at_ticks)
{
    const struct slr_skew_line *l = &k->path;
    uint32_t points = l->count + l->pending;
    if (points == 0) {
        return k->base_ticks;
    }
    double t = (double)l->at_s[points - 1];
    double went = l->valid ? l->rate * (since(l, at_ticks) - t) * TICKS_S : 0.0;
    return l->delay0_ticks + k->steps_ticks + l->delay_ticks[points - 1] + (int64_t)llround(went);
}

/* A window of long and short packets tells by itself: by start its two least delays part by the
 * longest one, by end by the shortest one, each only with the jitter of the few that are that long.
 * Short ones must not be so few that they may all have been late: what began in the middle of the
 * window tells nothing. */
static bool starts_show(const struct slr_skew *k)
{
    int64_t part = k->least[SLR_SKEW_BY_START].delay_ticks - k->least[SLR_SKEW_BY_END].delay_ticks;
    int64_t from_longest = llabs(part - (int64_t)k->longest_ticks);
    int64_t from_shortest = llabs(part - (int64_t)k->shortest_ticks);
    return k->pace == SLR_SKEW_BY_END && k->half_count >= k->window_count / 4 &&
           from_longest < from_shortest;
}

/* Where packets have become longer or shorter the sender's habit shows: the one that goes on as
 * before. */
static const struct slr_skew_least *window_least(struct slr_skew *k)
{
    const struct slr_skew_least *is = &k->least[k->pace];
    const struct slr_skew_least *other = &k->least[!k->pace];
    int64_t dur = (int64_t)k->dur_ticks;
    int64_t turned = k->pace_ticks + (k->pace == SLR_SKEW_BY_END ? -dur : dur);
    int64_t apart = other->delay_ticks + turned - is->delay_ticks - k->pace_ticks;
    /* if it sends by start, the longest packet moved its least delay by end; if it sends by end,
     * the shortest one that by start: to these sides the two part */
    int64_t change = (apart > 0) == (k->pace == SLR_SKEW_BY_END) ? k->longest_ticks - dur
                                                                 : dur - k->shortest_ticks;
    if (change <= 0 || llabs(apart) < change / 2) {
        if (!starts_show(k)) {
            return is; /* nothing to tell them by: packets of the old length were the first */
        }
        k->pace = SLR_SKEW_BY_START;
        k->pace_ticks = turned;
        return other;
    }
    int64_t off = is->delay_ticks + k->pace_ticks - expected(k, is->at_ticks);
    int64_t other_off = other->delay_ticks + turned - expected(k, other->at_ticks);
    k->dur_ticks = k->longest_ticks;
    if (llabs(other_off) < llabs(off)) {
        k->pace = !k->pace;
        k->pace_ticks = turned;
        return other;
    }
    return is;
}

/* How thin delays lie at their lower edge. */
static void learn_edge(struct slr_skew *k, const struct slr_skew_least *least)
{
    double edge = (double)(least->second_ticks - least->delay_ticks);
    k->edges += k->edges < EDGES;
    k->edge_ticks += (edge - k->edge_ticks) / (double)k->edges;
}

/* So far a line of few points may be from the truth by chance: the least delay of a window is about
 * as far above what the path can do as it is below the next one. */
static int64_t doubt_ticks(const struct slr_skew *k)
{
    bool few = k->path.count < RATE_POINTS;
    return few ? (int64_t)llround(4.0 * k->edge_ticks / sqrt((double)k->path.count)) : 0;
}

/* A window is over: its minimum is a point of the line. */
static enum slr_skew_event close_window(struct slr_skew *k)
{
    struct slr_skew_line *l = &k->path;
    enum slr_skew_event event = SLR_SKEW_NOTHING;
    double step = 0.0;
    bool fresh = !l->has_origin;
    const struct slr_skew_least *least = window_least(k);
    int64_t delay = least->delay_ticks + k->pace_ticks;
    if (!put(l, least->at_ticks, delay - (k->rebase ? 0 : k->steps_ticks))) {
        return SLR_SKEW_NOTHING;
    }
    learn_edge(k, least);
    if (fresh && k->rebase) {
        settle_segment(k);
    }
    switch (judge(l, &step)) {
    case WAIT:
        return SLR_SKEW_NOTHING;
    case ON_LINE:
        accept(l);
        break;
    case STEP:
        event = clock_made(k, step) ? SLR_SKEW_CLOCK_STEP : SLR_SKEW_STEP;
        k->step_ticks = (int64_t)llround(step);
        k->steps++;
        if (event == SLR_SKEW_STEP) {
            shift_pending(l, -step);
            k->steps_ticks += k->step_ticks;
            accept(l);
        } else {
            begin_again(l);
            begin_again(&k->report);
            k->trusted = false;
        }
        break;
    case OTHER_RATE:
        begin_again(l);
        break;
    }
    judge_reports(k, k->last_ticks);
    enum slr_skew_event rate = judge_rate(k);
    return rate != SLR_SKEW_NOTHING ? rate : event;
}

/* Another stream, or the same under a new anchor: its delay says nothing about the one before. */
static void begin_segment(struct slr_skew *k, const struct slr_skew_packet *p)
{
    k->before_valid = k->path.valid && !k->rate_off;
    if (k->before_valid) {
        k->before_ticks = k->base_ticks - line_at(&k->path, k->last_ticks);
    }
    memset(&k->path, 0, sizeof k->path);
    memset(&k->report, 0, sizeof k->report);
    k->window_count = 0;
    k->edges = 0;
    k->edge_ticks = 0.0;
    k->trusted = k->refused = k->rate_off = false;
    k->rebase = true;
    k->stream = p->stream;
    k->pace = SLR_SKEW_BY_END;
    k->pace_ticks = 0;
    k->dur_ticks = p->dur_ticks;
    k->base_ticks = -(int64_t)p->dur_ticks;
}

static void keep_least(struct slr_skew_least *least, int64_t delay_ticks, int64_t at_ticks)
{
    if (delay_ticks < least->delay_ticks) {
        *least = (struct slr_skew_least){delay_ticks, at_ticks, least->delay_ticks};
    } else if (delay_ticks < least->second_ticks) {
        least->second_ticks = delay_ticks;
    }
}

enum slr_skew_event slr_skew_packet(struct slr_skew *k, const struct slr_skew_packet *p)
{
    enum slr_skew_event event = SLR_SKEW_NOTHING;
    if (!k->begun || p->new_segment || p->stream != k->stream) {
        begin_segment(k, p);
        k->begun = true;
    }
    int64_t passed = p->arrival_ticks - k->window_ticks;
    bool first = k->path.count < FIRST_POINTS;
    bool full = passed >= (first ? FIRST_TICKS : WINDOW_TICKS) &&
                k->window_count >= (first ? FIRST_PACKETS : WINDOW_PACKETS);
    if (k->window_count > 0 && (full || passed >= WINDOW_MAX_TICKS)) {
        if (k->window_count >= WINDOW_LEAST_PACKETS) {
            event = close_window(k);
        }
        k->window_count = 0;
    }
    if (k->window_count == 0) {
        k->window_ticks = p->arrival_ticks;
        k->least[SLR_SKEW_BY_END] = (struct slr_skew_least){INT64_MAX, 0, INT64_MAX};
        k->least[SLR_SKEW_BY_START] = k->least[SLR_SKEW_BY_END];
        k->shortest_ticks = k->longest_ticks = p->dur_ticks;
        k->half_count = 0;
    }
    k->window_count++;
    k->half_count += p->dur_ticks <= k->dur_ticks / 2;
    k->shortest_ticks = p->dur_ticks < k->shortest_ticks ? p->dur_ticks : k->shortest_ticks;
    k->longest_ticks = p->dur_ticks > k->longest_ticks ? p->dur_ticks : k->longest_ticks;
    int64_t delay = p->arrival_ticks - p->start_ticks;
    keep_least(&k->least[SLR_SKEW_BY_START], delay, p->arrival_ticks);
    keep_least(&k->least[SLR_SKEW_BY_END], delay - (int64_t)p->dur_ticks, p->arrival_ticks);
    k->last_ticks = p->arrival_ticks > k->last_ticks ? p->arrival_ticks : k->last_ticks;
    return event;
}

void slr_skew_report(struct slr_skew *k, int64_t sender_ticks, int64_t position_ticks)
{
    struct slr_skew_line *l = &k->report;
    double step = 0.0;
    if (!k->begun || !put(l, k->last_ticks, sender_ticks - position_ticks)) {
        return;
    }
    switch (judge(l, &step)) {
    case ON_LINE:
        accept(l);
        break;
    case WAIT:
        break;
    case STEP:
    case OTHER_RATE:
        /* nothing of the path was seen to go with it: the sender set its clock */
        shift_pending(l, -step);
        accept(l);
        break;
    }
}

bool slr_skew_error(const struct slr_skew *k, int64_t corr_ticks, int64_t now_ticks,
                    int64_t *error_ticks)
{
    if (!k->begun || k->rate_off || k->rebase || !k->path.valid || k->path.count < FIRST_POINTS) {
        return false;
    }
    int64_t delay =
        k->trusted ? line_at(&k->report, now_ticks) + k->trust_ticks : line_at(&k->path, now_ticks);
    *error_ticks = corr_ticks + k->base_ticks - delay;
    return true;
}

double slr_skew_ppm(const struct slr_skew *k)
{
    double rate = k->trusted ? k->report.rate : k->path.rate;
    return k->path.valid ? -rate * 1e6 : 0.0;
}

#define PARTIES 32u

struct view {
    struct slr_skew *skew;
    int64_t error_ticks, doubt_ticks;
};

/* What a leg's deviation shall become: that of the leg nearest to our clock while both may be of
 * one clock, else none; on the way there never farther from any other leg than is heard. */
static int64_t target_of(const struct view *v, uint32_t count, uint32_t own, bool absolute)
{
    int64_t least = INT64_MAX;
    int64_t most = INT64_MIN;
    int64_t least_other = INT64_MAX;
    int64_t most_other = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        int64_t e = v[i].error_ticks;
        least = e < least ? e : least;
        most = e > most ? e : most;
        if (i != own) {
            least_other = e < least_other ? e : least_other;
            most_other = e > most_other ? e : most_other;
        }
    }
    int64_t e = v[own].error_ticks;
    if (!absolute) {
        return least > 0 ? least : (most < 0 ? most : 0);
    }
    if (e < 0 && least_other + SLR_SKEW_START_TICKS < 0) {
        return least_other + SLR_SKEW_START_TICKS > e ? least_other + SLR_SKEW_START_TICKS : e;
    }
    if (e > 0 && most_other - SLR_SKEW_START_TICKS > 0) {
        return most_other - SLR_SKEW_START_TICKS < e ? most_other - SLR_SKEW_START_TICKS : e;
    }
    return 0;
}

static void decide_one(const struct view *v, uint32_t count, uint32_t own, int64_t spread)
{
    struct slr_skew *k = v[own].skew;
    int64_t off = v[own].error_ticks - target_of(v, count, own, k->absolute);
    int64_t size = llabs(off);
    int64_t sure = size - v[own].doubt_ticks;
    bool apart = spread > SLR_SKEW_START_TICKS && size >= SLR_SKEW_START_TICKS * 2 / 5;
    bool alone = k->absolute && sure > SLR_SKEW_START_TICKS;
    if (!k->correcting && apart && !k->absolute) {
        k->starts = (int8_t)(off > 0 ? (k->starts > 0 ? k->starts + 1 : 1)
                                     : (k->starts < 0 ? k->starts - 1 : -1));
        k->absolute = abs(k->starts) >= PROOF_STARTS;
    }
    k->correcting = size > SLR_SKEW_END_TICKS && (k->correcting || apart || alone);
    k->urgent = k->correcting && sure > SLR_SKEW_URGENT_TICKS;
    k->want_ticks = k->correcting ? -off : 0;
}

/* How far a rate may be from the truth: three standard errors of the line's slope. */
static double rate_doubt_ppm(const struct slr_skew *k)
{
    const struct slr_skew_line *l = k->trusted ? &k->report : &k->path;
    double n = (double)l->count;
    double span_s = (double)l->at_s[l->count - 1] - (double)l->at_s[0];
    if (k->path.count < RATE_POINTS || span_s <= 0.0) {
        return INFINITY;
    }
    return 3.0 * (l->rms_ticks / TICKS_S) / (span_s * sqrt(n / 12.0)) * 1e6;
}

/* Clocks of their own, or one that drives all of them? */
static bool clocks_differ(const struct view *v, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = i + 1; k < count; k++) {
            double apart = fabs(slr_skew_ppm(v[i].skew) - slr_skew_ppm(v[k].skew));
            double doubt = hypot(rate_doubt_ppm(v[i].skew), rate_doubt_ppm(v[k].skew));
            if (apart > SAME_RATE_PPM + doubt) {
                return true;
            }
        }
    }
    return false;
}

/* The parties whose deviation is known. */
static uint32_t look(const struct slr_skew_party *party, uint32_t count, int64_t now_ticks,
                     struct view *v)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t last = party[i].skew->last_ticks;
        now_ticks = last > now_ticks ? last : now_ticks;
    }
    for (uint32_t i = 0; i < count && n < PARTIES; i++) {
        int64_t e = 0;
        if (slr_skew_error(party[i].skew, party[i].corr_ticks, now_ticks, &e)) {
            v[n++] = (struct view){party[i].skew, e, doubt_ticks(party[i].skew)};
        }
    }
    return n;
}

void slr_skew_decide(const struct slr_skew_party *party, uint32_t count, int64_t now_ticks)
{
    struct view v[PARTIES];
    uint32_t n = look(party, count, now_ticks, v);
    int64_t least = INT64_MAX;
    int64_t most = INT64_MIN;
    int64_t doubt = 0;
    for (uint32_t i = 0; i < count; i++) {
        party[i].skew->want_ticks = 0;
        party[i].skew->urgent = false;
    }
    for (uint32_t i = 0; i < n; i++) {
        least = v[i].error_ticks < least ? v[i].error_ticks : least;
        most = v[i].error_ticks > most ? v[i].error_ticks : most;
        doubt = v[i].doubt_ticks > doubt ? v[i].doubt_ticks : doubt;
    }
    if (n < 2) {
        return;
    }
    bool differ = most - least > SLR_SKEW_START_TICKS && clocks_differ(v, n);
    for (uint32_t i = 0; i < n; i++) {
        decide_one(v, n, i, most - least - doubt);
        differ |= v[i].skew->absolute;
    }
    for (uint32_t i = 0; i < n; i++) {
        v[i].skew->absolute |= differ;
    }
}
