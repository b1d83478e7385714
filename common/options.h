/*
 * options: a program's start-up flags as one table: parsing, config file, checking and --help all
 * come out of it. Used at start only, one thread; text values and list items are copies owned by
 * config.
 *
 * Forms: -x VALUE, -xVALUE, --long VALUE, --long=VALUE, flags without value. A config file
 * (--config FILE) has lines `long-name = value`; command-line values come later and win
 * (repeatables add up). An unknown name, bad number or value out of range is an error that names
 * the option and what was expected, written to `errors`.
 */
#ifndef SLR_COMMON_OPTIONS_H
#define SLR_COMMON_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum slr_option_kind {
    SLR_OPT_FLAG,     /* bool at offset */
    SLR_OPT_U32,      /* uint32_t at offset, min..max checked */
    SLR_OPT_U32_OR_0, /* the same, or 0, which has a meaning of its own */
    SLR_OPT_STR,      /* const char * at offset, a copy that slr_options_free frees */
    SLR_OPT_LIST      /* struct slr_option_list at offset, repeatable */
};

struct slr_option_list {
    const char **item;
    size_t count;
};

struct slr_option {
    char letter;      /* 0: none */
    const char *name; /* long name without dashes */
    enum slr_option_kind kind;
    size_t offset;     /* into the program's config struct */
    uint32_t min, max; /* for U32 and U32_OR_0 */
    const char *value; /* metavariable for help, NULL for a flag */
    const char *def;   /* default as text, NULL: zero/none */
    const char *help;  /* one line */
};

/*
 * Fills `config` (zeroed by the caller) with defaults, then --config file, then argv[1..argc-1].
 * table ends with name == NULL. --help prints the table to stdout and returns SLR_EOF; --version
 * likewise. Positional arguments are moved to *rest (count *rest_count), pointers into argv, which
 * is reordered; with rest_count NULL they are an error. After an error config owns nothing.
 * Errors: SLR_INVAL after a message on `errors`; SLR_IO when the config file can't be read.
 */
enum slr_err slr_options_parse(const char *program, const char *summary,
                               const struct slr_option *table, void *config, int argc, char **argv,
                               FILE *errors, char ***rest, int *rest_count) SLR_CHECKED;

/* Prints the table as help. */
void slr_options_help(const char *program, const char *summary, const struct slr_option *table,
                      FILE *out);

/* Frees the text values and lists that slr_options_parse put into config and clears them. */
void slr_options_free(const struct slr_option *table, void *config);

#endif
