/*
 * engine_secure: SRTP of legs as they open, change, end and survive a restart. The rules are in
 * srtp.h; allocates when keys are installed.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "engine/engine_priv.h"

enum slr_err slr_engine_secure(struct slr_worker *w, uint32_t slot, const struct slr_leg_params *p,
                               bool running)
{
    struct slr_leg *leg = &w->place.state->leg[slot];
    enum slr_err err = SLR_OK;
    if (p->srtp_count == 0 && !p->srtp_unknown && !atomic_load(&slr_leg_run(leg)->secure)) {
        return SLR_OK;
    }
    if (!slr_space_take(&w->place.state->space, &w->place.state->srtp[slot],
                        sizeof w->place.state->srtp[slot])) {
        return SLR_NOMEM;
    }
    leg->keyed = true;
    if (p->srtp_count > 0 || !p->srtp_unknown) {
        err = slr_srtp_install(&w->place.state->srtp[slot], &w->srtp[slot], p->srtp, p->srtp_count,
                               running, slr_clock_mono(w->clock));
    }
    if (err == SLR_OK) {
        atomic_store_explicit(&slr_leg_run(leg)->secure, 1, memory_order_release);
    }
    return err;
}

enum slr_err slr_engine_secure_flow(struct slr_engine *e, uint32_t slot,
                                    const struct slr_packet *pkt)
{
    struct slr_leg_params p = {.session = NULL};
    struct slr_slice bytes = slr_slice_of(pkt->at, pkt->len_bytes);
    uint32_t ssrc = 0;
    if (e->keys.count == 0 || !slr_slice_skip(&bytes, 8) || !slr_slice_take_u32(&bytes, &ssrc)) {
        return SLR_OK;
    }
    p.srtp_count = slr_srtp_keys_for(&e->keys, &ssrc, p.srtp);
    enum slr_err err = slr_engine_secure(&e->worker[0], slot, &p, false);
    explicit_bzero(p.srtp, sizeof p.srtp);
    return err;
}

void slr_engine_secure_end(struct slr_worker *w, uint32_t slot)
{
    struct slr_srtp *s = &w->place.state->srtp[slot];
    if (w->place.state->leg[slot].keyed && s->turn != 0) {
        slr_srtp_wipe(s, &w->srtp[slot]);
        slr_srtp_aes_forget(w->aes);
    }
}

void slr_engine_secure_reset(struct slr_engine *e, uint32_t slot)
{
    if (e->state->leg[slot].keyed) {
        slr_srtp_wipe(&e->state->srtp[slot], &e->srtp[slot]);
        memset(&e->state->srtp[slot], 0, sizeof e->state->srtp[slot]);
    }
}

void slr_engine_secure_restore(struct slr_engine *e)
{
    for (uint32_t i = 0; i < slr_state_legs(e->state); i++) {
        const struct slr_leg *leg = &e->state->leg[i];
        if (!leg->keyed || e->state->srtp[i].turn == 0) {
            continue;
        }
        enum slr_err err = SLR_OK;
        if (atomic_load(&leg->state) != SLR_LEG_OPEN) {
            slr_srtp_wipe(&e->state->srtp[i], &e->srtp[i]);
        } else {
            err = slr_srtp_restore(&e->state->srtp[i], &e->srtp[i]);
        }
        if (err != SLR_OK) {
            SLR_ERROR("srtp_restore_failed", "port=%u err=%s", leg->local.port, slr_err_name(err));
        }
    }
}

void slr_engine_secure_close(struct slr_engine *e)
{
    explicit_bzero(&e->keys, sizeof e->keys);
    for (uint32_t i = 0; e->srtp && e->state && i < e->state->leg_max; i++) {
        slr_srtp_box_close(&e->srtp[i]);
    }
    for (uint32_t i = 0; e->worker && i < e->worker_count; i++) {
        if (e->worker[i].plain) {
            slr_srtp_crypt_wipe(e->worker[i].plain, SLR_WORKER_PLAIN_BYTES);
        }
        slr_srtp_aes_close(e->worker[i].aes);
        e->worker[i].aes = NULL;
        free(e->worker[i].plain);
        free(e->worker[i].drops_seen);
        e->worker[i].plain = NULL;
    }
    free(e->srtp);
    e->srtp = NULL;
}
