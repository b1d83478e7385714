/*
 * replay: runs a fuzz target over every file of a corpus folder, and over simple mutations of each
 * (truncations, bit flips from a fixed seed), without libFuzzer. Exit 0 when nothing crashed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t runs;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Each input lives in a block of exactly its size, so that ASan sees any read past its end. */
static void run_once(const uint8_t *at, size_t len_bytes)
{
    uint8_t *copy = malloc(len_bytes ? len_bytes : 1);
    if (!copy) {
        abort();
    }
    memcpy(copy, at, len_bytes);
    LLVMFuzzerTestOneInput(copy, len_bytes);
    free(copy);
    runs++;
}

static void run_mutations(const uint8_t *at, size_t len_bytes)
{
    uint64_t seed = 0x9e3779b97f4a7c15u;
    size_t step = len_bytes > 256 ? len_bytes / 128 : 1;
    uint8_t *work = malloc(len_bytes ? len_bytes : 1);
    if (!work) {
        abort();
    }
    run_once(at, len_bytes);
    for (size_t cut = 0; cut < len_bytes; cut += step) {
        run_once(at, cut);
    }
    for (int i = 0; i < 400 && len_bytes > 0; i++) {
        memcpy(work, at, len_bytes);
        uint64_t flips = next_random(&seed) % 4 + 1;
        for (uint64_t k = 0; k < flips; k++) {
            work[next_random(&seed) % len_bytes] = (uint8_t)next_random(&seed);
        }
        run_once(work, len_bytes);
    }
    free(work);
}

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        return 1;
    }
    static uint8_t buffer[1 << 20];
    size_t n = fread(buffer, 1, sizeof buffer, f);
    fclose(f);
    run_mutations(buffer, n);
    return 0;
}

int main(int argc, char **argv)
{
    int files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            fprintf(stderr, "cannot open corpus %s\n", argv[i]);
            return 1;
        }
        for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
            char path[4096];
            if (e->d_name[0] == '.') {
                continue;
            }
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            if (run_file(path) != 0) {
                return 1;
            }
            files++;
        }
        closedir(dir);
    }
    printf("%d files, %llu inputs, no crash\n", files, (unsigned long long)runs);
    return files > 0 ? 0 : 1;
}
