/* The words behind `--capture dpdk:`, and the EAL's arguments made of them. */
#include <string.h>

#include "capture/dpdk_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slr_dpdk_spec spec;
    static struct slr_dpdk_args args;
    char text[SLR_DPDK_TEXT_SIZE + 64];
    size = size < sizeof text - 1 ? size : sizeof text - 1;
    memcpy(text, data, size);
    text[size] = '\0';
    if (slr_dpdk_spec_parse(text, &spec) == SLR_OK) {
        const struct slr_dpdk_host host = {.huge_pages = size % 2 == 0, .cpus = "0-3,8"};
        (void)slr_dpdk_args_make(&spec, &host, &args);
    }
    return 0;
}
