/*
 * slrctl_plot: `slrctl plot ID|LEDGER --png FILE | --svg FILE`: ledger and media of a recording as
 * a picture. Samples are read by the engine's program only (`slr --render`). One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/json.h"
#include "ctl/plot.h"
#include "ctl/slrctl.h"
#include "ctl/slrctl_child.h"

#define PATH_SIZE 4096
#define PEAKS_BYTES_MAX (8u * 1024 * 1024)

/* The media of a ledger at that path lies beside it; what waits to be encoded, in a folder beside
 * its own. */
static bool beside(const char *ledger_path, const char *file, char out[static PATH_SIZE])
{
    const char *name = file ? strrchr(file, '/') : NULL;
    const char *slash = strrchr(ledger_path, '/');
    name = name ? name + 1 : file;
    int dir = slash ? (int)(slash - ledger_path) + 1 : 0;
    bool waits = file && strncmp(file, "encode/", 7) == 0;
    int n = snprintf(out, PATH_SIZE, "%.*s%s%s", dir, ledger_path, waits ? "../encode/" : "",
                     name ? name : "");
    return name && name[0] && n > 0 && n < PATH_SIZE;
}

/* Media of the API in a file of its own; the caller removes it. */
static enum slrctl_exit fetch(struct slrctl *c, const char *id, int64_t channel,
                              char out[static PATH_SIZE])
{
    char path[PATH_SIZE];
    const char *dir = getenv("TMPDIR");
    char *escaped = slrctl_escape(id);
    char of[32] = "";
    if (channel >= 0) {
        snprintf(of, sizeof(of), "?channel=%lld", (long long)channel);
    }
    int n = escaped ? snprintf(path, sizeof(path), "/v1/recordings/%s/media%s", escaped, of) : -1;
    free(escaped);
    snprintf(out, PATH_SIZE, "%s/slrctl-XXXXXX", dir && dir[0] ? dir : "/tmp");
    int fd = n > 0 && (size_t)n < sizeof(path) ? mkstemp(out) : -1;
    FILE *to = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!to) {
        slrctl_say("cannot make a file for the media: %s", strerror(errno));
        out[0] = '\0';
        return SLRCTL_FAILED;
    }
    enum slrctl_exit code = slrctl_download(c, path, to);
    if (fclose(to) != 0 && code == SLRCTL_OK) {
        slrctl_say("%s: %s", out, strerror(errno));
        code = SLRCTL_FAILED;
    }
    return code;
}

/* All that comes until the other end is closed, bounded. malloc'ed. */
static char *read_all(int fd, size_t *len_bytes)
{
    char *text = malloc(PEAKS_BYTES_MAX);
    size_t at = 0;
    while (text && at < PEAKS_BYTES_MAX) {
        ssize_t n = read(fd, text + at, PEAKS_BYTES_MAX - at);
        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            break;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    *len_bytes = at;
    return text;
}

static json_t *run_render(const char *media)
{
    struct slrctl_child child;
    int ends[2];
    size_t n = 0;
    int status = 0;
    if (slrctl_child_init(&child, "slr") != SLR_OK) {
        return NULL;
    }
    slrctl_child_add(&child, "--render");
    slrctl_child_add(&child, "%s", media);
    slrctl_child_add(&child, "--peaks");
    slrctl_child_add(&child, "%u", SLR_PLOT_COLUMNS);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        slrctl_child_fini(&child);
        return NULL;
    }
    enum slr_err err = slrctl_child_start(&child, ends[1], slrctl_now_ns());
    close(ends[1]);
    char *text = err == SLR_OK ? read_all(ends[0], &n) : NULL;
    close(ends[0]);
    if (err == SLR_OK && waitpid(child.pid, &status, 0) != child.pid) {
        status = -1;
    }
    json_t *peaks = text && status == 0 ? json_loadb(text, n, 0, NULL) : NULL;
    if (!peaks) {
        slrctl_say("no waveform: %.*s", (int)(n < 200 ? n : 200), text ? text : "");
    }
    free(text);
    slrctl_child_fini(&child);
    return peaks;
}

static enum slrctl_exit write_picture(const char *path, bool png, const json_t *ledger,
                                      const json_t *peaks)
{
    FILE *to = fopen(path, "wb");
    if (!to) {
        slrctl_say("%s: %s", path, strerror(errno));
        return SLRCTL_FAILED;
    }
    enum slr_err err = png ? slr_plot_png(to, ledger, peaks) : slr_plot_svg(to, ledger, peaks);
    if (fclose(to) != 0 && err == SLR_OK) {
        err = SLR_IO;
    }
    if (err != SLR_OK) {
        slrctl_say("%s: %s", path, slr_err_text(err));
        return SLRCTL_FAILED;
    }
    printf("%s\n", path);
    return SLRCTL_OK;
}

/* Waveforms of one file of the recording, added to those of the files before. */
static enum slrctl_exit add_file(struct slrctl *c, const char *what, const char *file,
                                 int64_t channel, json_t *peaks, int64_t *frames)
{
    char media[PATH_SIZE] = "";
    bool is_file = access(what, R_OK) == 0;
    enum slrctl_exit code = SLRCTL_OK;
    if (is_file && !beside(what, file, media)) {
        slrctl_say("%s names no media", what);
        code = SLRCTL_FAILED;
    } else if (!is_file) {
        code = fetch(c, what, channel, media);
    }
    json_t *one = code == SLRCTL_OK ? run_render(media) : NULL;
    if (!is_file && media[0] && unlink(media) != 0) {
        slrctl_say("%s: %s", media, strerror(errno));
    }
    if (code == SLRCTL_OK &&
        (!one || json_array_extend(peaks, json_object_get(one, "peaks")) != 0)) {
        code = SLRCTL_FAILED;
    }
    *frames = slr_json_i64(one, "frames", 0);
    json_decref(one);
    return code;
}

/* Of the recording's only file, or of the one of each channel. */
static enum slrctl_exit all_peaks(struct slrctl *c, const char *what, const json_t *ledger,
                                  json_t **peaks)
{
    json_t *list = json_array(), *f = NULL;
    const json_t *files = json_object_get(ledger, "files");
    enum slrctl_exit code = SLRCTL_OK;
    size_t i = 0;
    int64_t frames = 0; /* of each file: they are alike */
    if (json_array_size(files) == 0) {
        code = add_file(c, what, slr_json_str(ledger, "file"), -1, list, &frames);
    }
    json_array_foreach(files, i, f)
    {
        if (code == SLRCTL_OK) {
            code = add_file(c, what, slr_json_str(f, "file"), slr_json_i64(f, "channel", 0), list,
                            &frames);
        }
    }
    *peaks = json_pack("{s:I,s:o}", "frames", (json_int_t)frames, "peaks", list);
    return code == SLRCTL_OK && !*peaks ? SLRCTL_FAILED : code;
}

enum slrctl_exit slrctl_plot(struct slrctl *c)
{
    json_t *ledger = NULL, *peaks = NULL;
    if (c->arg_count != 1 || (!c->png && !c->svg)) {
        slrctl_say("which recording, and --png FILE or --svg FILE?");
        return SLRCTL_USAGE;
    }
    enum slrctl_exit code = slrctl_ledger(c, c->arg[0], &ledger);
    if (code == SLRCTL_OK) {
        code = all_peaks(c, c->arg[0], ledger, &peaks);
    }
    if (code == SLRCTL_OK && c->png) {
        code = write_picture(c->png, true, ledger, peaks);
    }
    if (code == SLRCTL_OK && c->svg) {
        code = write_picture(c->svg, false, ledger, peaks);
    }
    json_decref(peaks);
    json_decref(ledger);
    return code;
}
