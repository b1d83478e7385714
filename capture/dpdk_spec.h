/*
 * dpdk_spec: the words behind `--capture dpdk:`, and the arguments that DPDK's EAL gets of them.
 * Pure functions, any thread, allocate nothing.
 */
#ifndef SLR_CAPTURE_DPDK_SPEC_H
#define SLR_CAPTURE_DPDK_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SLR_DPDK_TEXT_SIZE 2048u
#define SLR_DPDK_EAL_MAX 32u
#define SLR_DPDK_QUEUES_MAX 16u
#define SLR_DPDK_RING 4096u
#define SLR_DPDK_SPEC_HELP                                                                         \
    "[spin,][queues=N,][mbufs=N,][mem=MB,][ring=N,][tcp=PORT[-PORT],][eal=WORD,]...DEVICE"

/* Pointers lie in `text`: not to be copied. */
struct slr_dpdk_spec {
    bool spin;          /* never sleeps while nothing comes */
    uint32_t queues;    /* receive queues of the port */
    uint32_t mbufs;     /* frames that memory is reserved for; more than the rings hold */
    uint32_t memory_mb; /* of the EAL; 0: what the mbufs need */
    uint32_t ring;      /* descriptors of a queue */
    uint32_t tcp_lo, tcp_hi;
    uint32_t eal_count;
    const char *eal[SLR_DPDK_EAL_MAX];
    const char *device; /* DPDK's devargs: a bus address, or a virtual device (net_*, eth_*) */
    char text[SLR_DPDK_TEXT_SIZE];
};

/* Options come first, in any order; the first word that is none begins the device, whose commas are
 * its own. In eal= a backslash takes the next character as it is (--socket-mem=1024\,0).
 * SLR_INVAL: not of that form, a number out of range, too long. text may be NULL (invalid). */
enum slr_err slr_dpdk_spec_parse(const char *text, struct slr_dpdk_spec *out) SLR_CHECKED;

/* A virtual device: neither bus nor driver of the kernel is needed. */
bool slr_dpdk_spec_is_virtual(const struct slr_dpdk_spec *spec);

#define SLR_DPDK_ARGS_MAX (SLR_DPDK_EAL_MAX + 12u)

/* The EAL's arguments, argv[0] first; argv[count] is NULL. */
struct slr_dpdk_args {
    uint32_t count;
    char *argv[SLR_DPDK_ARGS_MAX + 1];
    size_t used_bytes;
    char text[2 * SLR_DPDK_TEXT_SIZE];
};

/* What the machine has to do with them. */
struct slr_dpdk_host {
    bool huge_pages;  /* some are free */
    const char *cpus; /* that the caller may run on: "0-3,8" */
};

/*
 * Arguments that take nothing from the program: its CPUs stay its own, no thread a core, no files
 * shared with other processes, no telemetry, no bus searched for a virtual device, and without huge
 * pages where there are none. What `spec->eal` says itself stands, and comes last.
 * SLR_FULL: no room. *out is not to be copied.
 */
enum slr_err slr_dpdk_args_make(const struct slr_dpdk_spec *spec, const struct slr_dpdk_host *host,
                                struct slr_dpdk_args *out) SLR_CHECKED;

#endif
