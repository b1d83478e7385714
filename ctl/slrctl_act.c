/*
 * slrctl_act: commands that change something or fetch media: get, delete, pause, resume, stop,
 * drain.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/slrctl.h"

#define PATH_SIZE 1024
#define DRAIN_POLL_MS 500

static bool one_id(const struct slrctl *c)
{
    if (c->arg_count != 1 || c->arg[0][0] == '\0' || strlen(c->arg[0]) > 127) {
        slrctl_say("expected one id");
        return false;
    }
    return true;
}

/* Path with the escaped id of the command line put in. */
static bool make_path(const struct slrctl *c, const char *before, const char *after,
                      char out[static PATH_SIZE])
{
    char *id = slrctl_escape(c->arg[0]);
    int n = id != NULL ? snprintf(out, PATH_SIZE, "%s%s%s", before, id, after) : -1;
    free(id);
    return n > 0 && n < PATH_SIZE;
}

static enum slrctl_exit control(struct slrctl *c, const char *verb, const char *done)
{
    char path[PATH_SIZE];
    char after[16];
    char body[48] = "{}";
    json_t *answer = NULL;
    snprintf(after, sizeof(after), "/%s", verb);
    if (!one_id(c) || !make_path(c, "/v1/calls/", after, path)) {
        return SLRCTL_USAGE;
    }
    if (c->max_s > 0) {
        snprintf(body, sizeof body, "{\"max_s\":%u}", c->max_s);
    }
    enum slrctl_exit code = slrctl_ask(c, "POST", path, body, &answer);
    if (code == SLRCTL_OK && c->json) {
        slrctl_print_json(answer);
    } else if (code == SLRCTL_OK) {
        printf("%s %s\n", c->arg[0], done);
    }
    json_decref(answer);
    return code;
}

enum slrctl_exit slrctl_pause(struct slrctl *c)
{
    return control(c, "pause", "paused");
}

enum slrctl_exit slrctl_resume(struct slrctl *c)
{
    return control(c, "resume", "resumed");
}

enum slrctl_exit slrctl_stop(struct slrctl *c)
{
    return control(c, "stop", "stopped");
}

enum slrctl_exit slrctl_delete(struct slrctl *c)
{
    char path[PATH_SIZE];
    json_t *answer = NULL;
    if (!one_id(c) || !make_path(c, "/v1/recordings/", "", path)) {
        return SLRCTL_USAGE;
    }
    enum slrctl_exit code = slrctl_ask(c, "DELETE", path, NULL, &answer);
    if (code == SLRCTL_OK && c->json) {
        slrctl_print_json(answer);
    } else if (code == SLRCTL_OK) {
        printf("%s deleted\n", c->arg[0]);
    }
    json_decref(answer);
    return code;
}

/* Where a recording goes without -o: its own name in this directory. */
static void own_name(const json_t *record, const char *id, char *out, size_t size)
{
    const char *file = json_string_value(json_object_get(record, "file"));
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : file;
    bool good = name != NULL && name[0] != '\0' && name[0] != '.';
    snprintf(out, size, "%s", good ? name : id);
}

/* Under another name until it is whole. */
static enum slrctl_exit fetch_file(struct slrctl *c, const char *path, const char *name)
{
    char part[PATH_SIZE];
    int n = snprintf(part, sizeof(part), "%s.part", name);
    FILE *f = n > 0 && n < PATH_SIZE ? fopen(part, "we") : NULL;
    if (f == NULL) {
        slrctl_say("cannot create %s: %s", part, strerror(errno));
        return SLRCTL_FAILED;
    }
    enum slrctl_exit code = slrctl_download(c, path, f);
    bool whole = fclose(f) == 0;
    if (code == SLRCTL_OK && (!whole || rename(part, name) != 0)) {
        slrctl_say("cannot write %s: %s", name, strerror(errno));
        code = SLRCTL_FAILED;
    }
    if (code != SLRCTL_OK) {
        (void)unlink(part);
    }
    return code;
}

/* One file of a recording; `of` is its object, `channel` NULL where it is the only one. */
static enum slrctl_exit get_file(struct slrctl *c, const json_t *of, const char *channel,
                                 json_t *saved)
{
    char path[PATH_SIZE];
    char name[256];
    char after[32];
    own_name(of, c->arg[0], name, sizeof(name));
    const char *to = c->out != NULL ? c->out : name;
    bool printed = strcmp(to, "-") == 0;
    int n = snprintf(after, sizeof(after), "/media%s%s", channel != NULL ? "?channel=" : "",
                     channel != NULL ? channel : "");
    if (n >= (int)sizeof(after) || !make_path(c, "/v1/recordings/", after, path)) {
        return SLRCTL_USAGE;
    }
    enum slrctl_exit code = printed ? slrctl_download(c, path, stdout) : fetch_file(c, path, to);
    if (code == SLRCTL_OK && !printed) {
        json_array_append_new(saved, json_string(to));
    }
    return code;
}

/* Those that were asked for: of one channel, or all. */
static enum slrctl_exit get_files(struct slrctl *c, const json_t *record, json_t *saved)
{
    const json_t *files = json_object_get(record, "files");
    enum slrctl_exit code = SLRCTL_OK;
    bool found = false;
    size_t i = 0;
    json_t *file = NULL;
    if (json_array_size(files) == 0) {
        return get_file(c, record, c->channel, saved);
    }
    if (c->channel == NULL && c->out != NULL) {
        slrctl_say("each channel has a file of its own: --channel says which, or leave -o out");
        return SLRCTL_USAGE;
    }
    json_array_foreach(files, i, file)
    {
        char channel[24];
        snprintf(channel, sizeof(channel), "%lld",
                 (long long)json_integer_value(json_object_get(file, "channel")));
        if (code == SLRCTL_OK && (c->channel == NULL || strcmp(channel, c->channel) == 0)) {
            found = true;
            code = get_file(c, file, channel, saved);
        }
    }
    if (!found) {
        slrctl_say("no file of channel %s", c->channel);
        return SLRCTL_USAGE;
    }
    return code;
}

enum slrctl_exit slrctl_get(struct slrctl *c)
{
    char path[PATH_SIZE];
    json_t *record = NULL;
    if (!one_id(c) || !make_path(c, "/v1/recordings/", "", path)) {
        return SLRCTL_USAGE;
    }
    enum slrctl_exit code = slrctl_ask(c, "GET", path, NULL, &record);
    if (code != SLRCTL_OK) {
        return code;
    }
    json_t *saved = json_array();
    size_t i = 0;
    json_t *name = NULL;
    code = get_files(c, record, saved);
    json_array_foreach(saved, i, name)
    {
        if (!c->json) {
            printf("%s\n", json_string_value(name));
        }
    }
    if (c->json && code == SLRCTL_OK && json_array_size(saved) > 0) {
        bool one = json_array_size(saved) == 1;
        json_object_set(record, "saved", one ? json_array_get(saved, 0) : saved);
        slrctl_print_json(record);
    }
    json_decref(saved);
    json_decref(record);
    return code;
}

/* Waits until no call is left; Ctrl-C ends the waiting, not the draining. */
static enum slrctl_exit wait_drained(struct slrctl *c)
{
    const struct timespec pause = {0, DRAIN_POLL_MS * 1000000L};
    for (;;) {
        json_t *status = NULL;
        enum slrctl_exit code = slrctl_ask(c, "GET", "/v1/status", NULL, &status);
        json_int_t calls = json_integer_value(json_object_get(status, "calls"));
        json_decref(status);
        if (code != SLRCTL_OK) {
            return code;
        }
        slrctl_progress("draining: %lld calls left", (long long)calls);
        if (calls == 0) {
            slrctl_progress("%s", "");
            return SLRCTL_OK;
        }
        (void)nanosleep(&pause, NULL);
    }
}

enum slrctl_exit slrctl_drain(struct slrctl *c)
{
    json_t *answer = NULL;
    bool on = c->arg_count == 0 || strcmp(c->arg[0], "on") == 0;
    if (c->arg_count > 1 || (!on && strcmp(c->arg[0], "off") != 0)) {
        slrctl_say("expected on, off or nothing");
        return SLRCTL_USAGE;
    }
    enum slrctl_exit code =
        slrctl_ask(c, "POST", "/v1/drain", on ? "{\"on\":true}" : "{\"on\":false}", &answer);
    if (code == SLRCTL_OK && on) {
        code = wait_drained(c);
    }
    if (code == SLRCTL_OK && c->json) {
        slrctl_print_json(answer);
    } else if (code == SLRCTL_OK) {
        printf("%s\n", on ? "drained: no call is left" : "new calls are taken again");
    }
    json_decref(answer);
    return code;
}
