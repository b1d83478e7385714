/*
 * dpdk_port: a DPDK port as a source of frames; the module slr-dpdk.so, which is this file alone.
 *
 * The EAL is begun with the arguments given and leaves the thread's CPUs and signals as they were;
 * its log goes to the callback. A port has one or more receive queues (RSS by both ends of a flow
 * alike, so that both directions meet in one queue), is promiscuous, and takes frames as long as
 * the device can. A frame of several mbufs is copied into one piece. State: struct slr_dpdk_port,
 * owned by the thread that opened it. Allocates at open only.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "capture/dpdk_port.h"

/* Mirrors wrap full frames into more headers: take what is longer, too. */
#define MTU_WANTED 9000u
/* A frame of several mbufs that is longer is cut: more than any MTU, less than what LRO makes. */
#define JOINED_BYTES 10240u
#define TX_RING 64u
#define CACHE_MBUFS 256u
#define HASH_KEY_MAX 64u

struct slr_dpdk_port {
    uint16_t id, queues, queue; /* queue: the one that is asked next */
    bool started;
    struct rte_mempool *pool;
    struct rte_mbuf *mbuf[SLR_DPDK_BURST]; /* of the last burst */
    uint16_t held;
    FILE *log;
    void (*log_line)(enum slr_dpdk_loud, const char *);
    void (*refused)(const char *, const char *);
    uint8_t *joined; /* JOINED_BYTES a frame of a burst */
};

extern const struct slr_dpdk_port_ops slr_dpdk_port_ops;

static enum slr_dpdk_loud loud_of_line(void)
{
    int level = rte_log_cur_msg_loglevel();
    return level <= 0                      ? SLR_DPDK_LOG_INFO
           : level <= (int)RTE_LOG_ERR     ? SLR_DPDK_LOG_ERROR
           : level == (int)RTE_LOG_WARNING ? SLR_DPDK_LOG_WARN
           : level == (int)RTE_LOG_DEBUG   ? SLR_DPDK_LOG_DEBUG
                                           : SLR_DPDK_LOG_INFO;
}

/* One message, as DPDK flushes it. */
static ssize_t write_log(void *cookie, const char *at, size_t len)
{
    struct slr_dpdk_port *p = cookie;
    char line[512];
    size_t n = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && at[i] != '\n') {
            if (n < sizeof line - 1) {
                line[n++] = at[i];
            }
        } else if (n > 0) {
            line[n] = '\0';
            p->log_line(loud_of_line(), line);
            n = 0;
        }
    }
    return (ssize_t)len;
}

static enum slr_err refuse(const struct slr_dpdk_port *p, const char *step, int number)
{
    number = number < 0 ? -number : number;
    p->refused(step, number == EALREADY ? "only once a process" : rte_strerror(number));
    return number == ENOMEM     ? SLR_NOMEM
           : number == EALREADY ? SLR_STATE
           : number == EINVAL   ? SLR_INVAL
                                : SLR_IO;
}

/* The EAL pins the thread that begins it. */
static enum slr_err begin(struct slr_dpdk_port *p, const struct slr_dpdk_port_config *cfg)
{
    char *argv[128];
    cpu_set_t cpus;
    const pthread_t self = pthread_self();
    if (cfg->argc >= sizeof argv / sizeof argv[0]) {
        return SLR_INVAL;
    }
    memcpy(argv, cfg->argv, cfg->argc * sizeof argv[0]);
    argv[cfg->argc] = NULL;
    p->log = fopencookie(p, "w", (cookie_io_functions_t){.write = write_log});
    if (!p->log) {
        return SLR_NOMEM;
    }
    (void)rte_openlog_stream(p->log);
    bool known = pthread_getaffinity_np(self, sizeof cpus, &cpus) == 0;
    int begun = rte_eal_init((int)cfg->argc, argv);
    if (known) {
        (void)pthread_setaffinity_np(self, sizeof cpus, &cpus);
    }
    return begun >= 0 ? SLR_OK : refuse(p, "eal", rte_errno);
}

/* By its name; a bus address may have been given short: then it is the only one that there is. */
static enum slr_err find_port(struct slr_dpdk_port *p, const char *device)
{
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(device, ","), device);
    if (rte_eth_dev_get_port_by_name(name, &p->id) == 0) {
        return SLR_OK;
    }
    uint16_t first = rte_eth_find_next(0);
    if (first < RTE_MAX_ETHPORTS) {
        p->id = first;
        return SLR_OK;
    }
    p->refused("port", "no port of that device: is it bound to vfio-pci, is its driver installed?");
    return SLR_NOTFOUND;
}

/* A key of 16 bits again and again hashes both directions of a flow alike. */
static void set_rss(struct rte_eth_conf *conf, const struct rte_eth_dev_info *info, uint8_t *key)
{
    uint64_t hash =
        (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP) & info->flow_type_rss_offloads;
    if (hash == 0) {
        return;
    }
    for (size_t i = 0; i < HASH_KEY_MAX; i++) {
        key[i] = i % 2 == 0 ? 0x6d : 0x5a;
    }
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf->rx_adv_conf.rss_conf.rss_hf = hash;
    if (info->hash_key_size > 0 && info->hash_key_size <= HASH_KEY_MAX) {
        conf->rx_adv_conf.rss_conf.rss_key = key;
        conf->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size;
    }
}

static enum slr_err set_queues(struct slr_dpdk_port *p, const struct slr_dpdk_port_config *cfg,
                               const struct rte_eth_dev_info *info, uint16_t *ring)
{
    uint16_t tx_ring = TX_RING;
    int err = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, ring, &tx_ring);
    unsigned node = (unsigned)rte_eth_dev_socket_id(p->id);
    p->pool = rte_pktmbuf_pool_create("slr", cfg->mbufs, CACHE_MBUFS, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                      (int)node);
    if (!p->pool) {
        return refuse(p, "mbufs", rte_errno);
    }
    for (uint16_t q = 0; q < p->queues && err == 0; q++) {
        struct rte_eth_rxconf rx = info->default_rxconf;
        err = rte_eth_rx_queue_setup(p->id, q, *ring, node, &rx, p->pool);
    }
    if (err == 0) { /* nothing is sent; some drivers start with none of them no more */
        err = rte_eth_tx_queue_setup(p->id, 0, tx_ring, node, NULL);
    }
    return err == 0 ? SLR_OK : refuse(p, "queues", err);
}

static enum slr_err set_up(struct slr_dpdk_port *p, const struct slr_dpdk_port_config *cfg,
                           struct slr_dpdk_port_about *about)
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf;
    uint8_t key[HASH_KEY_MAX];
    uint16_t mtu = 0, tx_queues = 1, ring = (uint16_t)cfg->ring;
    memset(&conf, 0, sizeof conf);
    int err = rte_eth_dev_info_get(p->id, &info);
    if (err != 0) {
        return refuse(p, "device", err);
    }
    p->queues = cfg->queues < info.max_rx_queues ? (uint16_t)cfg->queues : info.max_rx_queues;
    if (p->queues > 1) {
        set_rss(&conf, &info, key);
    }
    conf.rxmode.mtu = RTE_ETHER_MTU;
    conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
    if (info.driver_name && strcmp(info.driver_name, "net_af_packet") == 0) {
        tx_queues = p->queues; /* pairs */
    }
    err = rte_eth_dev_configure(p->id, p->queues, tx_queues, &conf);
    if (err != 0) {
        return refuse(p, "configure", err);
    }
    uint16_t wanted = info.max_mtu && info.max_mtu < MTU_WANTED ? info.max_mtu : MTU_WANTED;
    if (conf.rxmode.offloads != 0) { /* frames longer than a mbuf come as several */
        (void)rte_eth_dev_set_mtu(p->id, wanted);
    }
    enum slr_err result = set_queues(p, cfg, &info, &ring);
    if (result != SLR_OK) {
        return result;
    }
    err = rte_eth_dev_start(p->id);
    if (err != 0) {
        return refuse(p, "start", err);
    }
    p->started = true;
    (void)rte_eth_dev_get_mtu(p->id, &mtu);
    *about = (struct slr_dpdk_port_about){.mtu_bytes = mtu, .queues = p->queues, .ring = ring};
    about->promiscuous = rte_eth_promiscuous_enable(p->id) == 0;
    (void)rte_eth_allmulticast_enable(p->id);
    snprintf(about->driver, sizeof about->driver, "%s", info.driver_name ? info.driver_name : "?");
    return SLR_OK;
}

static void release(struct slr_dpdk_port *p)
{
    rte_pktmbuf_free_bulk(p->mbuf, p->held);
    p->held = 0;
}

static void port_close(struct slr_dpdk_port *p)
{
    release(p);
    if (p->started) {
        (void)rte_eth_dev_stop(p->id);
        (void)rte_eth_dev_close(p->id);
    }
    rte_mempool_free(p->pool);
    (void)rte_eal_cleanup();
    (void)rte_openlog_stream(NULL);
    if (p->log) {
        fclose(p->log);
    }
    free(p->joined);
    free(p);
}

static enum slr_err port_open(const struct slr_dpdk_port_config *cfg, struct slr_dpdk_port **out,
                              struct slr_dpdk_port_about *about)
{
    *out = NULL;
    struct slr_dpdk_port *p = calloc(1, sizeof *p);
    if (!p) {
        return SLR_NOMEM;
    }
    p->log_line = cfg->log;
    p->refused = cfg->refused;
    p->joined = malloc((size_t)JOINED_BYTES * SLR_DPDK_BURST);
    enum slr_err err = p->joined ? begin(p, cfg) : SLR_NOMEM;
    if (err != SLR_OK) {
        (void)rte_openlog_stream(NULL);
        if (p->log) {
            fclose(p->log);
        }
        free(p->joined);
        free(p);
        return err;
    }
    err = find_port(p, cfg->device);
    if (err == SLR_OK) {
        err = set_up(p, cfg, about);
    }
    if (err != SLR_OK) {
        port_close(p);
        return err;
    }
    *out = p;
    return SLR_OK;
}

static uint32_t port_burst(struct slr_dpdk_port *p, struct slr_dpdk_frame *frames)
{
    if (p->held > 0) {
        release(p);
    }
    for (uint16_t i = 0; i < p->queues && p->held == 0; i++) {
        p->held = rte_eth_rx_burst(p->id, p->queue, p->mbuf, SLR_DPDK_BURST);
        p->queue = (uint16_t)((p->queue + 1) % p->queues);
    }
    for (uint16_t i = 0; i < p->held; i++) {
        rte_prefetch0(rte_pktmbuf_mtod(p->mbuf[i], const void *));
    }
    for (uint16_t i = 0; i < p->held; i++) {
        struct rte_mbuf *m = p->mbuf[i];
        struct slr_dpdk_frame *f = &frames[i];
        f->at = rte_pktmbuf_mtod(m, const uint8_t *);
        f->len_bytes = m->pkt_len;
        f->cut = false;
        f->vlan = m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED ? m->vlan_tci & 0x0fff : 0;
        if (m->nb_segs > 1) {
            uint8_t *to = p->joined + (size_t)JOINED_BYTES * i;
            f->cut = m->pkt_len > JOINED_BYTES;
            f->len_bytes = f->cut ? JOINED_BYTES : m->pkt_len;
            const void *read = rte_pktmbuf_read(m, 0, f->len_bytes, to);
            f->at = read ? read : to;
            f->len_bytes = read ? f->len_bytes : 0;
        }
    }
    return p->held;
}

static void port_stats(struct slr_dpdk_port *p, struct slr_dpdk_port_stats *out)
{
    struct rte_eth_stats s;
    *out = (struct slr_dpdk_port_stats){0};
    if (rte_eth_stats_get(p->id, &s) == 0) {
        *out = (struct slr_dpdk_port_stats){s.imissed, s.rx_nombuf, s.ierrors};
    }
}

const struct slr_dpdk_port_ops slr_dpdk_port_ops = {
    .version = SLR_DPDK_PORT_VERSION,
    .open = port_open,
    .burst = port_burst,
    .stats = port_stats,
    .close = port_close,
};
