/*
 * xdp_plane: finds interfaces, makes the maps, loads and attaches the programs. State: struct
 * slr_xdp_plane; one thread at a time. Allocates at open only.
 */
#include "capture/xdp_plane.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/if_vlan.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/bpf.h"
#include "common/log.h"

#define MAPS 4

/* A mapped array of the kernel. */
struct map {
    int fd;
    void *at;
    size_t bytes;
};

/* Where an address is. */
struct place {
    char device[IFNAMSIZ]; /* of the interface below, if that is one for a VLAN */
    uint16_t vlan;
};

struct interface {
    char name[IFNAMSIZ];
    uint32_t index;
    uint8_t mac[6];
    int program_fd, link_fd;
};

struct slr_xdp_plane {
    struct slr_addr ip[SLR_XDP_IPS];
    struct place place[SLR_XDP_IPS];
    uint32_t ip_count, readers, rings, places, joined, users;
    struct slr_xdp_spec spec;
    struct map table, heads, slots, lists;
    struct interface interface[SLR_XDP_INTERFACES];
    uint32_t interface_count;
};

/* ---- interfaces ---- */

/* A VLAN's interface: the one below it, and the tag. */
static void look_below(int fd, struct place *p)
{
    struct vlan_ioctl_args args;
    memset(&args, 0, sizeof args);
    args.cmd = GET_VLAN_VID_CMD;
    memcpy(args.device1, p->device, sizeof p->device);
    if (ioctl(fd, SIOCGIFVLAN, &args) != 0) {
        return;
    }
    int vid = args.u.VID;
    memset(&args, 0, sizeof args);
    args.cmd = GET_VLAN_REALDEV_NAME_CMD;
    memcpy(args.device1, p->device, sizeof p->device);
    if (ioctl(fd, SIOCGIFVLAN, &args) == 0) {
        p->vlan = (uint16_t)vid;
        memset(p->device, 0, sizeof p->device);
        memcpy(p->device, args.u.device2, sizeof p->device - 1);
    }
}

static void find_places(struct slr_xdp_plane *p)
{
    struct ifaddrs *all = NULL;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (getifaddrs(&all) != 0) {
        all = NULL;
    }
    for (struct ifaddrs *one = all; one; one = one->ifa_next) {
        struct slr_addr at;
        if (!one->ifa_addr || !slr_addr_from_sockaddr(one->ifa_addr, &at)) {
            continue;
        }
        for (uint32_t i = 0; i < p->ip_count; i++) {
            bool loop = (one->ifa_flags & IFF_LOOPBACK) != 0 && slr_addr_is_loopback(&p->ip[i]);
            if (loop || slr_addr_eq_ip(&at, &p->ip[i])) {
                snprintf(p->place[i].device, sizeof p->place[i].device, "%s", one->ifa_name);
                look_below(fd, &p->place[i]);
            }
        }
    }
    freeifaddrs(all);
    if (fd >= 0) {
        close(fd);
    }
}

static const char *add_interface(struct slr_xdp_plane *p, const char *name)
{
    struct ifreq ask;
    for (uint32_t i = 0; i < p->interface_count; i++) {
        if (strcmp(p->interface[i].name, name) == 0) {
            return NULL;
        }
    }
    if (p->interface_count == SLR_XDP_INTERFACES) {
        return "interfaces";
    }
    struct interface *in = &p->interface[p->interface_count];
    *in = (struct interface){.program_fd = -1, .link_fd = -1};
    snprintf(in->name, sizeof in->name, "%s", name);
    memset(&ask, 0, sizeof ask);
    memcpy(ask.ifr_name, in->name, sizeof ask.ifr_name);
    in->index = if_nametoindex(in->name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int got = fd < 0 ? -1 : ioctl(fd, SIOCGIFHWADDR, &ask);
    int saved = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = saved;
    if (in->index == 0 || got != 0) {
        return in->name;
    }
    memcpy(in->mac, ask.ifr_hwaddr.sa_data, sizeof in->mac);
    p->interface_count++;
    return NULL;
}

/* NULL, or what failed (errno says why). */
static const char *find_interfaces(struct slr_xdp_plane *p, const struct slr_xdp_test *test)
{
    const char *failed = NULL;
    if (test) {
        struct interface *in = &p->interface[p->interface_count++];
        *in = (struct interface){.program_fd = -1, .link_fd = -1};
        memcpy(in->mac, test->mac, sizeof in->mac);
        for (uint32_t i = 0; i < p->ip_count; i++) {
            p->place[i].vlan = test->vlan[i];
        }
        return NULL;
    }
    find_places(p);
    for (uint32_t i = 0; i < p->spec.interface_count && !failed; i++) {
        failed = add_interface(p, p->spec.interface[i]);
    }
    for (uint32_t i = 0; i < p->ip_count && p->spec.interface_count == 0 && !failed; i++) {
        errno = EADDRNOTAVAIL;
        failed = p->place[i].device[0] ? add_interface(p, p->place[i].device) : "address";
    }
    return failed;
}

/* ---- the kernel's part ---- */

static const char *make_map(struct map *m, uint64_t value_bytes, uint32_t entries, bool writable,
                            const char *name)
{
    m->fd = slr_bpf_map_open(BPF_MAP_TYPE_ARRAY, (uint32_t)value_bytes, entries, BPF_F_MMAPABLE);
    if (m->fd < 0) {
        return name;
    }
    m->bytes = (size_t)value_bytes * entries;
    m->at = mmap(NULL, m->bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, m->fd, 0);
    return m->at == MAP_FAILED ? name : NULL;
}

static const char *make_maps(struct slr_xdp_plane *p)
{
    uint32_t all = p->readers * p->rings;
    const char *failed =
        make_map(&p->table, SLR_XDP_PORTS * sizeof(uint32_t), p->ip_count, true, "table");
    if (!failed) {
        failed = make_map(&p->heads, sizeof(struct slr_xdp_head), all, true, "heads");
    }
    if (!failed) {
        uint64_t bytes = (uint64_t)p->spec.slots * sizeof(struct slr_xdp_slot);
        failed = make_map(&p->slots, bytes, all, false, "slots");
    }
    if (!failed) {
        uint64_t bytes = sizeof(struct slr_xdp_list) + p->places * sizeof(uint32_t);
        failed = make_map(&p->lists, bytes, p->readers, true, "lists");
    }
    for (uint32_t i = 0; i < all && !failed; i++) {
        ((struct slr_xdp_head *)p->heads.at)[i].list = i / p->rings;
    }
    return failed;
}

static void load(const struct slr_xdp_plane *p, struct interface *in)
{
    struct slr_bpf_code code = {.count = 0};
    struct slr_xdp_program program = {.ip_count = p->ip_count,
                                      .table_fd = p->table.fd,
                                      .heads_fd = p->heads.fd,
                                      .slots_fd = p->slots.fd,
                                      .lists_fd = p->lists.fd,
                                      .slots = p->spec.slots,
                                      .places = p->places};
    memcpy(program.mac, in->mac, sizeof program.mac);
    for (uint32_t i = 0; i < p->ip_count; i++) {
        program.ip[i] = p->ip[i];
        program.vlan[i] = strcmp(p->place[i].device, in->name) == 0 ? p->place[i].vlan : 0;
    }
    slr_xdp_assemble(&program, &code);
    in->program_fd = slr_bpf_load(&code, BPF_PROG_TYPE_XDP, BPF_XDP, "slr_xdp");
}

static int attach_as(const struct interface *in, uint32_t flags)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.link_create.prog_fd = (uint32_t)in->program_fd;
    attr.link_create.target_ifindex = in->index;
    attr.link_create.attach_type = BPF_XDP;
    attr.link_create.flags = flags;
    return slr_bpf(BPF_LINK_CREATE, &attr);
}

static void attach(const struct slr_xdp_plane *p, struct interface *in)
{
    if (p->spec.attach != SLR_XDP_SKB) {
        in->link_fd = attach_as(in, XDP_FLAGS_DRV_MODE);
    }
    const char *how = "native";
    if (in->link_fd < 0 && p->spec.attach != SLR_XDP_NATIVE) {
        in->link_fd = attach_as(in, XDP_FLAGS_SKB_MODE);
        how = "skb";
    }
    if (in->link_fd >= 0) {
        SLR_INFO("capture_attached", "backend=xdp interface=%s mode=%s", in->name, how);
    }
}

static const char *set_up(struct slr_xdp_plane *p, const struct slr_xdp_test *test)
{
    const char *failed = find_interfaces(p, test);
    if (!failed) {
        failed = make_maps(p);
    }
    for (uint32_t i = 0; i < p->interface_count && !failed; i++) {
        load(p, &p->interface[i]);
        if (p->interface[i].program_fd < 0) {
            return "program";
        }
        if (!test) {
            attach(p, &p->interface[i]);
            failed = p->interface[i].link_fd < 0 ? p->interface[i].name : NULL;
        }
    }
    return failed;
}

/* ---- open and close ---- */

static void close_map(struct map *m)
{
    if (m->at && m->at != MAP_FAILED) {
        munmap(m->at, m->bytes);
    }
    if (m->fd >= 0) {
        close(m->fd);
    }
}

static void end(struct slr_xdp_plane *p)
{
    for (uint32_t i = 0; i < p->interface_count; i++) {
        if (p->interface[i].link_fd >= 0) {
            close(p->interface[i].link_fd);
        }
        if (p->interface[i].program_fd >= 0) {
            close(p->interface[i].program_fd);
        }
    }
    close_map(&p->table);
    close_map(&p->heads);
    close_map(&p->slots);
    close_map(&p->lists);
    free(p);
}

static struct slr_xdp_view view_of(const struct slr_xdp_plane *p, uint32_t number)
{
    char *list = (char *)p->lists.at + number * (p->lists.bytes / p->readers);
    return (struct slr_xdp_view){.table = p->table.at,
                                 .heads = p->heads.at,
                                 .slots = p->slots.at,
                                 .list = (void *)list,
                                 .place = (void *)(list + sizeof(struct slr_xdp_list)),
                                 .slots_a_ring = p->spec.slots,
                                 .places = p->places,
                                 .first_ring = number * p->rings,
                                 .rings = p->rings};
}

/* Can it be done at all? */
static enum slr_err check(const struct slr_xdp_plane_config *cfg, struct slr_xdp_spec *spec)
{
    enum slr_err err = slr_xdp_spec_parse(cfg->spec, spec);
    bool any = cfg->ip_count == 0;
    for (uint32_t i = 0; i < cfg->ip_count; i++) {
        any = any || cfg->ip[i].family == 0 || slr_addr_is_any(&cfg->ip[i]);
    }
    uint64_t rings = (uint64_t)cfg->readers * cfg->rings;
    if (err == SLR_OK && (any || cfg->ip_count > SLR_XDP_IPS || rings > SLR_XDP_RING_MASK)) {
        SLR_WARN("capture_open_failed", "backend=xdp what=%s",
                 any ? "wildcard" : SLR_Q("too many addresses or streams"));
        err = SLR_UNSUPPORTED;
    }
    return err;
}

enum slr_err slr_xdp_plane_open(const struct slr_xdp_plane_config *cfg, struct slr_xdp_plane **out,
                                struct slr_xdp_view *view)
{
    struct slr_xdp_spec spec;
    *out = NULL;
    enum slr_err err = check(cfg, &spec);
    if (err != SLR_OK) {
        return err;
    }
    struct slr_xdp_plane *p = calloc(1, sizeof *p);
    if (!p) {
        return SLR_NOMEM;
    }
    p->spec = spec;
    p->table.fd = p->heads.fd = p->slots.fd = p->lists.fd = -1;
    p->ip_count = cfg->ip_count;
    memcpy(p->ip, cfg->ip, cfg->ip_count * sizeof *p->ip);
    p->readers = cfg->readers;
    p->rings = cfg->rings;
    p->joined = p->users = 1;
    for (p->places = 16; p->places < p->rings;) {
        p->places *= 2;
    }
    const char *failed = set_up(p, cfg->test);
    if (failed) {
        SLR_WARN("capture_open_failed", "backend=xdp what=%s text=%s", SLR_Q(failed),
                 SLR_Q(strerror(errno)));
        end(p);
        return SLR_UNSUPPORTED;
    }
    *view = view_of(p, 0);
    *out = p;
    return SLR_OK;
}

enum slr_err slr_xdp_plane_join(struct slr_xdp_plane *p, struct slr_xdp_view *view)
{
    if (p->joined == p->readers) {
        return SLR_FULL;
    }
    *view = view_of(p, p->joined);
    p->joined++;
    p->users++;
    return SLR_OK;
}

void slr_xdp_plane_leave(struct slr_xdp_plane *p)
{
    if (p && --p->users == 0) {
        end(p);
    }
}

uint32_t slr_xdp_plane_ip(const struct slr_xdp_plane *p, const struct slr_addr *ip)
{
    for (uint32_t i = 0; i < p->ip_count; i++) {
        if (slr_addr_eq_ip(&p->ip[i], ip)) {
            return i;
        }
    }
    return SLR_XDP_NO_IP;
}

int slr_xdp_plane_program(const struct slr_xdp_plane *p)
{
    return p->interface[0].program_fd;
}
