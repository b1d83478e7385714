/*
 * sniffer_reader: see sniffer_reader.h. State owned by the signalling thread; never blocks after
 * open; allocates its buffers at open and JSON per packet.
 */
#include "ctl/sniffer_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hep.h"
#include "common/json.h"
#include "common/log.h"
#include "common/net.h"

#define TICK_MS 500
#define CONNECT_MS 5000
#define IN_BYTES (4U * SLR_HEP_MAX_BYTES)
#define OUT_BYTES 16384U
#define ROUND_BYTES (1U << 20) /* then others have their turn */
#define KEY_MIN_BYTES 16

enum reader_state { READER_DOWN, READER_CONNECTING, READER_HELLO, READER_UP };

struct slr_sniffer_reader {
    struct slr_sniffer_reader_config cfg;
    struct slr_addr peer;
    char key[SLR_SNIFFER_READER_KEY_SIZE];
    enum reader_state state;
    int fd; /* -1: none */
    int wait_index;
    int mask;
    bool broken;
    su_timer_t *timer;
    int64_t next_try_ns, deadline_ns;
    uint32_t retry_ms;
    size_t in_bytes, out_bytes;
    uint8_t in[IN_BYTES], out[OUT_BYTES];
};

enum slr_err slr_sniffer_reader_next(struct slr_slice *stream, json_t **msg)
{
    struct slr_slice packet;
    struct slr_hep h;
    size_t total = 0;
    *msg = NULL;
    enum slr_err err = slr_hep_frame_len(*stream, &total);
    if (err != SLR_OK) {
        return err;
    }
    if (!slr_slice_take(stream, total, &packet) || slr_hep_decode(packet, &h) != SLR_OK) {
        return SLR_FORMAT;
    }
    return h.type == SLR_HEP_LOG ? slr_json_load(h.payload, msg) : SLR_OK;
}

static int64_t now_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

static void disconnect(struct slr_sniffer_reader *r, const char *why)
{
    if (r->state >= READER_HELLO) {
        SLR_WARN("sniffer_gone", "address=%s why=%s", SLR_Q(r->cfg.address), why);
    }
    if (r->wait_index > 0) {
        su_root_deregister(r->cfg.root, r->wait_index);
        r->wait_index = 0;
    }
    if (r->fd >= 0) {
        (void)close(r->fd);
    }
    r->fd = -1;
    r->state = READER_DOWN;
    r->broken = false;
    r->in_bytes = r->out_bytes = 0;
    r->next_try_ns = now_ns() + (int64_t)r->retry_ms * SLR_NS_PER_MS;
    r->retry_ms = r->retry_ms * 2 < SLR_SNIFFER_READER_RETRY_MAX_MS
                      ? r->retry_ms * 2
                      : SLR_SNIFFER_READER_RETRY_MAX_MS;
}

static void set_mask(struct slr_sniffer_reader *r)
{
    int mask = SU_WAIT_IN | (r->out_bytes > 0 ? SU_WAIT_OUT : 0);
    if (mask != r->mask && r->wait_index > 0) {
        su_root_eventmask(r->cfg.root, r->wait_index, r->fd, mask);
        r->mask = mask;
    }
}

static void flush(struct slr_sniffer_reader *r)
{
    while (r->out_bytes > 0 && !r->broken) {
        ssize_t n = send(r->fd, r->out, r->out_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            r->broken = errno != EAGAIN;
            break;
        }
        r->out_bytes -= (size_t)n;
        memmove(r->out, r->out + n, r->out_bytes);
    }
    if (!r->broken) {
        set_mask(r);
    }
}

/* Sends one object; takes it over. A connection that fails here is only marked. */
static void put(struct slr_sniffer_reader *r, json_t *msg, bool with_key)
{
    char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
    struct slr_hep h = {.type = SLR_HEP_LOG,
                        .time = slr_clock_wall(slr_clock_real()),
                        .auth_key = slr_slice_str(with_key ? r->key : ""),
                        .node = slr_slice_str(r->cfg.name),
                        .payload = slr_slice_str(text ? text : "")};
    struct slr_put p = slr_put_of(r->out + r->out_bytes, sizeof r->out - r->out_bytes);
    if (!text || slr_hep_encode(&h, &p) != SLR_OK) {
        r->broken = true; /* it has not read our few acknowledgements for long */
    } else {
        r->out_bytes += p.len_bytes;
        flush(r);
    }
    free(text);
    json_decref(msg);
}

static void send_hello(struct slr_sniffer_reader *r)
{
    r->state = READER_HELLO;
    r->deadline_ns = now_ns() + SLR_SNIFFER_READER_HELLO_MS * SLR_NS_PER_MS;
    put(r,
        json_pack("{s:I}", "resume_after", (json_int_t)r->cfg.hooks.resume_after(r->cfg.hooks.ctx)),
        r->key[0] != '\0');
}

static void take(struct slr_sniffer_reader *r, const json_t *msg)
{
    const json_t *hello = json_object_get(msg, "hello");
    if (r->state == READER_UP) {
        r->cfg.hooks.message(r->cfg.hooks.ctx, msg);
        return;
    }
    if (!json_is_object(hello)) {
        return; /* nothing is expected before it, and nothing taken */
    }
    r->state = READER_UP;
    r->retry_ms = SLR_SNIFFER_READER_RETRY_MS;
    SLR_INFO("sniffer_connected", "address=%s engine=%s", SLR_Q(r->cfg.address),
             SLR_Q(slr_json_str(hello, "engine")));
    if (!r->cfg.hooks.up(r->cfg.hooks.ctx, hello)) {
        r->broken = true;
    }
}

static void take_all(struct slr_sniffer_reader *r)
{
    struct slr_slice stream = slr_slice_of(r->in, r->in_bytes);
    json_t *msg = NULL;
    enum slr_err err = SLR_OK;
    while (!r->broken && (err = slr_sniffer_reader_next(&stream, &msg)) == SLR_OK) {
        if (msg) {
            take(r, msg);
            json_decref(msg);
        }
    }
    if (err != SLR_OK && err != SLR_AGAIN) {
        SLR_WARN("sniffer_malformed", "address=%s err=%s", SLR_Q(r->cfg.address),
                 slr_err_name(err));
        r->cfg.hooks.malformed(r->cfg.hooks.ctx);
        r->broken = true;
    }
    memmove(r->in, stream.at, stream.len_bytes);
    r->in_bytes = stream.len_bytes;
}

static void read_all(struct slr_sniffer_reader *r)
{
    size_t got = 0;
    while (!r->broken && got < ROUND_BYTES) {
        ssize_t n = recv(r->fd, r->in + r->in_bytes, sizeof r->in - r->in_bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            r->broken = n == 0 || errno != EAGAIN;
            break;
        }
        got += (size_t)n;
        r->in_bytes += (size_t)n;
        take_all(r);
    }
    if (got > 0 && r->state == READER_UP) {
        r->cfg.hooks.idle(r->cfg.hooks.ctx);
    }
}

static int on_ready(void *magic, su_wait_t *wait, void *arg)
{
    struct slr_sniffer_reader *r = arg;
    (void)magic;
    (void)wait;
    if (r->fd < 0) {
        return 0;
    }
    if (r->state == READER_CONNECTING) {
        int why = 0;
        socklen_t size = sizeof why;
        if (getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &why, &size) != 0 || why != 0) {
            r->broken = true;
        } else {
            send_hello(r);
        }
    } else {
        flush(r);
        read_all(r);
    }
    if (r->broken) {
        disconnect(r, "connection");
    }
    return 0;
}

static void try_connect(struct slr_sniffer_reader *r)
{
    struct sockaddr_storage sa;
    socklen_t size = slr_addr_to_sockaddr(&r->peer, &sa);
    su_wait_t wait;
    r->fd = socket(r->peer.family == 6 ? AF_INET6 : AF_INET,
                   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (r->fd < 0 ||
        (connect(r->fd, (const struct sockaddr *)&sa, size) != 0 && errno != EINPROGRESS)) {
        disconnect(r, "connect");
        return;
    }
    su_wait_init(&wait);
    if (su_wait_create(&wait, r->fd, SU_WAIT_OUT) == 0) {
        r->wait_index = su_root_register(r->cfg.root, &wait, on_ready, r, 0);
    }
    if (r->wait_index <= 0) {
        disconnect(r, "poll");
        return;
    }
    r->mask = SU_WAIT_OUT;
    r->state = READER_CONNECTING;
    r->deadline_ns = now_ns() + CONNECT_MS * SLR_NS_PER_MS;
}

static void on_tick(void *magic, su_timer_t *timer, void *arg)
{
    struct slr_sniffer_reader *r = arg;
    int64_t now = now_ns();
    (void)magic;
    (void)timer;
    bool waiting = r->state == READER_CONNECTING || r->state == READER_HELLO;
    if (r->broken || (waiting && now >= r->deadline_ns)) {
        disconnect(r, r->broken ? "connection" : "no_answer");
    }
    if (r->state == READER_DOWN && now >= r->next_try_ns) {
        try_connect(r);
    }
    r->cfg.hooks.tick(r->cfg.hooks.ctx);
}

/* Name lookup is the one thing here that may take its time; the loop does not run yet. */
static enum slr_err look_up(const char *address, struct slr_addr *out)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (slr_addr_parse(address, out) == SLR_OK && out->port != 0) {
        return SLR_OK;
    }
    if (!colon || colon == address || (size_t)(colon - address) >= sizeof host) {
        return SLR_INVAL;
    }
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        return SLR_NOTFOUND;
    }
    bool ok = slr_addr_from_sockaddr(found->ai_addr, out) && out->port != 0;
    freeaddrinfo(found);
    return ok ? SLR_OK : SLR_INVAL;
}

static enum slr_err read_key(const char *path, char key[static SLR_SNIFFER_READER_KEY_SIZE])
{
    char text[SLR_SNIFFER_READER_KEY_SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    ssize_t n = read(fd, text, sizeof text);
    (void)close(fd);
    struct slr_slice line = slr_slice_trim(slr_slice_of(text, n > 0 ? (size_t)n : 0));
    bool good =
        line.len_bytes >= KEY_MIN_BYTES && slr_slice_to_str(line, key, SLR_SNIFFER_READER_KEY_SIZE);
    explicit_bzero(text, sizeof text);
    return good ? SLR_OK : SLR_INVAL;
}

enum slr_err slr_sniffer_reader_open(const struct slr_sniffer_reader_config *cfg,
                                     struct slr_sniffer_reader **out)
{
    struct slr_sniffer_reader *r = calloc(1, sizeof(*r));
    if (!r) {
        return SLR_NOMEM;
    }
    r->cfg = *cfg;
    r->fd = -1;
    r->retry_ms = SLR_SNIFFER_READER_RETRY_MS;
    enum slr_err err = look_up(cfg->address, &r->peer);
    if (err != SLR_OK) {
        SLR_ERROR("sniffer_address", "value=%s err=%s", SLR_Q(cfg->address), slr_err_name(err));
    } else if (cfg->key_file) {
        err = read_key(cfg->key_file, r->key);
        if (err != SLR_OK) {
            SLR_ERROR("sniffer_key", "path=%s err=%s", SLR_Q(cfg->key_file), slr_err_name(err));
        }
    }
    if (err == SLR_OK) {
        r->timer = su_timer_create(su_root_task(cfg->root), TICK_MS);
        if (!r->timer || su_timer_set_for_ever(r->timer, on_tick, r) != 0) {
            err = SLR_NOMEM;
        }
    }
    if (err != SLR_OK) {
        slr_sniffer_reader_close(r);
        return err;
    }
    if (!slr_addr_is_loopback(&r->peer)) {
        SLR_WARN("sniffer_beyond_loopback", "address=%s why=not_encrypted", SLR_Q(cfg->address));
    }
    try_connect(r);
    *out = r;
    return SLR_OK;
}

void slr_sniffer_reader_close(struct slr_sniffer_reader *r)
{
    if (!r) {
        return;
    }
    r->state = READER_DOWN;
    disconnect(r, "close");
    su_timer_destroy(r->timer);
    explicit_bzero(r->key, sizeof r->key);
    free(r);
}

void slr_sniffer_reader_ack(struct slr_sniffer_reader *r, int64_t n)
{
    if (r && r->state == READER_UP && !r->broken) {
        put(r, json_pack("{s:I}", "ack", (json_int_t)n), false);
    }
}

void slr_sniffer_reader_ask_snapshot(struct slr_sniffer_reader *r)
{
    if (r && r->state == READER_UP && !r->broken) {
        put(r, json_pack("{s:b}", "snapshot", 1), false);
    }
}
