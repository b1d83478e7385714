/*
 * options: one table in, a filled config struct out.
 *
 * argv is walked twice: first to find --config (and --help, --version) and to see that all is well
 * formed, then to set values, after those of the file. Defaults go to what was left unset. Runs at
 * start, one thread. Every text value is a copy that slr_options_free frees, so that values of the
 * command line, the file and the table are owned alike.
 */
#include "common/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/slice.h"

/* The build gives its own; this is for builds that do not. */
#ifndef SLR_VERSION_TEXT
#define SLR_VERSION_TEXT "0.1.0"
#endif
#define FILE_BYTES_MAX (1U << 20)
#define LINE_BYTES_MAX 4096
#define LIST_MAX 4096

/* One run over the options. */
struct parse {
    const char *program;
    const struct slr_option *table;
    uint8_t *config;
    FILE *errors;
    bool *seen; /* a flag for each row: set by file or command line */
    bool apply; /* second walk */
    const char *config_path;
    bool help, version;
};

static void __attribute__((format(printf, 2, 3)))
complain(const struct parse *p, const char *fmt, ...)
{
    va_list args;
    fprintf(p->errors, "%s: ", p->program);
    va_start(args, fmt);
    vfprintf(p->errors, fmt, args);
    va_end(args);
    fputc('\n', p->errors);
}

static const struct slr_option *find_name(const struct parse *p, struct slr_slice name)
{
    for (const struct slr_option *o = p->table; o->name; o++) {
        if (slr_slice_eq(name, o->name)) {
            return o;
        }
    }
    return NULL;
}

static const struct slr_option *find_letter(const struct parse *p, char letter)
{
    for (const struct slr_option *o = p->table; o->name; o++) {
        if (o->letter != 0 && o->letter == letter) {
            return o;
        }
    }
    return NULL;
}

/* The setters answer SLR_INVAL for a value that is not allowed and leave the message to set(). */
static enum slr_err set_flag(bool *at, const char *value)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(value, words[i]) == 0) {
            *at = i % 2 == 1;
            return SLR_OK;
        }
    }
    return SLR_INVAL;
}

static enum slr_err set_str(const char **at, const char *value)
{
    char *copy = strdup(value);
    if (!copy) {
        return SLR_NOMEM;
    }
    free((void *)(uintptr_t)*at);
    *at = copy;
    return SLR_OK;
}

static enum slr_err add_item(struct slr_option_list *list, const char *value)
{
    if (list->count >= LIST_MAX) {
        return SLR_FULL;
    }
    const char **item =
        realloc((void *)(uintptr_t)list->item, (list->count + 1) * sizeof *list->item);
    if (!item) {
        return SLR_NOMEM;
    }
    list->item = item;
    item[list->count] = strdup(value);
    if (!item[list->count]) {
        return SLR_NOMEM;
    }
    list->count++;
    return SLR_OK;
}

static enum slr_err set_u32(const struct slr_option *o, uint32_t *at, const char *value)
{
    uint64_t number;
    if (!slr_slice_to_u64(slr_slice_str(value), o->max, &number)) {
        return SLR_INVAL;
    }
    if (number < o->min && (number != 0 || o->kind != SLR_OPT_U32_OR_0)) {
        return SLR_INVAL;
    }
    *at = (uint32_t)number;
    return SLR_OK;
}

static bool is_number(const struct slr_option *o)
{
    return o->kind == SLR_OPT_U32 || o->kind == SLR_OPT_U32_OR_0;
}

static enum slr_err set(const struct parse *p, const struct slr_option *o, const char *where,
                        const char *value)
{
    void *at = p->config + o->offset;
    enum slr_err err = SLR_INVAL;

    switch (o->kind) {
    case SLR_OPT_FLAG:
        err = set_flag(at, value);
        break;
    case SLR_OPT_U32:
    case SLR_OPT_U32_OR_0:
        err = set_u32(o, at, value);
        break;
    case SLR_OPT_STR:
        err = set_str(at, value);
        break;
    case SLR_OPT_LIST:
        err = add_item(at, value);
        break;
    }
    if (err == SLR_INVAL && is_number(o)) {
        complain(p, "%s--%s: \"%s\" is not %sa number from %" PRIu32 " to %" PRIu32, where, o->name,
                 value, o->kind == SLR_OPT_U32_OR_0 ? "0 or " : "", o->min, o->max);
    } else if (err == SLR_INVAL) {
        complain(p, "%s--%s: \"%s\" is not yes or no", where, o->name, value);
    } else if (err != SLR_OK) {
        complain(p, "%s--%s: %s", where, o->name, slr_err_text(err));
    }
    p->seen[o - p->table] = true;
    return err == SLR_OK ? SLR_OK : SLR_INVAL;
}

/* `--name`, `--name=value`, `--name value`; *at moves to the last argument used. */
static enum slr_err take_long(struct parse *p, int argc, char **argv, int *at)
{
    struct slr_slice rest = slr_slice_str(argv[*at] + 2), name = rest;
    const char *value = strchr(argv[*at] + 2, '=');
    int name_len;

    if (value) {
        value++;
        (void)slr_slice_take_token(&rest, '=', &name); /* '=' is known to be there */
    }
    name_len = (int)name.len_bytes;
    const struct slr_option *o = find_name(p, name);
    bool is_config = !o && slr_slice_eq(name, "config");
    if (!o && (slr_slice_eq(name, "help") || slr_slice_eq(name, "version"))) {
        p->help = p->help || slr_slice_eq(name, "help");
        p->version = p->version || slr_slice_eq(name, "version");
        return SLR_OK;
    }
    if (!o && !is_config) {
        complain(p, "unknown option --%.*s (--help lists all)", name_len, name.at);
        return SLR_INVAL;
    }
    if (!value && o && o->kind == SLR_OPT_FLAG) {
        value = "yes";
    }
    if (!value) {
        if (*at + 1 >= argc) {
            complain(p, "--%.*s: expected a value (%s)", name_len, name.at,
                     o && o->value ? o->value : "FILE");
            return SLR_INVAL;
        }
        value = argv[++*at];
    }
    if (is_config) {
        p->config_path = value;
        return SLR_OK;
    }
    return p->apply ? set(p, o, "", value) : SLR_OK;
}

/* `-x`, `-xVALUE`, `-x VALUE`; flags may be joined, as in `-vx VALUE`. */
static enum slr_err take_short(struct parse *p, int argc, char **argv, int *at)
{
    for (const char *c = argv[*at] + 1; *c; c++) {
        const struct slr_option *o = find_letter(p, *c);
        const char *value = "yes";
        if (!o) {
            complain(p, "unknown option -%c (--help lists all)", *c);
            return SLR_INVAL;
        }
        if (o->kind != SLR_OPT_FLAG) {
            value = c[1] ? c + 1 : NULL;
            if (!value && *at + 1 >= argc) {
                complain(p, "-%c: expected a value (%s)", *c, o->value ? o->value : "VALUE");
                return SLR_INVAL;
            }
            if (!value) {
                value = argv[++*at];
            }
        }
        enum slr_err err = p->apply ? set(p, o, "", value) : SLR_OK;
        if (err != SLR_OK || o->kind != SLR_OPT_FLAG) {
            return err;
        }
    }
    return SLR_OK;
}

/* On the second walk positionals move to argv[1..*rest_count]. */
static enum slr_err walk(struct parse *p, int argc, char **argv, int *rest_count)
{
    bool only_rest = false;
    int count = 0;

    for (int i = 1; i < argc; i++) {
        enum slr_err err = SLR_OK;
        if (only_rest || argv[i][0] != '-' || argv[i][1] == '\0') {
            if (!rest_count) {
                complain(p, "unexpected argument \"%s\"", argv[i]);
                return SLR_INVAL;
            }
            count++;
            if (p->apply) {
                argv[count] = argv[i];
            }
        } else if (strcmp(argv[i], "--") == 0) {
            only_rest = true;
        } else if (argv[i][1] == '-') {
            err = take_long(p, argc, argv, &i);
        } else {
            err = take_short(p, argc, argv, &i);
        }
        if (err != SLR_OK) {
            return err;
        }
    }
    if (rest_count) {
        *rest_count = count;
    }
    return SLR_OK;
}

static enum slr_err take_config_line(struct parse *p, struct slr_slice line, unsigned number)
{
    char value[LINE_BYTES_MAX], where[64];
    struct slr_slice name;

    line = slr_slice_trim(line);
    if (line.len_bytes == 0 || line.at[0] == '#') {
        return SLR_OK;
    }
    if (!memchr(line.at, '=', line.len_bytes) || !slr_slice_take_token(&line, '=', &name)) {
        complain(p, "%s:%u: expected \"name = value\"", p->config_path, number);
        return SLR_INVAL;
    }
    name = slr_slice_trim(name);
    const struct slr_option *o = find_name(p, name);
    if (!o) {
        complain(p, "%s:%u: unknown option %.*s", p->config_path, number,
                 (int)(name.len_bytes < 64 ? name.len_bytes : 64), name.at);
        return SLR_INVAL;
    }
    if (!slr_slice_to_str(slr_slice_trim(line), value, sizeof value)) {
        complain(p, "%s:%u: --%s: value is longer than %d bytes or holds a NUL", p->config_path,
                 number, o->name, LINE_BYTES_MAX - 1);
        return SLR_INVAL;
    }
    snprintf(where, sizeof where, "config line %u: ", number);
    return set(p, o, where, value);
}

static enum slr_err take_config(struct parse *p)
{
    enum slr_err err = SLR_OK;
    FILE *f = fopen(p->config_path, "re");
    char *text = malloc(FILE_BYTES_MAX);
    size_t len = 0;

    if (f && text) {
        len = fread(text, 1, FILE_BYTES_MAX, f);
    }
    if (!text) {
        complain(p, "--config %s: %s", p->config_path, slr_err_text(SLR_NOMEM));
        err = SLR_NOMEM;
    } else if (!f || ferror(f)) {
        complain(p, "--config %s: %s", p->config_path, strerror(errno));
        err = SLR_IO;
    } else if (len == FILE_BYTES_MAX) {
        complain(p, "--config %s: larger than 1 MiB", p->config_path);
        err = SLR_INVAL;
    }
    if (f) {
        fclose(f);
    }
    struct slr_slice rest = slr_slice_of(text, len), line;
    for (unsigned number = 1; err == SLR_OK && slr_slice_take_line(&rest, &line); number++) {
        err = take_config_line(p, line, number);
    }
    free(text);
    return err;
}

static enum slr_err take_defaults(const struct parse *p)
{
    for (const struct slr_option *o = p->table; o->name; o++) {
        if (o->def && !p->seen[o - p->table]) {
            enum slr_err err = set(p, o, "default of ", o->def);
            if (err != SLR_OK) {
                return err;
            }
        }
    }
    return SLR_OK;
}

static enum slr_err parse_all(struct parse *p, const char *summary, int argc, char **argv,
                              int *rest_count)
{
    enum slr_err err = walk(p, argc, argv, rest_count);
    if (p->help) {
        slr_options_help(p->program, summary, p->table, stdout);
        return SLR_EOF;
    }
    if (p->version) {
        printf("%s %s\n", p->program, SLR_VERSION_TEXT);
        return SLR_EOF;
    }
    if (err == SLR_OK && p->config_path) {
        err = take_config(p);
    }
    if (err == SLR_OK) {
        p->apply = true;
        err = walk(p, argc, argv, rest_count);
    }
    return err == SLR_OK ? take_defaults(p) : err;
}

enum slr_err slr_options_parse(const char *program, const char *summary,
                               const struct slr_option *table, void *config, int argc, char **argv,
                               FILE *errors, char ***rest, int *rest_count)
{
    struct parse p = {.program = program, .table = table, .config = config, .errors = errors};
    size_t rows = 0;

    while (table[rows].name) {
        rows++;
    }
    p.seen = calloc(rows + 1, sizeof *p.seen);
    if (!p.seen) {
        return SLR_NOMEM;
    }
    enum slr_err err = parse_all(&p, summary, argc, argv, rest_count);
    free(p.seen);
    if (err != SLR_OK) {
        slr_options_free(table, config);
    } else if (rest) {
        *rest = argc > 0 ? argv + 1 : argv;
    }
    return err;
}

static void help_line(FILE *out, char letter, const char *name, const char *value)
{
    char left[64];
    struct slr_put p = slr_put_of(left, sizeof left);
    if (letter) {
        slr_put_fmt(&p, "  -%c, --%s", letter, name);
    } else {
        slr_put_fmt(&p, "      --%s", name);
    }
    if (value) {
        slr_put_fmt(&p, " %s", value);
    }
    fprintf(out, "%-30.*s ", (int)p.len_bytes, left);
}

void slr_options_help(const char *program, const char *summary, const struct slr_option *table,
                      FILE *out)
{
    fprintf(out, "Usage: %s [OPTION]...\n%s\n\n", program, summary);
    for (const struct slr_option *o = table; o->name; o++) {
        help_line(out, o->letter, o->name, o->value);
        fputs(o->help ? o->help : "", out);
        if (is_number(o)) {
            fprintf(out, " (%s%" PRIu32 "..%" PRIu32 ")",
                    o->kind == SLR_OPT_U32_OR_0 ? "0 or " : "", o->min, o->max);
        } else if (o->kind == SLR_OPT_LIST) {
            fputs(" (repeatable)", out);
        }
        if (o->def && o->def[0] != '\0') {
            fprintf(out, " [%s]", o->def);
        }
        fputc('\n', out);
    }
    help_line(out, 0, "config", "FILE");
    fputs("read options from FILE, lines \"name = value\"; the command line wins\n", out);
    help_line(out, 0, "help", NULL);
    fputs("show this and exit\n", out);
    help_line(out, 0, "version", NULL);
    fputs("show the version and exit\n", out);
}

void slr_options_free(const struct slr_option *table, void *config)
{
    for (const struct slr_option *o = table; o->name; o++) {
        void *at = (uint8_t *)config + o->offset;
        if (o->kind == SLR_OPT_STR) {
            const char **text = at;
            free((void *)(uintptr_t)*text);
            *text = NULL;
        } else if (o->kind == SLR_OPT_LIST) {
            struct slr_option_list *list = at;
            for (size_t i = 0; i < list->count; i++) {
                free((void *)(uintptr_t)list->item[i]);
            }
            free((void *)(uintptr_t)list->item);
            *list = (struct slr_option_list){NULL, 0};
        }
    }
}
