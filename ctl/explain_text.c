/*
 * explain_text: what explain.c found, as text of at most 100 columns where the words allow it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "ctl/explain.h"
#include "ctl/explain_rows.h"

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = slr_json_str(o, key);
    return text && text[0] ? text : "-";
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

/* One line, or one for the format and one for each channel's file. */
static void print_media(FILE *to, const json_t *o)
{
    const json_t *files = json_object_get(o, "files");
    long long channels = (long long)slr_json_i64(o, "channels", 0);
    long long hz = (long long)slr_json_i64(o, "sample_hz", 0);
    const char *layout = slr_json_str(o, "layout");
    size_t i = 0;
    json_t *file = NULL;
    if (json_array_size(files) == 0) {
        bool mix = layout && strcmp(layout, "mix") == 0;
        fprintf(to, "media      %s: %lld channel%s%s, %s at %lld Hz\n", text_of(o, "file"),
                channels, channels == 1 ? "" : "s", mix ? " (all parties mixed)" : "",
                text_of(o, "format"), hz);
        return;
    }
    fprintf(to, "media      a file for each channel, %s at %lld Hz\n", text_of(o, "format"), hz);
    json_array_foreach(files, i, file)
    {
        fprintf(to, "           %s: channel %lld, %s\n", text_of(file, "file"),
                (long long)slr_json_i64(file, "channel", 0), text_of(file, "who"));
    }
}

static void print_head(FILE *to, const json_t *o)
{
    char length[32];
    size_t i = 0;
    json_t *leg = NULL;
    slr_explain_length(number(o, "len_ms"), length);
    fprintf(to, "recording  %s\ncall       %s\nstate      %s, ended by %s\n",
            text_of(o, "recording"), text_of(o, "call"), text_of(o, "state"),
            text_of(o, "end_reason"));
    fprintf(to, "start      %s, %s long\n", text_of(o, "start"), length);
    print_media(to, o);
    fprintf(to, "parties    ");
    json_array_foreach(json_object_get(o, "legs"), i, leg)
    {
        fprintf(to, "%s%s (channel %lld)", i > 0 ? ", " : "", text_of(leg, "who"),
                (long long)slr_json_i64(leg, "channel", 0));
    }
    fprintf(to, "\ndigits     %lld\n", (long long)slr_json_i64(o, "digits", 0));
}

/* [{"at_ms","what"}] under a heading. */
static void print_list(FILE *to, const char *heading, const json_t *list)
{
    char at[32];
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(list, i, row)
    {
        slr_explain_position(number(row, "at_ms"), at);
        fprintf(to, "%s%s%s  %12s  %s\n", i == 0 ? "  " : "", i == 0 ? heading : "",
                i == 0 ? "\n" : "", at, text_of(row, "what"));
    }
}

static void print_leg(FILE *to, const json_t *leg)
{
    char at[32];
    char length[32];
    size_t i = 0;
    json_t *row = NULL;
    fprintf(to, "\n%s, channel %lld\n  media    %s\n  quality  %s\n", text_of(leg, "who"),
            (long long)slr_json_i64(leg, "channel", 0), text_of(leg, "transport"),
            text_of(leg, "verdict"));
    const json_t *rows = json_object_get(leg, "rows");
    json_array_foreach(rows, i, row)
    {
        if (i == SLR_EXPLAIN_ROWS_MAX) {
            fprintf(to, "  ... and %zu more: --json shows them\n", json_array_size(rows) - i);
            break;
        }
        char until[32];
        slr_explain_position(number(row, "start_ms"), at);
        slr_explain_position(number(row, "start_ms") + number(row, "len_ms"), until);
        slr_explain_length(number(row, "len_ms"), length);
        fprintf(to, "  %12s - %-12s %10s  %s\n", at, until, length, text_of(row, "what"));
    }
    print_list(to, "where the clocks parted", json_object_get(leg, "clock"));
    print_list(to, "where nothing was heard for long", json_object_get(leg, "alarms"));
}

char *slr_explain_text(const json_t *o)
{
    char *text = NULL;
    size_t len = 0;
    size_t i = 0;
    json_t *item = NULL;
    FILE *to = open_memstream(&text, &len);
    if (!to) {
        return NULL;
    }
    print_head(to, o);
    json_array_foreach(json_object_get(o, "legs"), i, item)
    {
        print_leg(to, item);
    }
    fprintf(to, "\nWhat went wrong\n");
    json_array_foreach(json_object_get(o, "conclusion"), i, item)
    {
        const char *sentence = json_string_value(item);
        fprintf(to, "  * %s\n", sentence ? sentence : "");
    }
    bool failed = ferror(to) != 0;
    if (fclose(to) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
