/*
 * mime: see mime.h. Owns no state, runs on any thread, allocates nothing.
 */
#include "ctl/mime.h"

#include <string.h>

enum slr_err slr_mime_boundary(struct slr_slice content_type, struct slr_slice *boundary)
{
    struct slr_slice param, name;
    if (!slr_slice_take_token(&content_type, ';', &param)) {
        return SLR_NOTFOUND;
    }
    while (slr_slice_take_token(&content_type, ';', &param)) {
        if (!slr_slice_take_token(&param, '=', &name) ||
            !slr_slice_eq_nocase(slr_slice_trim(name), "boundary")) {
            continue;
        }
        struct slr_slice value = slr_slice_trim(param);
        if (value.len_bytes >= 1 && value.at[0] == '"') {
            /* a quoted boundary may hold a semicolon: read on from the quote to its end */
            size_t left = (size_t)(content_type.at + content_type.len_bytes - value.at) - 1;
            struct slr_slice rest = slr_slice_of(value.at + 1, left);
            if (!memchr(rest.at, '"', rest.len_bytes) ||
                !slr_slice_take_token(&rest, '"', &value)) {
                return SLR_FORMAT;
            }
        }
        if (value.len_bytes == 0 || value.len_bytes > SLR_MIME_BOUNDARY_MAX) {
            return SLR_FORMAT;
        }
        *boundary = value;
        return SLR_OK;
    }
    return SLR_NOTFOUND;
}

/* True when `line` is "--boundary" or, with *close, "--boundary--", blanks behind it allowed. */
static bool is_delimiter(struct slr_slice line, struct slr_slice boundary, bool *close)
{
    struct slr_slice head, name;
    *close = false;
    if (!slr_slice_take(&line, 2, &head) || memcmp(head.at, "--", 2) != 0 ||
        !slr_slice_take(&line, boundary.len_bytes, &name) ||
        memcmp(name.at, boundary.at, boundary.len_bytes) != 0) {
        return false;
    }
    line = slr_slice_trim(line);
    *close = line.len_bytes == 2 && memcmp(line.at, "--", 2) == 0;
    return line.len_bytes == 0 || *close;
}

static void take_header(struct slr_mime_part *p, struct slr_slice name, struct slr_slice value)
{
    name = slr_slice_trim(name);
    value = slr_slice_trim(value);
    if (slr_slice_eq_nocase(name, "Content-Type") || slr_slice_eq_nocase(name, "c")) {
        struct slr_slice type;
        if (slr_slice_take_token(&value, ';', &type)) {
            p->type = slr_slice_trim(type);
        }
    } else if (slr_slice_eq_nocase(name, "Content-Disposition")) {
        p->disposition = value;
    } else if (slr_slice_eq_nocase(name, "Content-Encoding") || slr_slice_eq_nocase(name, "e")) {
        p->encoding = value;
    }
}

/* Headers up to the empty line, the rest is the part's body. Folded lines are passed over. */
static enum slr_err read_part(struct slr_slice text, struct slr_mime_part *p)
{
    struct slr_slice line, name;
    *p = (struct slr_mime_part){.body = slr_slice_of(text.at, 0)};
    while (slr_slice_take_line(&text, &line)) {
        if (slr_slice_trim(line).len_bytes == 0) {
            break;
        }
        if (line.at[0] == ' ' || line.at[0] == '\t') {
            continue;
        }
        if (!memchr(line.at, ':', line.len_bytes) || !slr_slice_take_token(&line, ':', &name)) {
            return SLR_FORMAT;
        }
        take_header(p, name, line);
    }
    p->body = text;
    return SLR_OK;
}

/* The line break before a delimiter belongs to the delimiter. */
static struct slr_slice without_last_break(const uint8_t *from, const uint8_t *to)
{
    size_t n = (size_t)(to - from);
    if (n > 0 && from[n - 1] == '\n') {
        n--;
    }
    if (n > 0 && from[n - 1] == '\r') {
        n--;
    }
    return slr_slice_of(from, n);
}

static enum slr_err add_part(struct slr_mime *out, const uint8_t *from, const uint8_t *to)
{
    if (out->count == SLR_MIME_PARTS_MAX) {
        return SLR_FULL;
    }
    return read_part(without_last_break(from, to), &out->part[out->count++]);
}

enum slr_err slr_mime_split(struct slr_slice body, struct slr_slice boundary, struct slr_mime *out)
{
    struct slr_slice rest = body, line;
    const uint8_t *part = NULL;
    memset(out, 0, sizeof *out);
    if (boundary.len_bytes == 0 || boundary.len_bytes > SLR_MIME_BOUNDARY_MAX) {
        return SLR_FORMAT;
    }
    while (!out->closed) {
        const uint8_t *start = rest.at;
        if (!slr_slice_take_line(&rest, &line)) {
            break;
        }
        bool close;
        if (!is_delimiter(line, boundary, &close)) {
            continue;
        }
        if (part) {
            enum slr_err err = add_part(out, part, start);
            if (err != SLR_OK) {
                return err;
            }
        }
        part = rest.at;
        out->closed = close;
    }
    if (!part) {
        return SLR_NOTFOUND;
    }
    if (!out->closed && rest.at > part) {
        return add_part(out, part, rest.at);
    }
    return SLR_OK;
}

const struct slr_mime_part *slr_mime_find(const struct slr_mime *m, const char *type)
{
    for (size_t i = 0; i < m->count; i++) {
        if (slr_slice_eq_nocase(m->part[i].type, type)) {
            return &m->part[i];
        }
    }
    return NULL;
}

bool slr_mime_required(const struct slr_mime_part *p)
{
    struct slr_slice left = p->disposition, param, name;
    while (slr_slice_take_token(&left, ';', &param)) {
        if (slr_slice_take_token(&param, '=', &name) &&
            slr_slice_eq_nocase(slr_slice_trim(name), "handling")) {
            return slr_slice_eq_nocase(slr_slice_trim(param), "required");
        }
    }
    return false;
}
