/*
 * report: see the header.
 */
#include "load/report.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "load/ledger_view.h"
#include "load/setup.h"

#define NAME_SIZE 256

static double ms(int64_t ns)
{
    return (double)ns / (double)SLR_NS_PER_MS;
}

static double share(const struct slr_result *r, uint64_t used_ms)
{
    return r->call_seconds > 0 ? (double)used_ms / r->call_seconds : 0;
}

static uint64_t total(const struct slr_usage_process *p)
{
    return p->user_ms + p->system_ms;
}

double slr_report_cpu(const struct slr_result *r)
{
    if (r->after.process_count == 0 || !r->after.process[0].there || r->call_seconds <= 0) {
        return -1;
    }
    return share(r, total(&r->after.process[0]) - total(&r->before.process[0]));
}

static void name_of(const struct slr_result *r, const char *what, char *out, size_t size)
{
    bool g711 = strcmp(r->codecs, "PCMA") == 0 || strcmp(r->codecs, "PCMU") == 0 ||
                strcmp(r->codecs, "PCMA+PCMU") == 0;
    snprintf(out, size, "load/%s%s-dual/calls=%u%s", what, g711 ? "g711" : r->codecs, r->calls,
             r->label ? r->label : "");
}

static void line(json_t *row, FILE *out)
{
    if (row) {
        json_dumpf(row, out, JSON_COMPACT | JSON_REAL_PRECISION(7));
        fputc('\n', out);
        json_decref(row);
    }
}

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

void slr_report_capacity(const struct slr_result *best, const char *limit, uint32_t good,
                         uint32_t bad, FILE *out)
{
    double cpu = slr_report_cpu(best);
    json_t *row = json_pack("{s:s,s:I,s:s,s:s,s:I}", "bench", "load/capacity", "value",
                            (json_int_t)good, "unit", "calls at once without a loss", "limit",
                            limit, "failed_at", (json_int_t)bad);
    if (cpu > 0) {
        json_object_set_new(row, "cpu_ms_per_call_second", json_real(cpu));
        json_object_set_new(row, "calls_by_cpu", number((uint64_t)(1000.0 / cpu)));
    }
    line(row, out);
    fflush(out);
}

/* lost packets by whom: the ledger's word for each, unsaid: it has none */
static json_t *lost_by(const struct slr_verdict *v)
{
    json_t *by = json_object();
    for (uint32_t i = 0; i < SLR_KIND_COUNT; i++) {
        if (v->lost_by[i] > 0) {
            json_object_set_new(by, slr_ledger_view_kind(i), number(v->lost_by[i]));
        }
    }
    if (v->lost_unsaid > 0) {
        json_object_set_new(by, "unsaid", number(v->lost_unsaid));
    }
    if (v->lost_whole > 0) {
        json_object_set_new(by, "no-recording", number(v->lost_whole));
    }
    return by;
}

static json_t *verdict_row(const struct slr_load_config *cfg, const struct slr_result *r)
{
    char name[NAME_SIZE];
    const struct slr_verdict *v = &r->verdict;
    name_of(r, "", name, sizeof name);
    json_t *row =
        json_pack("{s:s,s:I,s:I,s:f,s:s,s:f,s:s,s:I}", "bench", name, "calls", (json_int_t)r->calls,
                  "seconds", (json_int_t)cfg->seconds, "call_seconds", r->call_seconds, "setup",
                  slr_setup_of(cfg)->name, "setup_s", r->setup_s, "profile", cfg->profile, "seed",
                  (json_int_t)cfg->seed);
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"set_up", r->set_up},
                   {"refused", r->failed},
                   {"not_ended", r->end_failed},
                   {"churned", r->churned},
                   {"packets_sent", r->sent.packets},
                   {"left_out", r->sent.dropped},
                   {"send_errors", r->sent.errors},
                   {"send_waits", r->sent.waits},
                   {"sent", v->expected},
                   {"found", v->found},
                   {"lost", v->lost},
                   {"misplaced", v->misplaced},
                   {"leaked", v->leaked},
                   {"damaged", v->damaged},
                   {"recordings", v->recordings},
                   {"legs_bad", v->legs_bad},
                   {"missing", v->missing},
                   {"unpaired", v->unpaired},
                   {"unreadable", v->unreadable},
                   {"corrections", v->corrections},
                   {"late", v->late},
                   {"duplicate", v->duplicate},
                   {"reordered", v->reordered},
                   {"rejected", v->rejected},
                   {"foreign", v->foreign}};
    for (size_t i = 0; row && i < sizeof numbers / sizeof numbers[0]; i++) {
        json_object_set_new(row, numbers[i].name, number(numbers[i].value));
    }
    json_object_set_new(row, "lost_by", lost_by(v));
    json_object_set_new(row, "offset_max_ms", json_real(ms(v->offset_max_ns)));
    json_object_set_new(row, "apart_max_ms", json_real(ms(v->apart_max_ns)));
    json_object_set_new(row, "checked", json_boolean(r->checked));
    json_object_set_new(row, "generator_limit", json_boolean(r->generator_limit));
    json_object_set_new(row, "ok", json_boolean(r->ok));
    return row;
}

static const struct slr_usage_thread *same_thread(const struct slr_usage_process *p, uint32_t id)
{
    for (uint32_t i = 0; i < p->thread_count; i++) {
        if (p->thread[i].id == id) {
            return &p->thread[i];
        }
    }
    return NULL;
}

static void process_rows(const struct slr_result *r, FILE *out)
{
    for (uint32_t i = 0; i < r->after.process_count; i++) {
        const struct slr_usage_process *a = &r->after.process[i];
        const struct slr_usage_process *b = &r->before.process[i];
        char name[NAME_SIZE];
        char what[48];
        json_t *threads = json_object();
        snprintf(what, sizeof what, "cpu/%s/", a->name);
        name_of(r, what, name, sizeof name);
        for (uint32_t k = 0; k < a->thread_count; k++) {
            const struct slr_usage_thread *t = &a->thread[k];
            const struct slr_usage_thread *was = same_thread(b, t->id);
            uint64_t used = t->user_ms + t->system_ms - (was ? was->user_ms + was->system_ms : 0);
            json_t *had = json_object_get(threads, t->name);
            used += had ? (uint64_t)json_integer_value(had) : 0;
            json_object_set_new(threads, t->name, number(used));
        }
        line(json_pack("{s:s,s:f,s:s,s:I,s:I,s:I,s:I,s:I,s:o}", "bench", name, "value",
                       share(r, total(a) - total(b)), "unit", "CPU ms per call-second", "cpu_ms",
                       (json_int_t)(total(a) - total(b)), "user_ms",
                       (json_int_t)(a->user_ms - b->user_ms), "system_ms",
                       (json_int_t)(a->system_ms - b->system_ms), "rss_kib", (json_int_t)a->rss_kib,
                       "pss_kib", (json_int_t)a->pss_kib, "threads_ms", threads),
             out);
    }
}

static void kernel_row(const struct slr_result *r, FILE *out)
{
    char name[NAME_SIZE];
    uint64_t softirq = 0;
    uint64_t drops = 0;
    json_t *cpus = json_array();
    name_of(r, "kernel/", name, sizeof name);
    for (uint32_t i = 0; i < r->after.cpu_count; i++) {
        const struct slr_usage_cpu *a = &r->after.cpu[i];
        const struct slr_usage_cpu *b = &r->before.cpu[i];
        softirq += a->softirq - b->softirq;
        drops += a->backlog_drops - b->backlog_drops;
        json_array_append_new(cpus, json_pack("{s:i,s:I,s:I,s:I,s:I}", "cpu", (int)i, "user_ms",
                                              (json_int_t)(a->user - b->user), "system_ms",
                                              (json_int_t)(a->system - b->system), "softirq_ms",
                                              (json_int_t)(a->softirq - b->softirq), "idle_ms",
                                              (json_int_t)(a->idle - b->idle)));
    }
    const struct slr_usage_udp *a = &r->after.udp;
    const struct slr_usage_udp *b = &r->before.udp;
    line(json_pack("{s:s,s:f,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "bench", name, "value",
                   share(r, softirq), "unit", "softirq ms per call-second, all cores", "softirq_ms",
                   (json_int_t)softirq, "backlog_drops", (json_int_t)drops, "receive_buffer_errors",
                   (json_int_t)(a->receive_buffer_errors - b->receive_buffer_errors), "no_ports",
                   (json_int_t)(a->no_ports - b->no_ports), "socket_drops",
                   (json_int_t)a->socket_drops, "socket_drops_most",
                   (json_int_t)a->socket_drops_most, "sockets_dropping",
                   (json_int_t)a->sockets_dropping, "cpus", cpus),
         out);
}

static void memory_row(const struct slr_result *r, FILE *out)
{
    char name[NAME_SIZE];
    const struct slr_usage_process *p = &r->after.process[0];
    double streams = (double)r->up_most * SLR_LOAD_LEGS;
    name_of(r, "memory/", name, sizeof name);
    if (r->after.process_count > 0 && streams > 0) {
        line(json_pack("{s:s,s:f,s:s,s:I,s:I,s:I}", "bench", name, "value",
                       (double)p->rss_kib / streams, "unit", "KiB resident a stream", "rss_kib",
                       (json_int_t)p->rss_kib, "pss_kib", (json_int_t)p->pss_kib, "state_kib",
                       (json_int_t)r->after.state_kib),
             out);
    }
}

/* The engine's counters that changed in the measured time, as they are called there. */
static void counters_row(const struct slr_result *r, FILE *out)
{
    char name[NAME_SIZE];
    const char *key;
    json_t *value;
    json_t *changed = json_object();
    if (!r->stats_before || !r->stats_after) {
        json_decref(changed);
        return;
    }
    json_object_foreach(r->stats_after, key, value)
    {
        json_int_t was = json_integer_value(json_object_get(r->stats_before, key));
        if (json_integer_value(value) != was) {
            json_object_set_new(changed, key, json_integer(json_integer_value(value) - was));
        }
    }
    name_of(r, "counters/", name, sizeof name);
    line(json_pack("{s:s,s:o}", "bench", name, "changed", changed), out);
}

static void time_row(const struct slr_result *r, const char *what, const char *unit,
                     const struct slr_hist *h, FILE *out)
{
    char name[NAME_SIZE];
    name_of(r, what, name, sizeof name);
    line(json_pack("{s:s,s:f,s:s,s:f,s:f,s:I}", "bench", name, "value", ms(slr_hist_at(h, 99)),
                   "unit", unit, "p50_ms", ms(slr_hist_at(h, 50)), "max_ms", ms(h->max_ns), "count",
                   (json_int_t)h->count),
         out);
}

void slr_report_json(const struct slr_load_config *cfg, const struct slr_result *r, FILE *out)
{
    char name[NAME_SIZE];
    line(verdict_row(cfg, r), out);
    process_rows(r, out);
    kernel_row(r, out);
    memory_row(r, out);
    counters_row(r, out);
    time_row(r, "late/", "ms behind time, p99 of packets", &r->late, out);
    time_row(r, "setup/", "ms from INVITE or command to answer, p99 of calls", &r->setup_latency,
             out);
    uint64_t packets = r->late.count > 0 ? r->late.count : 1;
    name_of(r, "sender/", name, sizeof name);
    line(json_pack("{s:s,s:f,s:s,s:f,s:I}", "bench", name, "value",
                   (double)r->sender_cpu_ns / (double)packets, "unit", "ns per packet sent", "busy",
                   (double)r->sender_cpu_ns / 1e9 / (r->measured_s > 0 ? r->measured_s : 1),
                   "slots_behind", (json_int_t)r->sent.slots_behind),
         out);
    fflush(out);
}

static void table_verdict(const struct slr_result *r, FILE *out)
{
    const struct slr_verdict *v = &r->verdict;
    fprintf(out, "  packets   %" PRIu64 " sent, %" PRIu64 " left out by impairment\n",
            r->sent.packets, r->sent.dropped);
    if (!r->checked) {
        fprintf(out, "  recordings not looked at\n");
        return;
    }
    fprintf(out,
            "  in files  %" PRIu64 " of %" PRIu64 " found, %" PRIu64 " lost, %" PRIu64
            " misplaced, %" PRIu64 " leaked, %" PRIu64 " damaged\n",
            v->found, v->expected, v->lost, v->misplaced, v->leaked, v->damaged);
    for (uint32_t i = 0; i < SLR_KIND_COUNT; i++) {
        if (v->lost_by[i] > 0) {
            fprintf(out, "            %" PRIu64 " %s\n", v->lost_by[i], slr_ledger_view_kind(i));
        }
    }
    fprintf(out, "  files     %u looked at, %u calls without, %u not paired, %u unreadable\n",
            v->recordings, v->missing, v->unpaired, v->unreadable);
    fprintf(out, "  places    legs at most %.2f ms from their sender, %.2f ms from each other\n",
            ms(v->offset_max_ns), ms(v->apart_max_ns));
}

void slr_report_table(const struct slr_load_config *cfg, const struct slr_result *r, FILE *out)
{
    uint64_t softirq = 0;
    fprintf(out, "%u calls of %s for %u s (%s): %s\n", r->calls, r->codecs, cfg->seconds,
            slr_setup_of(cfg)->name, r->ok ? "ok" : "NOT OK");
    fprintf(out, "  calls     %u set up in %.1f s, %u refused%s%s; each p50 %.1f ms, p99 %.1f ms\n",
            r->set_up, r->setup_s, r->failed, r->why[0] ? ": " : "", r->why,
            ms(slr_hist_at(&r->setup_latency, 50)), ms(slr_hist_at(&r->setup_latency, 99)));
    table_verdict(r, out);
    for (uint32_t i = 0; i < r->after.process_count; i++) {
        const struct slr_usage_process *a = &r->after.process[i];
        const struct slr_usage_process *b = &r->before.process[i];
        fprintf(out, "  %-9s %.4f CPU ms a call-second (%.0f %% of a core), %.1f MiB resident\n",
                a->name, share(r, total(a) - total(b)),
                r->measured_s > 0 ? (double)(total(a) - total(b)) / r->measured_s / 10.0 : 0,
                (double)a->rss_kib / 1024.0);
    }
    for (uint32_t i = 0; i < r->after.cpu_count; i++) {
        softirq += r->after.cpu[i].softirq - r->before.cpu[i].softirq;
    }
    fprintf(out, "  kernel    %.4f softirq ms a call-second\n", share(r, softirq));
    fprintf(out, "  sender    late p50 %.3f ms, p99 %.3f ms, max %.3f ms; %.0f %% of a core%s\n",
            ms(slr_hist_at(&r->late, 50)), ms(slr_hist_at(&r->late, 99)), ms(r->late.max_ns),
            r->measured_s > 0 ? (double)r->sender_cpu_ns / 1e7 / r->measured_s : 0,
            r->generator_limit ? ": THE GENERATOR IS THE LIMIT" : "");
    fflush(out);
}
