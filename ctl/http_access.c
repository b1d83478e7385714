/*
 * http_access: token file, constant-time token check, Host check. Pure but for the file reader;
 * allocates nothing.
 */
#include "ctl/http_access.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define TOKEN_FILE_MAX_BYTES 16384

static bool take_word(struct slr_slice *rest, struct slr_slice *word)
{
    size_t n = 0;
    *rest = slr_slice_trim(*rest);
    while (n < rest->len_bytes && rest->at[n] > ' ' && rest->at[n] < 0x7f) {
        n++;
    }
    return n > 0 && slr_slice_take(rest, n, word);
}

static bool known_name(const struct slr_http_tokens *tokens, const char *name)
{
    for (size_t i = 0; i < tokens->count; i++) {
        if (strcmp(tokens->token[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static enum slr_err read_line(struct slr_slice line, struct slr_http_tokens *out)
{
    struct slr_slice name;
    struct slr_slice token;
    char text[SLR_HTTP_ACTOR_SIZE];
    if (!take_word(&line, &name) || !take_word(&line, &token) ||
        slr_slice_trim(line).len_bytes != 0 || token.len_bytes < SLR_HTTP_TOKEN_MIN_BYTES ||
        !slr_slice_to_str(name, text, sizeof(text)) || known_name(out, text)) {
        return SLR_FORMAT;
    }
    if (out->count == SLR_HTTP_TOKENS_MAX) {
        return SLR_FULL;
    }
    memcpy(out->token[out->count].name, text, sizeof(text));
    (void)SHA256(token.at, token.len_bytes, out->token[out->count].digest);
    out->count++;
    return SLR_OK;
}

enum slr_err slr_http_access_read_tokens(struct slr_slice text, struct slr_http_tokens *out)
{
    struct slr_slice line;
    memset(out, 0, sizeof(*out));
    while (slr_slice_take_line(&text, &line)) {
        line = slr_slice_trim(line);
        if (line.len_bytes == 0 || line.at[0] == '#') {
            continue;
        }
        enum slr_err err = read_line(line, out);
        if (err != SLR_OK) {
            return err;
        }
    }
    return out->count > 0 ? SLR_OK : SLR_FORMAT;
}

static enum slr_err read_tokens_fd(int fd, const char *path, struct slr_http_tokens *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return SLR_IO;
    }
    if ((st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
        SLR_ERROR("http_token_file_open_to_others", "file=%s mode=%o", SLR_Q(path),
                  (unsigned)st.st_mode & 0777u);
        return SLR_DENIED;
    }
    char text[TOKEN_FILE_MAX_BYTES];
    ssize_t n = read(fd, text, sizeof(text));
    if (n < 0 || (size_t)n == sizeof(text)) {
        return n < 0 ? SLR_IO : SLR_TOOLONG;
    }
    enum slr_err err = slr_http_access_read_tokens(slr_slice_of(text, (size_t)n), out);
    OPENSSL_cleanse(text, sizeof(text));
    return err;
}

enum slr_err slr_http_access_load_tokens(const char *path, struct slr_http_tokens *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        SLR_ERROR("http_token_file", "file=%s errno=%d", SLR_Q(path), errno);
        return SLR_IO;
    }
    enum slr_err err = read_tokens_fd(fd, path, out);
    close(fd);
    if (err != SLR_OK) {
        SLR_ERROR("http_token_file", "file=%s err=%s", SLR_Q(path), slr_err_name(err));
    }
    return err;
}

const char *slr_http_access_actor(const struct slr_http_tokens *tokens,
                                  struct slr_slice authorization)
{
    struct slr_slice scheme;
    struct slr_slice token;
    uint8_t digest[32];
    if (!take_word(&authorization, &scheme) || !slr_slice_eq_nocase(scheme, "bearer") ||
        !take_word(&authorization, &token) || slr_slice_trim(authorization).len_bytes != 0) {
        return NULL;
    }
    (void)SHA256(token.at, token.len_bytes, digest);
    const char *actor = NULL;
    for (size_t i = 0; i < tokens->count; i++) {
        /* All are compared, so that the time does not tell which one was near. */
        if (CRYPTO_memcmp(digest, tokens->token[i].digest, sizeof(digest)) == 0) {
            actor = tokens->token[i].name;
        }
    }
    return actor;
}

/* Splits off a trailing ":digits"; false when what follows the name is no port. */
static bool drop_port(struct slr_slice *host)
{
    size_t n = host->len_bytes;
    size_t from = 0;
    if (n == 0) {
        return false;
    }
    if (host->at[0] == '[') {
        const uint8_t *end = memchr(host->at, ']', n);
        if (end == NULL) {
            return false;
        }
        from = (size_t)(end - host->at) + 1;
    } else {
        const uint8_t *colon = memchr(host->at, ':', n);
        from = colon != NULL ? (size_t)(colon - host->at) : n;
    }
    struct slr_slice port = *host;
    struct slr_slice name;
    uint64_t number = 0;
    if (!slr_slice_take(&port, from, &name)) {
        return false;
    }
    *host = name;
    return port.len_bytes == 0 || (port.at[0] == ':' && slr_slice_skip(&port, 1) &&
                                   (port.len_bytes == 0 || slr_slice_to_u64(port, 65535, &number)));
}

bool slr_http_access_host_allowed(struct slr_slice host, const char *own_ip, const char *name)
{
    host = slr_slice_trim(host);
    if (!drop_port(&host) || host.len_bytes == 0) { /* ":80" has no name */
        return false;
    }
    if (slr_slice_eq_nocase(host, "localhost") || slr_slice_eq(host, "127.0.0.1") ||
        slr_slice_eq(host, "[::1]") || (name != NULL && slr_slice_eq_nocase(host, name))) {
        return true;
    }
    if (host.at[0] == '[' && host.len_bytes > 2) {
        return slr_slice_eq_nocase(slr_slice_of(host.at + 1, host.len_bytes - 2), own_ip);
    }
    return slr_slice_eq(host, own_ip);
}
