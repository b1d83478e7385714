/*
 * slrctl_merge: moving files by rename, with the folders that they need. One thread.
 */
#include "ctl/slrctl_merge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/slrctl.h"

#define PATH_SIZE 2048
#define BLOCK_BYTES 65536

static bool same_content(const char *a, const char *b)
{
    static const size_t block = BLOCK_BYTES;
    char one[BLOCK_BYTES];
    char two[BLOCK_BYTES];
    FILE *f = fopen(a, "re");
    FILE *g = fopen(b, "re");
    bool same = f != NULL && g != NULL;
    size_t n = block;
    while (same && n == block) {
        n = fread(one, 1, block, f);
        same = fread(two, 1, block, g) == n && memcmp(one, two, n) == 0;
    }
    same = same && ferror(f) == 0 && ferror(g) == 0;
    if (f != NULL) {
        fclose(f);
    }
    if (g != NULL) {
        fclose(g);
    }
    return same;
}

/* Makes the folders above the last component. */
static bool make_parents(char *path)
{
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/') {
            continue;
        }
        *at = '\0';
        bool ok = mkdir(path, 0700) == 0 || errno == EEXIST;
        *at = '/';
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* The rename is there after a power loss too. */
static bool sync_parent(const char *path)
{
    char dir[PATH_SIZE];
    snprintf(dir, sizeof(dir), "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool move_file(const char *from, char *to)
{
    if (!make_parents(to)) {
        slrctl_say("cannot make the folder of %s: %s", to, strerror(errno));
        return false;
    }
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return sync_parent(to);
    }
    if (errno == EEXIST && same_content(from, to)) {
        return true;
    }
    slrctl_say("cannot write %s: %s", to,
               errno == EEXIST ? "it is there with other content" : strerror(errno));
    return false;
}

static bool merge_one(const char *from, const char *to, const char *name)
{
    char source[PATH_SIZE];
    char target[PATH_SIZE];
    if (name == NULL || name[0] == '\0') {
        return true;
    }
    int n = snprintf(source, sizeof(source), "%s/rec/%s", from, name);
    int m = snprintf(target, sizeof(target), "%s/rec/%s", to, name);
    return n >= 0 && m >= 0 && (size_t)n < sizeof(source) && (size_t)m < sizeof(target) &&
           strstr(name, "..") == NULL && move_file(source, target);
}

bool slrctl_merge_files(const char *from, const char *to, const json_t *record)
{
    const json_t *files = json_object_get(record, "files");
    bool good = merge_one(from, to, json_string_value(json_object_get(record, "ledger")));
    if (json_array_size(files) == 0) {
        return good && merge_one(from, to, json_string_value(json_object_get(record, "file")));
    }
    for (size_t i = 0; i < json_array_size(files) && good; i++) { /* the first is `file`, too */
        const json_t *one = json_array_get(files, i);
        good = merge_one(from, to, json_string_value(json_object_get(one, "file")));
    }
    return good;
}
