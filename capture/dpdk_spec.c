/*
 * dpdk_spec: see the header. Pure functions, any thread, allocate nothing.
 */
#include "capture/dpdk_spec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/slice.h"

#define SIP_PORT 5060u
/* A mbuf with its share of the pool: without huge pages each has a page of its own. */
#define MBUF_BYTES 4352u
/* Of mbufs there are so many times what the rings hold; the least is that and some in hand. */
#define MBUFS_RINGS 4u
#define MBUFS_IN_HAND 512u
/* What the EAL, queues and drivers need beside the mbufs. */
#define OTHER_MB 64u

struct number {
    const char *name;
    uint32_t min, max;
    size_t at;
};

static const struct number numbers[] = {
    {"queues", 1, SLR_DPDK_QUEUES_MAX, offsetof(struct slr_dpdk_spec, queues)},
    {"mbufs", 512, 1u << 24, offsetof(struct slr_dpdk_spec, mbufs)},
    {"mem", 32, 1u << 20, offsetof(struct slr_dpdk_spec, memory_mb)},
    {"ring", 64, 32768, offsetof(struct slr_dpdk_spec, ring)},
};

static bool take_u32(struct slr_slice s, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t n = 0;
    bool good = slr_slice_to_u64(s, max, &n) && n >= min;
    *out = (uint32_t)n;
    return good;
}

static bool take_ports(struct slr_slice value, struct slr_dpdk_spec *out)
{
    struct slr_slice lo = value, hi = value;
    const uint8_t *dash = memchr(value.at, '-', value.len_bytes);
    if (dash) {
        lo.len_bytes = (size_t)(dash - value.at);
        hi = slr_slice_of(dash + 1, value.len_bytes - lo.len_bytes - 1);
    }
    return take_u32(lo, 1, 65535, &out->tcp_lo) && take_u32(hi, 1, 65535, &out->tcp_hi) &&
           out->tcp_lo <= out->tcp_hi;
}

/* The word up to a comma that no backslash hides, which it is rid of; *rest: behind the comma. */
static char *take_word(char *at, char **rest)
{
    char *to = at, *from = at;
    while (*from != '\0' && *from != ',') {
        from += *from == '\\' && from[1] != '\0';
        *to++ = *from++;
    }
    *rest = *from == ',' ? from + 1 : from;
    *to = '\0';
    return at;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* True: it was an option, *good: and in order. */
static bool take_option(struct slr_slice word, struct slr_dpdk_spec *out, bool *good)
{
    const uint8_t *equals = memchr(word.at, '=', word.len_bytes);
    *good = true;
    if (slr_slice_eq(word, "spin")) {
        out->spin = true;
        return true;
    }
    if (!equals) {
        return false;
    }
    struct slr_slice name = slr_slice_of(word.at, (size_t)(equals - word.at));
    struct slr_slice value = slr_slice_of(equals + 1, word.len_bytes - name.len_bytes - 1);
    if (slr_slice_eq(name, "tcp")) {
        *good = take_ports(value, out);
        return true;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (slr_slice_eq(name, numbers[i].name)) {
            uint32_t *at = (uint32_t *)(void *)((char *)out + numbers[i].at);
            *good = take_u32(value, numbers[i].min, numbers[i].max, at);
            return true;
        }
    }
    return false;
}

bool slr_dpdk_spec_is_virtual(const struct slr_dpdk_spec *spec)
{
    return begins(spec->device, "net_") || begins(spec->device, "eth_");
}

/* A driver's name with a number, or a bus address, which has a colon. */
static bool is_device(const struct slr_dpdk_spec *spec)
{
    size_t name_bytes = strcspn(spec->device, ",");
    return (slr_dpdk_spec_is_virtual(spec) && name_bytes > 4) ||
           memchr(spec->device, ':', name_bytes) != NULL;
}

enum slr_err slr_dpdk_spec_parse(const char *text, struct slr_dpdk_spec *out)
{
    memset(out, 0, sizeof *out);
    out->queues = 1;
    out->ring = SLR_DPDK_RING;
    out->tcp_lo = out->tcp_hi = SIP_PORT;
    if (!text || strlen(text) >= sizeof out->text) {
        return SLR_INVAL;
    }
    memcpy(out->text, text, strlen(text));
    char *rest = out->text;
    for (;;) {
        bool good = true;
        if (begins(rest, "eal=")) {
            if (out->eal_count == SLR_DPDK_EAL_MAX) {
                return SLR_INVAL;
            }
            const char *word = take_word(rest + 4, &rest);
            out->eal[out->eal_count++] = word;
            good = word[0] != '\0';
        } else {
            size_t len = strcspn(rest, ",");
            if (!take_option(slr_slice_of(rest, len), out, &good)) {
                break;
            }
            rest += len + (rest[len] == ',');
        }
        if (!good) {
            return SLR_INVAL;
        }
    }
    uint32_t in_rings = out->ring * out->queues;
    out->mbufs = out->mbufs ? out->mbufs : MBUFS_RINGS * in_rings;
    out->device = rest;
    return is_device(out) && out->mbufs >= in_rings + MBUFS_IN_HAND ? SLR_OK : SLR_INVAL;
}

/* Does the caller say one of these himself? An option stands alone, or before a '=' or its value.
 */
static bool says(const struct slr_dpdk_spec *spec, const char *const *names)
{
    for (uint32_t i = 0; i < spec->eal_count; i++) {
        for (size_t k = 0; names[k]; k++) {
            size_t len = strlen(names[k]);
            if (begins(spec->eal[i], names[k]) &&
                (names[k][1] != '-' || spec->eal[i][len] == '\0' || spec->eal[i][len] == '=')) {
                return true;
            }
        }
    }
    return false;
}

__attribute__((format(printf, 2, 3))) static bool add(struct slr_dpdk_args *out, const char *fmt,
                                                      ...)
{
    size_t left = sizeof out->text - out->used_bytes;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(out->text + out->used_bytes, left, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= left || out->count == SLR_DPDK_ARGS_MAX) {
        return false;
    }
    out->argv[out->count++] = out->text + out->used_bytes;
    out->used_bytes += (size_t)n + 1;
    return true;
}

static bool add_memory(const struct slr_dpdk_spec *spec, bool huge_pages, struct slr_dpdk_args *out)
{
    static const char *const memory[] = {"-m", "--socket-mem", NULL};
    static const char *const no_huge[] = {"--no-huge", NULL};
    static const char *const shared[] = {"--file-prefix", "--proc-type", "--huge-dir",
                                         "--in-memory",   "--no-shconf", NULL};
    uint32_t mb = (uint32_t)((uint64_t)spec->mbufs * MBUF_BYTES >> 20) + OTHER_MB;
    bool huge = huge_pages && !says(spec, no_huge);
    bool good = says(spec, shared) || add(out, huge ? "--in-memory" : "--no-shconf");
    if (good && !huge && !says(spec, no_huge)) {
        good = add(out, "--no-huge");
    }
    /* huge pages are taken as they are needed */
    if (good && !says(spec, memory) && (spec->memory_mb || !huge)) {
        good = add(out, "-m") && add(out, "%u", spec->memory_mb ? spec->memory_mb : mb);
    }
    return good;
}

enum slr_err slr_dpdk_args_make(const struct slr_dpdk_spec *spec, const struct slr_dpdk_host *host,
                                struct slr_dpdk_args *out)
{
    static const char *const cores[] = {"-l", "-c", "--lcores", NULL};
    static const char *const telemetry[] = {"--telemetry", "--no-telemetry", NULL};
    static const char *const bus[] = {"--no-pci", "-a", "--allow", "-b", "--block", NULL};
    bool virtual = slr_dpdk_spec_is_virtual(spec);
    out->count = 0;
    out->used_bytes = 0;
    bool good = add(out, "slr") && (says(spec, cores) || add(out, "--lcores=0@(%s)", host->cpus)) &&
                (says(spec, telemetry) || add(out, "--no-telemetry")) &&
                add_memory(spec, host->huge_pages, out) &&
                (!virtual || says(spec, bus) || add(out, "--no-pci")) &&
                add(out, virtual ? "--vdev=%s" : "--allow=%s", spec->device);
    for (uint32_t i = 0; i < spec->eal_count && good; i++) {
        good = add(out, "%s", spec->eal[i]);
    }
    out->argv[out->count] = NULL;
    return good ? SLR_OK : SLR_FULL;
}
