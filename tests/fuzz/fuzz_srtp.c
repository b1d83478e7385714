/* Protected packets: byte 0 chooses suite and MKI length, byte 1 RTP or RTCP, the rest is the
 * packet. What does not authenticate changes no key and no counter of a stream; names and keys in
 * text are read without leaving them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/srtp.h"
#include "engine/srtp_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct one {
    struct slr_srtp state;
    struct slr_srtp_box box;
};

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* The keys of RFC 3711 B.3, so that a corpus can hold packets that open. */
static struct one *make(unsigned suite, unsigned mki)
{
    static const char secret[] = "\xe1\xf9\x7a\x0d\x3e\x01\x8b\xe0\xd6\x4f\xa3\x2c\x06\xde\x41\x39";
    static const char salt[] = "\x0e\xc6\x75\xad\x49\x8a\xfe\xeb\xb6\x96\x0b\x3a\xab\xe6";
    static const uint8_t mki_lens[] = {0, 1, 4, 128};
    static struct one *made[SLR_SRTP_SUITE_COUNT][4];
    if (!made[suite][mki]) {
        struct one *o = calloc(1, sizeof *o);
        struct slr_srtp_key key = {
            .suite = (uint8_t)suite, .mki_len = mki_lens[mki], .mki = mki_lens[mki] ? 1 : 0};
        memcpy(key.key, secret, 16);
        memcpy(key.salt, salt, 14);
        require(o && slr_srtp_install(&o->state, &o->box, &key, 1, false, (slr_mono){1}) == SLR_OK);
        made[suite][mki] = o;
    }
    return made[suite][mki];
}

static void read_file(const uint8_t *data, size_t size)
{
    static struct slr_srtp_keys keys;
    struct slr_srtp_key some[SLR_SRTP_KEYS];
    uint32_t ssrc = 7;
    if (slr_srtp_keys_read(slr_slice_of(data, size), &keys) != SLR_OK) {
        require(keys.count == 0);
        return;
    }
    require(keys.count <= SLR_SRTP_FILE_KEYS);
    require(slr_srtp_keys_for(&keys, &ssrc, some) <= slr_srtp_keys_for(&keys, NULL, some));
}

static void read_texts(const uint8_t *data, size_t size)
{
    read_file(data, size);
    struct slr_srtp_key key = {.suite = (uint8_t)slr_srtp_suite_find(slr_slice_of(data, size))};
    char text[SLR_SRTP_KEY_TEXT_SIZE];
    for (int suite = 0; suite < SLR_SRTP_SUITE_COUNT; suite++) {
        key.suite = (uint8_t)suite;
        if (slr_srtp_key_text(slr_slice_of(data, size), &key) == SLR_OK) {
            slr_srtp_key_format(&key, text);
            size_t n = strlen(text);
            while (n > 0 && text[n - 1] == '=') {
                n--;
            }
            require(n > 0 && size >= n && memcmp(text, data, n - 1) == 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slr_srtp_group before[2];
    static uint8_t out[65536];
    static struct slr_srtp_aes *aes;
    size_t out_bytes = 0;
    read_texts(data, size);
    if (size < 2 || size > sizeof out) {
        return 0;
    }
    require(aes || slr_srtp_aes_open(&aes) == SLR_OK);
    struct one *o = make(1 + data[0] % (SLR_SRTP_SUITE_COUNT - 1u), data[0] >> 6);
    memcpy(before, o->state.group, sizeof before);
    struct slr_slice packet = slr_slice_of(data + 2, size - 2);
    enum slr_srtp_result r = slr_srtp_take(&o->state, &o->box, aes, packet, (data[1] & 1) != 0,
                                           (slr_mono){SLR_NS_PER_S}, out, &out_bytes);
    if (r == SLR_SRTP_OK) {
        require(out_bytes >= 8 && out_bytes < packet.len_bytes);
        require(memcmp(out, packet.at, 8) == 0);
    } else {
        require(out_bytes == 0 && memcmp(before, o->state.group, sizeof before) == 0);
    }
    return 0;
}
