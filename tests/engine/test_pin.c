/* Pin: lists of processors, and that a thread runs where it was bound to. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/pin.h"

Test(pin, lists)
{
    static const struct {
        const char *text;
        uint32_t count;
        uint16_t cpu[5];
    } good[] = {{NULL, 0, {0}},
                {"0", 1, {0}},
                {"3,1", 2, {3, 1}},
                {"0-2,7", 4, {0, 1, 2, 7}},
                {"5-5,0-1", 3, {5, 0, 1}}};
    static const char *const bad[] = {"",   ",",     "1,",     "a",           "2-1", "-1",
                                      "1-", "1-2-3", "0-1023", "99999999999", " 1",  "1;2"};
    struct slr_pin pin;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_eq(slr_pin_parse(good[i].text, &pin), SLR_OK, "%s", good[i].text);
        cr_assert_eq(pin.count, good[i].count);
        for (uint32_t k = 0; k < pin.count; k++) {
            cr_assert_eq(pin.cpu[k], good[i].cpu[k], "%s", good[i].text);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(slr_pin_parse(bad[i], &pin), SLR_INVAL, "'%s'", bad[i]);
        cr_assert_eq(pin.count, 0u);
    }
}

Test(pin, a_thread)
{
    cpu_set_t have;
    cpu_set_t is;
    struct slr_pin pin = {.count = 0};
    cr_assert_eq(sched_getaffinity(0, sizeof have, &have), 0);
    cr_assert_eq(slr_pin_thread(&pin, 0, pthread_self()), SLR_OK);
    cr_assert_eq(sched_getaffinity(0, sizeof is, &is), 0);
    cr_assert(CPU_EQUAL(&have, &is), "no list, no change");
    for (uint16_t cpu = 0; cpu < 255; cpu++) {
        if (CPU_ISSET(cpu, &have)) {
            pin.cpu[pin.count++] = cpu;
        }
    }
    cr_assert_eq(slr_pin_thread(&pin, pin.count, pthread_self()), SLR_OK);
    cr_assert_eq(sched_getaffinity(0, sizeof is, &is), 0);
    cr_assert_eq(CPU_COUNT(&is), 1);
    cr_assert(CPU_ISSET(pin.cpu[0], &is), "from the beginning again");
    pin.cpu[0] = 1000;
    cr_assert_eq(slr_pin_thread(&pin, 0, pthread_self()), SLR_INVAL);
}

/* In a process of its own, as every test is. */
Test(pin, a_node)
{
    cpu_set_t before;
    cpu_set_t is;
    int policy = -1;
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    static const char *const bad[] = {"", "x", "-1", "1024", "0 "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(slr_numa_bind(SLR_NUMA_ROOT, bad[i]), SLR_INVAL, "'%s'", bad[i]);
    }
    cr_assert_eq(slr_numa_bind(SLR_NUMA_ROOT, "1023"), SLR_NOTFOUND);
    cr_assert_eq(slr_numa_bind("/nonexistent", "0"), SLR_NOTFOUND);
    if (access(SLR_NUMA_ROOT "/node0", F_OK) != 0) {
        cr_skip_test("this kernel shows no nodes");
    }
    cr_assert_eq(slr_numa_bind(SLR_NUMA_ROOT, "0"), SLR_OK);
    cr_assert_eq(sched_getaffinity(0, sizeof is, &is), 0);
    CPU_AND(&before, &before, &is);
    cr_assert(CPU_EQUAL(&before, &is) && CPU_COUNT(&is) > 0, "nothing that was not ours before");
    cr_assert_eq(syscall(SYS_get_mempolicy, &policy, NULL, 0, NULL, 0), 0);
    cr_assert_eq(policy, 1, "preferred");
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* A node whose processors are not ours, or whose list can't be read, changes nothing. */
Test(pin, a_node_that_is_not_ours)
{
    char root[] = "/tmp/slr-numa-XXXXXX";
    char node[64];
    cpu_set_t before;
    cpu_set_t is;
    cr_assert_not_null(mkdtemp(root));
    snprintf(node, sizeof node, "%s/node0", root);
    cr_assert_eq(mkdir(node, 0700), 0);
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    static const char *const lists[] = {"", "\n", "1023\n", "5-1\n", "what\n"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        write_file(node, "cpulist", lists[i]);
        cr_assert_eq(slr_numa_bind(root, "0"), SLR_NOTFOUND, "list %zu", i);
    }
    cr_assert_eq(sched_getaffinity(0, sizeof is, &is), 0);
    cr_assert(CPU_EQUAL(&before, &is));
    snprintf(node, sizeof node, "%s/node0/cpulist", root);
    cr_assert_eq(unlink(node), 0);
    snprintf(node, sizeof node, "%s/node0", root);
    cr_assert(rmdir(node) == 0 && rmdir(root) == 0);
}
