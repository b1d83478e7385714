/*
 * engine_priv: the engine's own struct, shared by the engine_*.c files only.
 */
#ifndef SLR_ENGINE_ENGINE_PRIV_H
#define SLR_ENGINE_ENGINE_PRIV_H

#include "engine/encode.h"
#include "engine/engine.h"
#include "engine/engine_watch.h"
#include "engine/flows.h"
#include "engine/keeper.h"
#include "engine/raw_hold.h"
#include "engine/sealer.h"
#include "engine/srtp_keys.h"
#include "engine/worker.h"
#include "engine/writer.h"

#define SLR_MEDIA_IPS 8u
#define SLR_MIN_WINDOW_MS 1000u

struct slr_leg_fds {
    int rtp, rtcp; /* -1: none */
};

/* RTCP sockets: with AUTO for new legs while so many streams or fewer run. */
enum slr_rtcp_policy { SLR_RTCP_AUTO, SLR_RTCP_ALWAYS, SLR_RTCP_NEVER };
#define SLR_RTCP_AUTO_STREAMS 4000u

/* What a pair of ports heard last. */
struct slr_port_past {
    uint32_t ssrc;
    bool heard;
};
#define SLR_PORT_PAIRS 32768u

/* 2 s of some 300 flows that nobody has asked for yet. */
#define SLR_FLOW_RAW_BYTES (8u << 20)

/* A thread that makes durable what was written to a volume. */
struct slr_disk_sync {
    int fd;
    const _Atomic uint64_t *dirty_bytes;
    pthread_t thread;
    _Atomic bool stop;
    bool running;
};

struct slr_engine {
    const struct slr_engine_config *cfg;
    const struct slr_clock *clock;
    struct slr_clock *virtual_clock; /* passive */
    struct slr_event_sink sink;
    struct slr_state *state;
    struct slr_keeper keeper;
    struct slr_leg_codecs *codecs;
    struct slr_srtp_box *srtp;
    _Atomic uint8_t *active;
    struct slr_recfile *file;
    struct slr_worker *worker;
    _Atomic int64_t *taken_ns; /* by worker: packets that came before are placed */
    uint32_t worker_count;
    struct slr_writer *writer;
    struct slr_ring *to_sealer;
    uint32_t writer_count;
    struct slr_sealer sealer;
    struct slr_engine_watch watch;
    struct slr_encode encode;
    struct slr_counters counters; /* control thread's */
    _Atomic uint64_t dirty_bytes;
    int rec_fd;
    bool has_spill; /* a second volume, and as many writers again for it */
    int spill_fd;
    _Atomic uint64_t spill_dirty_bytes;
    _Atomic uint8_t *home, *held;   /* as in struct slr_writer */
    struct slr_recfile *spill_file; /* for each session slot, there */
    bool passive;
    bool link; /* passive: a live link and no file; time goes on by itself */
    bool draining;
    bool admission_by_cost; /* as well as by -S */
    struct slr_addr media_ip[SLR_MEDIA_IPS];
    uint32_t media_ip_count, media_ip_next;
    uint16_t port_lo, port_hi;
    uint16_t port_cursor[SLR_MEDIA_IPS];
    struct slr_port_past *port_past; /* by address, then port / 2; NULL: not remembered */
    enum slr_rtcp_policy rtcp;
    enum slr_source_policy policy;
    enum slr_digit_policy digits;
    struct slr_output output; /* default of sessions that name none */
    uint8_t accept[128];
    struct slr_pt_map unsignalled[SLR_MAX_PTS]; /* payload types of flows without SDP */
    uint32_t unsignalled_count;
    uint32_t session_cursor, leg_cursor;
    slr_mono started;
    const char *backend;
    int64_t window_ticks;
    struct slr_disk_sync sync[SLR_VOLUMES];
    /* passive */
    struct slr_srtp_keys keys;
    struct slr_flows flows;
    struct slr_raw_hold raw; /* of flows without a session */
    struct slr_packet burst[SLR_CAPTURE_BURST];
    uint32_t burst_at, burst_count;
    bool only_media;                       /* link: what is not media stays where it is */
    uint32_t burst_leg[SLR_CAPTURE_BURST]; /* a guess, for prefetching */
    bool input_over;
    struct slr_idgen ids;
    bool ids_ready;
    int64_t next_flow_check_ns, next_tick_ns;
    int64_t wall_base_ns; /* link: the engine's time is monotonic time and this */
};

/* Those of the second volume come last. */
static inline uint32_t slr_engine_writers(const struct slr_engine *e)
{
    return e->writer_count * (e->has_spill ? 2 : 1);
}

/* engine_session.c */
struct slr_session *slr_engine_session_find(struct slr_engine *e, const char *id);
uint32_t slr_engine_leg_find(struct slr_engine *e, const struct slr_session *s, const char *leg);
/* Clears a slot that nobody has, but for where its parts lie. */
void slr_engine_session_reset(struct slr_engine *e, struct slr_session *s);
struct slr_worker *slr_engine_worker_of(struct slr_engine *e, const struct slr_session *s);
uint32_t slr_engine_leg_slot(struct slr_engine *e); /* SLR_NONE: none free */
void slr_engine_leg_reset(struct slr_engine *e, uint32_t leg);
bool slr_engine_wants_rtcp(const struct slr_engine *e);
/* Would a session with so many streams be taken now? */
enum slr_refusal slr_engine_refusal(const struct slr_engine *e, uint32_t reserve_streams);
/* Receives on bound sockets, which are closed or the backend's afterwards. On the leg's worker. */
enum slr_err slr_engine_leg_listen(struct slr_worker *w, uint32_t leg,
                                   struct slr_leg_fds *fds) SLR_CHECKED;
/* The opposite; ports are free then. On the leg's worker. */
void slr_engine_leg_deafen(struct slr_worker *w, uint32_t leg);
/* Ends a session at a position (INT64_MIN: now). */
enum slr_err slr_engine_session_end(struct slr_engine *e, struct slr_session *s, const char *reason,
                                    int64_t end_ticks) SLR_CHECKED;
void slr_engine_emit(struct slr_engine *e, json_t *event);
void slr_engine_emit_leg_open(struct slr_engine *e, const struct slr_session *s,
                              const struct slr_leg *leg);
/* Appends an OPEN leg to its session. On the session's worker. */
enum slr_err slr_engine_leg_join(struct slr_worker *w, struct slr_session *s,
                                 uint32_t leg) SLR_CHECKED;

/* engine_secure.c: a leg's SRTP. Worker, or control thread while the leg is in SETUP. */
enum slr_err slr_engine_secure(struct slr_worker *w, uint32_t leg, const struct slr_leg_params *p,
                               bool running) SLR_CHECKED;
/* The same for a flow of a capture that no signalling has claimed: by keys from a file. */
enum slr_err slr_engine_secure_flow(struct slr_engine *e, uint32_t leg,
                                    const struct slr_packet *pkt) SLR_CHECKED;
/* Keys of a leg that is over are forgotten. */
void slr_engine_secure_end(struct slr_worker *w, uint32_t leg);
/* Nothing of what an earlier leg in the slot had is left. */
void slr_engine_secure_reset(struct slr_engine *e, uint32_t leg);
/* After a restart: open legs go on with their keys, all others lose them. */
void slr_engine_secure_restore(struct slr_engine *e);
/* Process memory only; the state file keeps what running sessions need. */
void slr_engine_secure_close(struct slr_engine *e);

/* engine_restore.c: sessions of an earlier process go on. */
enum slr_err slr_engine_restore(struct slr_engine *e) SLR_CHECKED;
/* Their ports are bound and received from again; workers run, writers don't. */
void slr_engine_restore_sockets(struct slr_engine *e);

/* engine_spill.c: the second volume. open: after the state, before the writers; restore: after the
 * sessions were. */
enum slr_err slr_engine_spill_open(struct slr_engine *e) SLR_CHECKED;
void slr_engine_spill_restore(struct slr_engine *e);
void slr_engine_spill_close(struct slr_engine *e);

/* engine_rescue.c: working files without a session are sealed with what is in them. */
void slr_engine_rescue(struct slr_engine *e);

/* engine_report.c: one log line with what became of all datagrams of a capture. */
void slr_engine_log_totals(const struct slr_engine *e);

/* engine_passive.c */
enum slr_err slr_passive_leg_open(struct slr_engine *e, struct slr_session *s,
                                  const struct slr_leg_params *p) SLR_CHECKED;
/* link: the clock goes on to the present, and what is held at the end becomes sessions. */
void slr_passive_link_advance(struct slr_engine *e);
void slr_passive_link_end(struct slr_engine *e);
/* What lies unread in the ring came before the command that is about to end its call: it is taken
 * first, up to the next signalling, for a second at most, but for the block that the kernel still
 * fills (10 ms). Files, live sockets: nothing. */
void slr_passive_link_catch_up(struct slr_engine *e);
void slr_passive_legs_closed(struct slr_engine *e, const struct slr_session *s);

#endif
