/*
 * sniffer: readers, their hello, and what they are sent. See sniffer.h and docs/sniffer.md.
 *
 * What waits for a reader is bounded by its buffer; events stay in the log meanwhile. Everything
 * that a reader sends is bounded by one HEP packet.
 */
#include "engine/sniffer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/hep.h"
#include "common/json.h"
#include "common/log.h"
#include "engine/pseudo_sip.h"

#define READERS_MAX 32u
#define OUT_FIRST_BYTES 65536u
#define OUT_ROOM_BYTES (256u << 10) /* events are made while less than this waits */
#define OUT_MAX_BYTES (64u << 20)   /* a snapshot of very many sessions; nothing else gets near */
#define PING_NS (5 * SLR_NS_PER_S)  /* readers give up after 10 */
#define HELLO_NS (10 * SLR_NS_PER_S)
#define STUCK_NS (60 * SLR_NS_PER_S)
#define KEY_BYTES 256

struct reader {
    struct reader *next;
    struct slr_sniffer *sniffer;
    int fd;
    struct slr_watch watch;
    char name[64], peer[SLR_ADDR_TEXT_SIZE];
    struct slr_evlog_cursor *cursor; /* NULL: no hello yet */
    struct slr_pseudo_sip *book;
    uint64_t acked;
    bool failed;
    slr_mono since, moved; /* connected; bytes went out, or nothing was waiting */
    uint8_t in[SLR_HEP_MAX_BYTES];
    size_t in_bytes;
    uint8_t *out;
    size_t out_size, out_bytes;
};

struct slr_sniffer {
    struct slr_sniffer_config cfg;
    struct slr_engine *engine;
    int listen_fd;
    uint16_t port;
    struct slr_watch watch;
    char key[KEY_BYTES]; /* "": none is asked for */
    struct reader *readers;
    uint32_t count;
    slr_mono pinged;
};

static void count(struct slr_sniffer *s, enum slr_srv_counter id)
{
    slr_srv_add(s->cfg.counters, id, 1);
}

static void release_reader(void *memory)
{
    struct reader *r = memory;
    free(r->out);
    free(r);
}

static void drop(struct reader *r, const char *why)
{
    struct slr_sniffer *s = r->sniffer;
    struct reader **at = &s->readers;

    SLR_INFO("sniffer_reader_gone", "name=%s peer=%s why=%s acked=%" PRIu64, SLR_Q(r->name),
             r->peer, SLR_Q(why), r->acked);
    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    s->count--;
    slr_srv_set(s->cfg.counters, SLR_SRV_SNIFFER_OPEN, s->count);
    slr_loop_del(s->cfg.loop, &r->watch);
    close(r->fd);
    slr_evlog_cursor_close(r->cursor);
    slr_pseudo_sip_close(r->book);
    slr_loop_defer(s->cfg.loop, r, release_reader);
}

static bool make_room(struct reader *r, size_t bytes)
{
    size_t size = r->out_size ? r->out_size : OUT_FIRST_BYTES;
    while (size < r->out_bytes + bytes) {
        size *= 2;
    }
    if (size > OUT_MAX_BYTES) {
        return false;
    }
    if (size > r->out_size) {
        uint8_t *more = realloc(r->out, size);
        if (!more) {
            return false;
        }
        r->out = more;
        r->out_size = size;
    }
    return true;
}

static void take_packet(void *ctx, const struct slr_hep *packet)
{
    struct reader *r = ctx;
    if (r->failed || !make_room(r, SLR_HEP_MAX_BYTES)) {
        r->failed = true;
        return;
    }
    struct slr_put put = slr_put_of(r->out + r->out_bytes, r->out_size - r->out_bytes);
    enum slr_err err = slr_hep_encode(packet, &put);
    if (err != SLR_OK) {
        SLR_WARN("hep_encode_failed", "err=%s", slr_err_name(err));
        return;
    }
    r->out_bytes += put.len_bytes;
    count(r->sniffer, SLR_SRV_SNIFFER_PACKETS);
}

static void flush(struct reader *r)
{
    size_t sent = 0;
    while (sent < r->out_bytes) {
        ssize_t n = send(r->fd, r->out + sent, r->out_bytes - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            r->failed = r->failed || (errno != EAGAIN && errno != EWOULDBLOCK);
            break;
        }
        sent += (size_t)n;
    }
    r->out_bytes -= sent;
    if (sent > 0 && r->out_bytes > 0) {
        memmove(r->out, r->out + sent, r->out_bytes);
    }
    if (sent > 0 || r->out_bytes == 0) {
        r->moved = slr_clock_mono(slr_clock_real());
    }
    slr_loop_ask(r->sniffer->cfg.loop, &r->watch,
                 r->out_bytes > 0 ? (uint32_t)(EPOLLIN | EPOLLOUT) : (uint32_t)EPOLLIN);
}

static void send_object(struct reader *r, json_t *object)
{
    if (!object) {
        r->failed = true;
        return;
    }
    slr_pseudo_sip_json(r->book, object, slr_clock_wall(slr_clock_real()));
    json_decref(object);
}

/* Time does not depend on how much of the key is right. */
static bool key_fits(const struct slr_sniffer *s, struct slr_slice given)
{
    size_t len = strlen(s->key);
    uint8_t differs = given.len_bytes == len ? 0 : 1;
    for (size_t i = 0; i < len; i++) {
        uint8_t b = i < given.len_bytes ? given.at[i] : 0;
        differs = (uint8_t)(differs | (b ^ (uint8_t)s->key[i]));
    }
    return len == 0 || differs == 0;
}

/* The state of all sessions, after events were lost or for who asks for it. */
static void send_snapshot(struct reader *r)
{
    struct slr_sniffer *s = r->sniffer;
    json_t *sessions = s->engine ? s->cfg.api->snapshot(s->engine) : NULL;
    slr_wall now = slr_clock_wall(slr_clock_real());

    for (size_t i = 0; i < json_array_size(sessions); i++) {
        json_t *session = json_array_get(sessions, i);
        send_object(r, json_pack("{s:O}", "snapshot", session));
        slr_pseudo_sip_session(r->book, session, now);
    }
    send_object(r, json_pack("{s:{s:I,s:I}}", "snapshot_end", "sessions",
                             (json_int_t)json_array_size(sessions), "last",
                             (json_int_t)slr_evlog_last(s->cfg.log)));
    json_decref(sessions);
}

static void take_hello(struct reader *r, const struct slr_hep *h, const json_t *msg)
{
    struct slr_sniffer *s = r->sniffer;
    uint64_t last = slr_evlog_last(s->cfg.log);
    int64_t after = 0;

    if (!key_fits(s, h->auth_key)) {
        count(s, SLR_SRV_SNIFFER_DENIED);
        SLR_WARN("sniffer_denied", "peer=%s", r->peer);
        r->failed = true;
        return;
    }
    enum slr_err err = slr_json_range(msg, "resume_after", 0, INT64_MAX - 1, &after);
    if (err == SLR_NOTFOUND) {
        after = (int64_t)last; /* only what comes */
        err = SLR_OK;
    }
    if (err == SLR_OK &&
        (h->node.len_bytes == 0 || !slr_slice_to_str(h->node, r->name, sizeof r->name))) {
        err = SLR_INVAL;
    }
    if (err == SLR_OK) {
        r->cursor = slr_evlog_cursor_open(s->cfg.log, (uint64_t)after);
        r->book = slr_pseudo_sip_open(s->cfg.sessions_max, s->cfg.node, take_packet, r);
    }
    if (!r->cursor || !r->book) {
        count(s, SLR_SRV_SNIFFER_MALFORMED);
        SLR_WARN("sniffer_hello_malformed", "peer=%s", r->peer);
        r->failed = true;
        return;
    }
    r->acked = (uint64_t)after < last ? (uint64_t)after : last;
    SLR_INFO("sniffer_reader", "name=%s peer=%s resume_after=%" PRId64, SLR_Q(r->name), r->peer,
             after);
    send_object(r,
                json_pack("{s:{s:s,s:I,s:I,s:s}}", "hello", "engine", slr_evlog_engine(s->cfg.log),
                          "engine_epoch", (json_int_t)slr_evlog_epoch(s->cfg.log), "last",
                          (json_int_t)last, "node", s->cfg.node));
    if ((uint64_t)after > last) { /* the engine's host lost power: numbers are used again */
        send_object(r, json_pack("{s:[I,I]}", "lost", (json_int_t)last + 1, (json_int_t)after));
        send_snapshot(r);
    }
}

/* False: what came is no use and the connection ends. */
static bool take_input(struct reader *r, struct slr_slice packet)
{
    struct slr_hep h;
    json_t *msg = NULL;
    int64_t n = 0;

    if (slr_hep_decode(packet, &h) != SLR_OK || slr_json_load(h.payload, &msg) != SLR_OK) {
        return false;
    }
    bool ok = true;
    if (!r->cursor) {
        take_hello(r, &h, msg);
    } else if (slr_json_range(msg, "ack", 0, INT64_MAX, &n) == SLR_OK) {
        r->acked = (uint64_t)n > r->acked ? (uint64_t)n : r->acked;
    } else if (slr_json_bool(msg, "snapshot", false)) {
        send_snapshot(r);
    } else {
        ok = false;
    }
    json_decref(msg);
    return ok;
}

static void take_packets(struct reader *r)
{
    bool ok = true;
    while (ok && !r->failed) {
        size_t total = 0;
        enum slr_err err = slr_hep_frame_len(slr_slice_of(r->in, r->in_bytes), &total);
        if (err == SLR_AGAIN) {
            break;
        }
        ok = err == SLR_OK && take_input(r, slr_slice_of(r->in, total));
        if (ok) {
            r->in_bytes -= total;
            memmove(r->in, r->in + total, r->in_bytes);
        }
    }
    if (!ok) {
        count(r->sniffer, SLR_SRV_SNIFFER_MALFORMED);
        SLR_WARN("sniffer_malformed", "name=%s peer=%s", SLR_Q(r->name), r->peer);
        r->failed = true;
    }
}

static void on_reader(void *ctx, uint32_t events)
{
    struct reader *r = ctx;
    bool closed = false;

    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
        ssize_t n = recv(r->fd, r->in + r->in_bytes, sizeof r->in - r->in_bytes, MSG_DONTWAIT);
        closed = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
        if (n > 0) {
            r->in_bytes += (size_t)n;
            take_packets(r);
        }
    }
    if (!closed && !r->failed) {
        flush(r);
    }
    if (closed || r->failed) {
        drop(r, closed ? "closed" : "failed");
    }
}

static enum slr_err adopt(struct slr_sniffer *s, int fd, const struct slr_addr *peer)
{
    struct reader *r = s->count < READERS_MAX ? calloc(1, sizeof *r) : NULL;
    if (!r) {
        return s->count < READERS_MAX ? SLR_NOMEM : SLR_FULL;
    }
    r->sniffer = s;
    r->fd = fd;
    slr_addr_format(peer, r->peer);
    r->since = r->moved = slr_clock_mono(slr_clock_real());
    enum slr_err err = slr_loop_add(s->cfg.loop, &r->watch, fd, EPOLLIN, on_reader, r);
    if (err != SLR_OK) {
        free(r);
        return err;
    }
    r->next = s->readers;
    s->readers = r;
    s->count++;
    count(s, SLR_SRV_SNIFFER_ACCEPTED);
    slr_srv_set(s->cfg.counters, SLR_SRV_SNIFFER_OPEN, s->count);
    return SLR_OK;
}

static void on_listen(void *ctx, uint32_t events)
{
    struct slr_sniffer *s = ctx;
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct slr_addr peer = {.family = 0};
    int fd = accept4(s->listen_fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    (void)events;

    if (fd < 0) {
        return; /* it went away again, or no descriptor is left: the next round tries anew */
    }
    enum slr_err err =
        slr_addr_from_sockaddr((const struct sockaddr *)&sa, &peer) ? SLR_OK : SLR_INVAL;
    if (err == SLR_OK) {
        err = adopt(s, fd, &peer);
    }
    if (err != SLR_OK) {
        count(s, SLR_SRV_SNIFFER_REFUSED);
        SLR_WARN("sniffer_refused", "err=%s", slr_err_name(err));
        close(fd);
    }
}

static enum slr_err read_key(struct slr_sniffer *s)
{
    int fd = open(s->cfg.key_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        SLR_ERROR("sniffer_key_unreadable", "path=%s errno=%d", SLR_Q(s->cfg.key_file), errno);
        return slr_err_from_errno(errno);
    }
    char text[KEY_BYTES];
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    struct slr_slice key = slr_slice_trim(slr_slice_of(text, n > 0 ? (size_t)n : 0));
    if (key.len_bytes < 16 || !slr_slice_to_str(key, s->key, sizeof s->key)) {
        SLR_ERROR("sniffer_key_unusable", "path=%s expected=%s", SLR_Q(s->cfg.key_file),
                  SLR_Q("one line of 16 to 255 bytes"));
        return SLR_INVAL;
    }
    return SLR_OK;
}

static enum slr_err start_listening(struct slr_sniffer *s, const struct slr_addr *at)
{
    struct sockaddr_storage sa;
    socklen_t len = slr_addr_to_sockaddr(at, &sa);
    struct slr_addr bound;
    char text[SLR_ADDR_TEXT_SIZE];
    int on = 1;

    slr_addr_format(at, text);
    s->listen_fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listen_fd < 0 ||
        setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(s->listen_fd, (const struct sockaddr *)&sa, len) != 0 ||
        listen(s->listen_fd, 16) != 0) {
        enum slr_err err = errno == EADDRINUSE ? SLR_BUSY : slr_err_from_errno(errno);
        SLR_ERROR("sniffer_listen_failed", "at=%s err=%s option=%s", text, slr_err_name(err),
                  SLR_Q("-w: choose another port, or 0 for none"));
        return err;
    }
    len = sizeof sa;
    if (getsockname(s->listen_fd, (struct sockaddr *)&sa, &len) != 0 ||
        !slr_addr_from_sockaddr((const struct sockaddr *)&sa, &bound)) {
        return SLR_IO;
    }
    s->port = bound.port;
    if (!slr_addr_is_loopback(at)) {
        SLR_WARN("sniffer_beyond_loopback", "at=%s note=%s", text,
                 SLR_Q("readers give a key; the connection is not encrypted"));
    }
    return SLR_OK;
}

enum slr_err slr_sniffer_open(const struct slr_sniffer_config *cfg, struct slr_sniffer **out)
{
    struct slr_sniffer *s = calloc(1, sizeof *s);
    struct slr_addr at;
    if (!s) {
        return SLR_NOMEM;
    }
    s->cfg = *cfg;
    s->listen_fd = s->watch.fd = -1;
    const char *bind_to = cfg->bind ? cfg->bind : "127.0.0.1";
    enum slr_err err = slr_addr_parse(bind_to, &at);
    if (err != SLR_OK || at.port != 0) {
        SLR_ERROR("bad_option", "option=sniffer-bind value=%s expected=%s", SLR_Q(bind_to),
                  SLR_Q("an IP address"));
        err = SLR_INVAL;
    } else if (!slr_addr_is_loopback(&at) && !cfg->key_file) {
        SLR_ERROR("sniffer_needs_key", "bind=%s reason=%s", SLR_Q(bind_to),
                  SLR_Q("beyond loopback only with --sniffer-key FILE"));
        err = SLR_DENIED;
    }
    if (err == SLR_OK && cfg->key_file) {
        err = read_key(s);
    }
    if (err == SLR_OK) {
        at.port = (uint16_t)cfg->port;
        err = start_listening(s, &at);
    }
    if (err != SLR_OK) {
        slr_sniffer_close(s);
        return err;
    }
    *out = s;
    return SLR_OK;
}

void slr_sniffer_close(struct slr_sniffer *s)
{
    if (!s) {
        return;
    }
    while (s->readers) {
        drop(s->readers, "shutdown");
    }
    slr_loop_del(s->cfg.loop, &s->watch);
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
    }
    free(s);
}

enum slr_err slr_sniffer_engine(struct slr_sniffer *s, struct slr_engine *e)
{
    s->engine = e;
    if (e && s->watch.fd < 0) {
        return slr_loop_add(s->cfg.loop, &s->watch, s->listen_fd, EPOLLIN, on_listen, s);
    }
    return SLR_OK;
}

uint16_t slr_sniffer_port(const struct slr_sniffer *s)
{
    return s->port;
}

uint32_t slr_sniffer_readers(const struct slr_sniffer *s)
{
    return s->count;
}

/* Makes packets of what fits. True: there may be more. */
static bool put_events(struct reader *r)
{
    while (!r->failed && r->out_bytes < OUT_ROOM_BYTES) {
        struct slr_evlog_item item;
        enum slr_err err = slr_evlog_peek(r->cursor, &item);
        if (err == SLR_AGAIN) {
            return false;
        }
        if (err == SLR_NOTFOUND) {
            slr_srv_add(r->sniffer->cfg.counters, SLR_SRV_SNIFFER_LOST,
                        item.lost_to - item.lost_from + 1);
            send_object(r, json_pack("{s:[I,I]}", "lost", (json_int_t)item.lost_from,
                                     (json_int_t)item.lost_to));
            send_snapshot(r);
            continue;
        }
        json_t *event = NULL;
        if (err == SLR_OK) {
            err = slr_json_load(item.text, &event);
        }
        if (err == SLR_OK) {
            slr_pseudo_sip_event(r->book, event);
            json_decref(event);
        } else {
            SLR_WARN("sniffer_event_failed", "err=%s", slr_err_name(err));
            r->failed = err == SLR_NOMEM;
        }
        slr_evlog_step(r->cursor);
    }
    return true;
}

bool slr_sniffer_pump(struct slr_sniffer *s)
{
    bool more = false;
    for (struct reader *r = s->readers, *next; r; r = next) {
        next = r->next;
        if (r->cursor) {
            bool rest = put_events(r);
            flush(r);
            more = more || (rest && r->out_bytes < OUT_ROOM_BYTES);
        }
        if (r->failed) {
            drop(r, "failed");
        }
    }
    return more;
}

static json_t *ping_of(const struct slr_sniffer *s, slr_wall wall)
{
    json_t *ping = json_pack("{s:s,s:I,s:s,s:i}", "ev", "ping", "wall_ns", (json_int_t)wall.ns,
                             "engine", slr_evlog_engine(s->cfg.log), "streams_used",
                             (int)s->cfg.api->streams_used(s->engine));
    if (ping && s->cfg.api->calls_left) {
        const char *limit = "";
        uint32_t left = s->cfg.api->calls_left(s->engine, &limit);
        json_object_set_new(ping, "calls_left", json_integer(left));
        json_object_set_new(ping, "calls_limit", json_string(limit));
    }
    return ping;
}

static void ping(struct slr_sniffer *s, slr_wall wall)
{
    for (struct reader *r = s->readers; r; r = r->next) {
        if (r->cursor) {
            send_object(r, ping_of(s, wall));
        }
    }
}

void slr_sniffer_tick(struct slr_sniffer *s, slr_mono now, slr_wall wall)
{
    if (s->engine && now.ns - s->pinged.ns >= PING_NS) {
        s->pinged = now;
        if (s->cfg.api->streams_used(s->engine) > 0) {
            ping(s, wall);
        }
    }
    for (struct reader *r = s->readers, *next; r; r = next) {
        next = r->next;
        if (!r->cursor && now.ns - r->since.ns > HELLO_NS) {
            drop(r, "no_hello");
        } else if (r->out_bytes > 0 && now.ns - r->moved.ns > STUCK_NS) {
            count(s, SLR_SRV_SNIFFER_SLOW);
            drop(r, "not_reading");
        } else if (r->cursor) {
            slr_pseudo_sip_tick(r->book, wall);
        }
    }
}

bool slr_sniffer_idle(const struct slr_sniffer *s)
{
    for (const struct reader *r = s->readers; r; r = r->next) {
        if (r->cursor &&
            (slr_evlog_cursor_next(r->cursor) <= slr_evlog_last(s->cfg.log) || r->out_bytes > 0)) {
            return false;
        }
    }
    return true;
}
