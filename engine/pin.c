/*
 * pin: see the header. Control thread.
 */
#include "engine/pin.h"

#include <sched.h>
#include <stdbool.h>

#include "common/slice.h"

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
