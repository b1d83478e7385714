/*
 * A message's body, which may hold media keys, is read where it will be wiped and not where the
 * stack received it, in however many pieces it came; and so is the one of an answer. The same for
 * the whole program: tests/soak/test_secrets.py.
 *
 * The key stands in this program's memory as cipher text only, so that a look through all of it
 * finds what the stack left behind.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ctl/sip_int.h"
#include "ctl/sofia.h"

#define CIPHER 0x55
#define HEAD                                                                                       \
    "INVITE sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKa\r\n"             \
    "From: <sip:a@b>;tag=1\r\nTo: <sip:x@b>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"                   \
    "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n"
#define BODY "v=0\r\nm=audio 4000 RTP/SAVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"
#define KEY_BYTES 40
#define LOOK_BYTES 65536u
#define WIRE_BYTES 8192

/* What comes over the wire, and the key in it, all under the cipher. */
static uint8_t wire[WIRE_BYTES], key[KEY_BYTES];
static size_t wire_len, body_at, key_at;

/* The body gets as long as that by a line of blanks behind the key. */
static void make_wire(size_t body_bytes)
{
    size_t least = strlen(BODY) + KEY_BYTES + 2;
    body_bytes = body_bytes > least ? body_bytes : least;
    body_at = (size_t)snprintf((char *)wire, sizeof wire, HEAD, body_bytes);
    memcpy(wire + body_at, BODY, strlen(BODY));
    key_at = body_at + strlen(BODY);
    wire_len = body_at + body_bytes;
    memset(wire + key_at, ' ', wire_len - key_at);
    memcpy(wire + wire_len - 2, "\r\n", 2);
    for (size_t i = 0; i < wire_len; i++) {
        wire[i] ^= CIPHER;
    }
    for (size_t i = 0; i < KEY_BYTES; i++) {
        key[i] = (uint8_t)(('A' + (i * 7 + body_bytes) % 26) ^ CIPHER);
    }
    memcpy(wire + key_at, key, KEY_BYTES);
}

static bool is_key(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((at[i] ^ CIPHER) != key[i]) {
            return false;
        }
    }
    return true;
}

/* How often the key stands in what this process can write to. Not on its stack: there the linker
 * puts the vector registers, with what memcpy moved last, when it looks up a function. */
static unsigned look(void)
{
    unsigned found = 0;
    char line[512];
    uint8_t *look =
        mmap(NULL, LOOK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(look, MAP_FAILED);
    int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/maps", "re");
    cr_assert(mem >= 0 && maps);
    while (fgets(line, sizeof line, maps)) {
        uint64_t from, to;
        char mode[8];
        bool ours = sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, mode) == 3 &&
                    mode[1] == 'w' && to - from <= 256u << 20 && !strstr(line, "[stack]");
        for (uint64_t at = from; ours && at < to; at += LOOK_BYTES / 2) {
            ssize_t n = at + LOOK_BYTES < (uintptr_t)look || at >= (uintptr_t)look + LOOK_BYTES
                            ? pread(mem, look, LOOK_BYTES, (off_t)at)
                            : 0;
            for (ssize_t i = 0; i + KEY_BYTES <= n && i < LOOK_BYTES / 2; i++) {
                found += is_key(look + i, KEY_BYTES);
            }
        }
    }
    fclose(maps);
    close(mem);
    explicit_bzero(look, LOOK_BYTES);
    munmap(look, LOOK_BYTES);
    return found;
}

/* A sanitizer has stacks of its own, and keeps what was freed. */
#define BLIND false
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef BLIND
#define BLIND true
#endif
#endif

static bool left_behind(unsigned times)
{
    return BLIND || look() == times;
}

/* Receives wire[from..to), as a stream transport does. */
static void receive(msg_t *msg, size_t from, size_t to, bool eos)
{
    while (from < to) {
        void *at = NULL;
        ssize_t room = msg_recv_buffer(msg, &at);
        cr_assert_gt(room, 0);
        size_t n = to - from < (size_t)room ? to - from : (size_t)room;
        for (size_t i = 0; i < n; i++) {
            ((uint8_t *)at)[i] = wire[from + i] ^ CIPHER;
        }
        from += n;
        cr_assert_eq(msg_recv_commit(msg, (usize_t)n, eos && from == to), 0);
        cr_assert_geq(msg_extract(msg), 0);
    }
}

static void check_and_end(msg_t *msg)
{
    const sip_t *sip = sip_object(msg);
    cr_assert(msg_is_complete(msg) && !msg_has_error(msg));
    cr_assert(sip && sip->sip_request && sip->sip_payload && !sip->sip_error);
    const sip_payload_t *p = sip->sip_payload;
    cr_assert_null(p->pl_next);
    cr_assert_eq(p->pl_len, wire_len - body_at);
    for (size_t i = 0; i < p->pl_len; i++) {
        cr_assert_eq((uint8_t)p->pl_data[i] ^ CIPHER, wire[body_at + i], "byte %zu", i);
    }
    cr_assert_eq(p->pl_data[p->pl_len], '\0');
    msg_destroy(msg);
}

Test(sip_body, a_look_finds_what_is_left)
{
    make_wire(0);
    cr_assert(left_behind(0));
    uint8_t *plain = malloc(KEY_BYTES);
    cr_assert_not_null(plain);
    for (size_t i = 0; i < KEY_BYTES; i++) {
        plain[i] = key[i] ^ CIPHER;
    }
    cr_assert(left_behind(1));
    explicit_bzero(plain, KEY_BYTES);
    free(plain);
    cr_assert(left_behind(0));
}

Test(sip_body, a_body_is_not_where_it_was_received)
{
    static const int flags[] = {0, MSG_DO_EXTRACT_COPY};
    msg_mclass_t *mclass = slr_sip_make_mclass();
    make_wire(0);
    for (size_t k = 0; k < 2; k++) {
        msg_t *msg = msg_create(mclass, flags[k]);
        receive(msg, 0, wire_len, true);
        cr_assert(left_behind(1));
        check_and_end(msg);
        cr_assert(left_behind(0));
    }
    free(mclass);
}

/* In two pieces, parted everywhere up to the key and at some places after it; the larger bodies do
 * not fit into the stack's first buffer. */
Test(sip_body, a_body_in_pieces, .timeout = 60)
{
    static const size_t body_bytes[] = {0, 400, 3000};
    msg_mclass_t *mclass = slr_sip_make_mclass();
    for (size_t k = 0; k < 3; k++) {
        make_wire(body_bytes[k]);
        for (size_t cut = 1; cut < wire_len; cut += cut <= key_at + KEY_BYTES ? 1 : 100) {
            msg_t *msg = msg_create(mclass, MSG_DO_EXTRACT_COPY);
            receive(msg, 0, cut, false);
            receive(msg, cut, wire_len, false);
            if (cut == key_at + KEY_BYTES / 2) {
                cr_assert(left_behind(1), "body %zu", body_bytes[k]);
            }
            check_and_end(msg);
            if (cut % 100 == 0 || (cut >= key_at && (cut - key_at) % 8 == 0)) {
                cr_assert(left_behind(0), "body %zu, parted at %zu", body_bytes[k], cut);
            }
        }
    }
    free(mclass);
}

Test(sip_body, a_body_byte_by_byte)
{
    msg_mclass_t *mclass = slr_sip_make_mclass();
    make_wire(1000);
    msg_t *msg = msg_create(mclass, 0);
    for (size_t i = 0; i < wire_len; i++) {
        receive(msg, i, i + 1, false);
    }
    check_and_end(msg);
    cr_assert(left_behind(0));
    free(mclass);
}

Test(sip_body, the_body_of_an_answer)
{
    msg_mclass_t *mclass = slr_sip_make_mclass();
    char *text = calloc(1, WIRE_BYTES);
    make_wire(2000);
    for (size_t i = body_at; i < wire_len; i++) {
        text[i - body_at] = (char)(wire[i] ^ CIPHER);
    }
    msg_t *msg = msg_create(mclass, 0);
    sip_t *sip = sip_object(msg);
    cr_assert_eq(slr_sip_put_body(msg, text), SLR_OK);
    explicit_bzero(text, WIRE_BYTES);
    cr_assert_eq(sip_add_make(msg, sip, sip_status_class, "SIP/2.0 200 OK"), 0);
    cr_assert_eq(msg_serialize(msg, (msg_pub_t *)sip), 0);
    cr_assert_gt(msg_prepare(msg), (int)(wire_len - body_at));
    cr_assert(left_behind(1), "what is sent is that one copy");
    msg_iovec_t iov[16];
    isize_t n = msg_iovec(msg, iov, 16);
    cr_assert(n > 0 && n <= 16);
    cr_assert_eq(iov[n - 1].mv_base, sip->sip_payload->pl_data);
    cr_assert_eq(iov[n - 1].mv_len, wire_len - body_at);
    msg_destroy(msg);
    cr_assert(left_behind(0));
    free(text);
    free(mclass);
}
