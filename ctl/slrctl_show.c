/*
 * slrctl_show: status, calls, recordings, metrics: asks the API and prints for people, or JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl/slrctl.h"

#define PATH_SIZE 2048
#define PAGE_ROWS 1000u

/* Prints nested objects, but for counters, as lines `a.b  value`. */
static void print_flat(const char *prefix, json_t *value)
{
    char name[256];
    const char *key = NULL;
    json_t *member = NULL;
    if (!json_is_object(value)) {
        char *text = json_is_string(value) ? strdup(json_string_value(value))
                                           : json_dumps(value, SLRCTL_JSON);
        printf("%-36s %s\n", prefix, text != NULL ? text : "?");
        free(text);
        return;
    }
    json_object_foreach(value, key, member)
    {
        if (strcmp(key, "counters") == 0 || strcmp(key, "capture") == 0) {
            continue; /* a hundred lines: `slrctl metrics` */
        }
        snprintf(name, sizeof(name), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
        print_flat(name, member);
    }
}

enum slrctl_exit slrctl_status(struct slrctl *c)
{
    json_t *answer = NULL;
    enum slrctl_exit code = slrctl_ask(c, "GET", "/v1/status", NULL, &answer);
    if (code == SLRCTL_OK && c->json) {
        slrctl_print_json(answer);
    } else if (code == SLRCTL_OK) {
        print_flat("", answer);
    }
    json_decref(answer);
    return code;
}

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text != NULL ? text : "-";
}

/* Numbers of the parties, "1001,1002"; from dns or from the legs. */
static void parties(const json_t *row, char *out, size_t size)
{
    size_t i = 0;
    json_t *item = NULL;
    size_t at = 0;
    out[0] = '\0';
    json_t *list = json_object_get(row, "dns");
    if (json_array_size(list) == 0) {
        list = json_object_get(row, "legs");
    }
    json_array_foreach(list, i, item)
    {
        const char *dn = json_is_string(item) ? json_string_value(item) : text_of(item, "dn");
        int n = snprintf(out + at, size - at, "%s%s", i > 0 ? "," : "", dn);
        if (n < 0 || (size_t)n >= size - at) {
            break;
        }
        at += (size_t)n;
    }
    if (out[0] == '\0') {
        snprintf(out, size, "-");
    }
}

enum slrctl_exit slrctl_calls(struct slrctl *c)
{
    json_t *answer = NULL;
    size_t i = 0;
    json_t *row = NULL;
    enum slrctl_exit code = slrctl_ask(c, "GET", "/v1/calls", NULL, &answer);
    if (code == SLRCTL_OK && c->json) {
        slrctl_print_json(answer);
    } else if (code == SLRCTL_OK) {
        printf("%-32s %-24s %-8s %-6s %-20s %s\n", "ID", "START", "STATE", "PAUSED", "PARTIES",
               "CALL");
        json_array_foreach(json_object_get(answer, "calls"), i, row)
        {
            char who[128];
            parties(row, who, sizeof(who));
            printf("%-32s %-24s %-8s %-6s %-20s %s\n", text_of(row, "id"), text_of(row, "start"),
                   text_of(row, "state"),
                   json_is_true(json_object_get(row, "paused")) ? "yes" : "no", who,
                   text_of(row, "call"));
        }
    }
    json_decref(answer);
    return code;
}

/* Appends `&name=value`, escaped. False: it does not fit. */
static bool add_param(char path[static PATH_SIZE], const char *name, const char *value)
{
    if (value == NULL) {
        return true;
    }
    char *escaped = slrctl_escape(value);
    size_t at = strlen(path);
    int n = escaped != NULL ? snprintf(path + at, PATH_SIZE - at, "&%s=%s", name, escaped) : -1;
    free(escaped);
    return n > 0 && (size_t)n < PATH_SIZE - at;
}

static enum slrctl_exit fetch_page(struct slrctl *c, uint32_t rows, const char *cursor,
                                   json_t **answer)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "/v1/recordings?limit=%u", rows);
    bool fits = add_param(path, "from", c->from) && add_param(path, "to", c->to) &&
                add_param(path, "dn", c->dn) && add_param(path, "call", c->call) &&
                add_param(path, "state", c->state) && add_param(path, "cursor", cursor);
    if (!fits) {
        slrctl_say("the conditions are too long");
        return SLRCTL_USAGE;
    }
    return slrctl_ask(c, "GET", path, NULL, answer);
}

static void print_recording(const json_t *row)
{
    char who[128];
    parties(row, who, sizeof(who));
    printf("%-32s %-24s %9.1f %2d %-8s %-20s %s\n", text_of(row, "id"), text_of(row, "start"),
           (double)json_integer_value(json_object_get(row, "len_ms")) / 1000.0,
           (int)json_integer_value(json_object_get(row, "channels")), text_of(row, "state"), who,
           text_of(row, "file"));
}

enum slrctl_exit slrctl_recordings(struct slrctl *c)
{
    json_t *all = json_array();
    char *cursor = NULL;
    uint32_t left = c->limit;
    enum slrctl_exit code = SLRCTL_OK;
    do {
        json_t *page = NULL;
        code = fetch_page(c, left < PAGE_ROWS ? left : PAGE_ROWS, cursor, &page);
        free(cursor);
        cursor = NULL;
        if (code != SLRCTL_OK) {
            break;
        }
        json_t *rows = json_object_get(page, "recordings");
        json_array_extend(all, rows);
        left -= json_array_size(rows) < left ? (uint32_t)json_array_size(rows) : left;
        const char *next = json_string_value(json_object_get(page, "next"));
        cursor = next != NULL ? strdup(next) : NULL;
        json_decref(page);
        slrctl_progress("%zu recordings", json_array_size(all));
    } while (cursor != NULL && left > 0);
    slrctl_progress("%s", "");
    size_t i = 0;
    json_t *row = NULL;
    if (code == SLRCTL_OK && c->json) {
        json_t *answer = json_pack("{s:O,s:o}", "recordings", all, "next",
                                   cursor != NULL ? json_string(cursor) : json_null());
        slrctl_print_json(answer);
        json_decref(answer);
    } else if (code == SLRCTL_OK) {
        printf("%-32s %-24s %9s %2s %-8s %-20s %s\n", "ID", "START", "SECONDS", "CH", "STATE",
               "PARTIES", "FILE");
        json_array_foreach(all, i, row)
        {
            print_recording(row);
        }
        if (cursor != NULL) {
            slrctl_say("there are more: raise --limit");
        }
    }
    free(cursor);
    json_decref(all);
    return code;
}

/* Prometheus text as an object: {"name{labels}": value}. */
static json_t *metrics_json(char *text)
{
    json_t *all = json_object();
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *blank = strrchr(line, ' ');
        if (line[0] == '#' || blank == NULL) {
            continue;
        }
        *blank = '\0';
        json_object_set_new(all, line, json_real(strtod(blank + 1, NULL)));
    }
    return all;
}

enum slrctl_exit slrctl_metrics(struct slrctl *c)
{
    char *text = NULL;
    enum slrctl_exit code = slrctl_ask_text(c, "/metrics", &text);
    if (code == SLRCTL_OK && text != NULL && c->json) {
        json_t *all = metrics_json(text);
        slrctl_print_json(all);
        json_decref(all);
    } else if (code == SLRCTL_OK && text != NULL) {
        fputs(text, stdout);
    }
    free(text);
    return code;
}
