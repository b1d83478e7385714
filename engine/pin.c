/*
 * pin: see the header. Control thread.
 */
#include "engine/pin.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/slice.h"

#define NODES 1024u
#define MPOL_PREFERRED 1 /* linux/mempolicy.h; another node's memory is better than none */
#define LIST_BYTES 1024u

static bool add_range(struct slr_pin *pin, uint64_t from, uint64_t to)
{
    for (uint64_t cpu = from; cpu <= to; cpu++) {
        if (pin->count == SLR_PIN_CPUS) {
            return false;
        }
        pin->cpu[pin->count++] = (uint16_t)cpu;
    }
    return from <= to;
}

/* "N" or "N-N". */
static bool read_range(struct slr_slice item, uint64_t *from, uint64_t *to)
{
    struct slr_slice first;
    size_t len_bytes = item.len_bytes;
    if (!slr_slice_take_token(&item, '-', &first) ||
        !slr_slice_to_u64(first, CPU_SETSIZE - 1, from)) {
        return false;
    }
    *to = *from;
    return first.len_bytes == len_bytes || slr_slice_to_u64(item, CPU_SETSIZE - 1, to);
}

enum slr_err slr_pin_parse(const char *list, struct slr_pin *out)
{
    struct slr_slice rest = slr_slice_str(list ? list : "");
    struct slr_slice item;
    bool ends = rest.len_bytes > 0 && rest.at[rest.len_bytes - 1] != ',';
    bool good = !list || ends;
    out->count = 0;
    while (good && slr_slice_take_token(&rest, ',', &item)) {
        uint64_t from = 0;
        uint64_t to = 0;
        good = read_range(item, &from, &to) && add_range(out, from, to);
    }
    out->count = good ? out->count : 0;
    return good ? SLR_OK : SLR_INVAL;
}

enum slr_err slr_pin_thread(const struct slr_pin *pin, uint32_t number, pthread_t thread)
{
    cpu_set_t set;
    if (pin->count == 0) {
        return SLR_OK;
    }
    CPU_ZERO(&set);
    CPU_SET(pin->cpu[number % pin->count], &set);
    return pthread_setaffinity_np(thread, sizeof set, &set) == 0 ? SLR_OK : SLR_INVAL;
}

/* "nodeN/cpulist" */
static enum slr_err node_cpus(const char *root, uint64_t node, struct slr_pin *out)
{
    char path[256];
    char list[LIST_BYTES];
    snprintf(path, sizeof path, "%s/node%llu/cpulist", root, (unsigned long long)node);
    FILE *f = fopen(path, "re");
    if (!f) {
        return SLR_NOTFOUND;
    }
    bool got = fgets(list, sizeof list, f) != NULL;
    fclose(f);
    list[got ? strcspn(list, "\n") : 0] = '\0';
    return slr_pin_parse(list, out) == SLR_OK ? SLR_OK : SLR_NOTFOUND;
}

enum slr_err slr_numa_bind(const char *root, const char *node)
{
    struct slr_pin cpus;
    uint64_t number = 0;
    cpu_set_t ours;
    cpu_set_t set;
    unsigned long mask[NODES / (8 * sizeof(unsigned long))] = {0};
    if (!slr_slice_to_u64(slr_slice_str(node), NODES - 1, &number)) {
        return SLR_INVAL;
    }
    enum slr_err err = node_cpus(root, number, &cpus);
    if (err != SLR_OK || sched_getaffinity(0, sizeof ours, &ours) != 0) {
        return SLR_NOTFOUND;
    }
    CPU_ZERO(&set);
    for (uint32_t i = 0; i < cpus.count; i++) {
        CPU_SET(cpus.cpu[i], &set);
    }
    CPU_AND(&set, &set, &ours);
    if (CPU_COUNT(&set) == 0) {
        return SLR_NOTFOUND;
    }
    mask[number / (8 * sizeof mask[0])] = 1ul << number % (8 * sizeof mask[0]);
    if (syscall(SYS_set_mempolicy, MPOL_PREFERRED, mask, (unsigned long)NODES) != 0) {
        return errno == ENOSYS ? SLR_UNSUPPORTED : SLR_NOTFOUND;
    }
    return sched_setaffinity(0, sizeof set, &set) == 0 ? SLR_OK : SLR_NOTFOUND;
}
