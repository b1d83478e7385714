/*
 * bench_encode: what making an Opus file of a recording costs, against libopus alone.
 *
 * A working file (WAV, two channels, on a tmpfs) becomes Ogg Opus by slr_finish_run: reading,
 * expanding the law, resampling where the rate asks for it, coding, pages with their checksums,
 * writing, and the hash of what was written. Beside it, in turn, the very same samples go through
 * opus_encode (and the resampler, where there is one) with the same rate, bits a second and
 * complexity, from memory into nothing. CPU time of the one thread, kernel included: the median of
 * the ratios of neighbouring rounds, since a busy machine slows both. Prints
 * {"bench":"encode/ratio/CASE","value":..,"unit":"of libopus alone"} and the least that each took;
 * exit status 1 where a ratio is above 1.05. An argument picks the cases that have it in their
 * name.
 */
#include <fcntl.h>
#include <math.h>
#include <opus/opus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/rig.h"
#include "codecs/codec.h"
#include "codecs/resample.h"
#include "engine/finish.h"

#define SECONDS 10u
#define CHANNELS 2u
#define ROUNDS 15
#define LIMIT 1.05
#define PACKET_BYTES 1500
#define PI 3.14159265358979323846

struct job_case {
    const char *name;
    enum slr_sample_format format;
    uint32_t in_hz, out_hz, bps;
    int complexity;
};

struct bench {
    struct job_case c;
    int16_t *pcm[CHANNELS]; /* at in_hz, what the file's bytes mean */
    uint32_t frames;
    int rec_fd;
    struct slr_sink_posix media;
    uint64_t offset_bytes;
    uint64_t made_bytes;
};

/* Two people who take turns: voices with pauses, over some noise. */
static void speak(int16_t *out, uint32_t frames, uint32_t hz, uint32_t channel)
{
    uint32_t seed = channel + 1;
    for (uint32_t i = 0; i < frames; i++) {
        double t = (double)i / hz;
        double pitch = (120 + 60 * channel) * t + 12 * sin(2 * PI * 0.9 * t), v = 0;
        for (int h = 1; h <= 12; h++) {
            v += sin(2 * PI * h * pitch) / h;
        }
        bool talks = (uint32_t)(t / 3) % CHANNELS == channel;
        seed = seed * 1664525u + 1013904223u;
        double noise = (double)(int32_t)seed / 2147483648.0 * 60;
        out[i] =
            (int16_t)lrint(noise + (talks ? 4000 * v * (0.55 + 0.45 * sin(2 * PI * 3.5 * t)) : 0));
    }
}

static void make_media(struct bench *b)
{
    const struct slr_container *wav = slr_container_by_name("wav");
    struct slr_audio_shape shape = {b->c.format, CHANNELS, b->c.in_hz};
    uint32_t width = slr_sample_bytes(b->c.format);
    uint8_t *wide = malloc((size_t)b->frames * CHANNELS * width);
    void *state = aligned_alloc(16, (wav->state_bytes + 15) / 16 * 16);
    rig_must(wide && state, "memory");
    for (uint32_t c = 0; c < CHANNELS; c++) {
        b->pcm[c] = malloc(b->frames * sizeof(int16_t));
        rig_must(b->pcm[c] != NULL, "memory");
        speak(b->pcm[c], b->frames, b->c.in_hz, c);
        for (uint32_t i = 0; i < b->frames; i++) {
            size_t at = (size_t)i * CHANNELS + c;
            if (b->c.format == SLR_SAMPLE_ALAW) {
                wide[at] = slr_g711_s16_to_alaw(b->pcm[c][i]);
                b->pcm[c][i] = slr_g711_alaw_to_s16(wide[at]);
            } else {
                memcpy(wide + at * 2, &b->pcm[c][i], 2);
            }
        }
    }
    unlinkat(b->rec_fd, "working.wav", 0);
    rig_must(slr_sink_posix_create(&b->media, b->rec_fd, "working.wav") == SLR_OK, "a file");
    uint64_t len = 0;
    rig_must(wav->begin(state, &shape, NULL, &b->media.base, 0) == SLR_OK &&
                 wav->append(state, wide, b->frames) == SLR_OK && wav->finish(state) == SLR_OK,
             "writing");
    wav->media_range(state, &b->offset_bytes, &len);
    free(state);
    free(wide);
}

/* CPU time of one whole making. */
static int64_t run_ours(struct bench *b)
{
    static const _Atomic bool never;
    struct slr_final_file file[SLR_MAX_CHANNELS];
    struct slr_output output = {.format = SLR_FORMAT_OPUS, .sample_hz = b->c.out_hz};
    struct slr_output_plan plan;
    struct slr_finish_job job = {.rec_fd = b->rec_fd,
                                 .id = "0192f0c000000000000000000000beef",
                                 .media = &b->media.base,
                                 .offset_bytes = b->offset_bytes,
                                 .frames = b->frames,
                                 .recorded = {b->c.format, CHANNELS, b->c.in_hz},
                                 .plan = &plan,
                                 .opus_bps = b->c.bps,
                                 .opus_complexity = (uint32_t)b->c.complexity,
                                 .stop = &never};
    uint64_t frames = 0;
    slr_output_apply(&output, &job.recorded, false, &plan);
    int64_t from_ns = rig_cpu_ns();
    rig_must(slr_finish_run(&job, file, &frames) == SLR_OK, "slr_finish_run");
    int64_t ns = rig_cpu_ns() - from_ns;
    b->made_bytes = file[0].media_len_bytes;
    rig_must(unlinkat(b->rec_fd, file[0].part, 0) == 0, "unlink");
    return ns;
}

/* The same samples, in the same pieces, through the libraries alone. */
static int64_t run_bare(const struct bench *b)
{
    static int16_t out[SLR_CODEC_MAX_SAMPLES];
    static unsigned char packet[PACKET_BYTES];
    uint32_t in_piece = b->c.in_hz / 50;
    int64_t from_ns = rig_cpu_ns();
    uint64_t bytes = 0;
    for (uint32_t c = 0; c < CHANNELS; c++) {
        struct slr_resample *resample = NULL;
        int failed = 0;
        OpusEncoder *e =
            opus_encoder_create((opus_int32)b->c.out_hz, 1, OPUS_APPLICATION_VOIP, &failed);
        rig_must(e && failed == OPUS_OK, "opus_encoder_create");
        opus_encoder_ctl(e, OPUS_SET_BITRATE((opus_int32)b->c.bps));
        opus_encoder_ctl(e, OPUS_SET_COMPLEXITY(b->c.complexity));
        if (b->c.in_hz != b->c.out_hz) {
            rig_must(slr_resample_open(b->c.in_hz, b->c.out_hz, &resample) == SLR_OK, "resampler");
        }
        int16_t waiting[2 * SLR_CODEC_MAX_SAMPLES];
        uint32_t have = 0, piece = b->c.out_hz / 50;
        for (uint32_t at = 0; at + in_piece <= b->frames; at += in_piece) {
            const int16_t *from = b->pcm[c] + at;
            uint32_t n = in_piece;
            if (resample) {
                rig_must(slr_resample_run(resample, from, in_piece, out, SLR_CODEC_MAX_SAMPLES,
                                          &n) == SLR_OK,
                         "resampling");
                memcpy(waiting + have, out, n * sizeof *out);
                have += n;
                from = waiting;
                if (have < piece) {
                    continue;
                }
            }
            int len = opus_encode(e, from, (int)piece, packet, sizeof packet);
            rig_must(len > 0, "opus_encode");
            bytes += (uint64_t)len;
            if (resample) {
                have -= piece;
                memmove(waiting, waiting + piece, have * sizeof *waiting);
            }
        }
        slr_resample_close(resample);
        opus_encoder_destroy(e);
    }
    rig_must(bytes > 0, "coding");
    return rig_cpu_ns() - from_ns;
}

static double least(double now, int64_t ns)
{
    return now == 0 || (double)ns < now ? (double)ns : now;
}

static int by_size(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static bool run_case(int rec_fd, const struct job_case *c)
{
    struct bench b = {.c = *c, .frames = SECONDS * c->in_hz, .rec_fd = rec_fd};
    double ours = 0, bare = 0, ratio[ROUNDS];
    make_media(&b);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t bare_ns = run_bare(&b), ours_ns = run_ours(&b);
        bare = least(bare, bare_ns);
        ours = least(ours, ours_ns);
        ratio[i] = (double)ours_ns / (double)bare_ns;
    }
    qsort(ratio, ROUNDS, sizeof ratio[0], by_size);
    double seconds = (double)SECONDS * CHANNELS;
    printf(
        "{\"bench\":\"encode/libopus/%s\",\"value\":%.3f,\"unit\":\"CPU ms a channel-second\"}\n",
        c->name, bare / 1e6 / seconds);
    printf("{\"bench\":\"encode/slr/%s\",\"value\":%.3f,\"unit\":\"CPU ms a channel-second\"}\n",
           c->name, ours / 1e6 / seconds);
    printf("{\"bench\":\"encode/ratio/%s\",\"value\":%.4f,\"unit\":\"of libopus alone\","
           "\"limit\":%.2f}\n",
           c->name, ratio[ROUNDS / 2], LIMIT);
    fflush(stdout);
    b.media.base.ops->close(&b.media.base);
    free(b.pcm[0]);
    free(b.pcm[1]);
    return ratio[ROUNDS / 2] <= LIMIT;
}

int main(int argc, char **argv)
{
    static const struct job_case all[] = {
        {"alaw-8k/16kbps/complexity=0", SLR_SAMPLE_ALAW, 8000, 8000, 16000, 0},
        {"alaw-8k/16kbps/complexity=5", SLR_SAMPLE_ALAW, 8000, 8000, 16000, 5},
        {"alaw-8k/16kbps/complexity=10", SLR_SAMPLE_ALAW, 8000, 8000, 16000, 10},
        {"s16-16k/24kbps/complexity=5", SLR_SAMPLE_S16, 16000, 16000, 24000, 5},
        {"s16-48k/32kbps/complexity=5", SLR_SAMPLE_S16, 48000, 48000, 32000, 5},
        {"alaw-8k-to-16k/24kbps/complexity=5", SLR_SAMPLE_ALAW, 8000, 16000, 24000, 5},
    };
    char dir[] = "/dev/shm/slr-bench-XXXXXX";
    bool good = true;
    rig_must(mkdtemp(dir) != NULL, "mkdtemp");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rig_must(fd >= 0 && mkdirat(fd, "open", 0700) == 0 && mkdirat(fd, "encode", 0700) == 0,
             "mkdir");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (argc < 2 || strstr(all[i].name, argv[1])) {
            good = run_case(fd, &all[i]) && good;
        }
    }
    unlinkat(fd, "working.wav", 0);
    unlinkat(fd, "open", AT_REMOVEDIR);
    unlinkat(fd, "encode", AT_REMOVEDIR);
    close(fd);
    rmdir(dir);
    return good ? 0 : 1;
}
