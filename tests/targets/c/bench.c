/* Functions whose calls are timed, with and without a probe on them.
 *
 * For each line "FUNCTION CALLS INTERVAL" it calls the function so often, one call each INTERVAL
 * nanoseconds (0: at once), and prints "done NANOSECONDS": what that took of the thread's own time.
 * Times of other threads and processes are no part of it.
 *
 * The names say what the first instruction is: `emulated` is a push, `guarded` is endbr64 with a
 * push behind it, `stepped` has nothing but instructions that the kernel single-steps. Compile it
 * with -fcf-protection=branch -mmanual-endbr. */
#include "traced.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Stack above the functions, all of it in memory. */
#define STACK_BYTES (32 * 1024)

struct node {
    uint64_t number;
    const char *label;
    struct node *next;
};

/* Makes the compiler save a register, so that the function starts with a push. */
#define PUSH __asm__ volatile("" : : : "rbx")

TRACED
uint64_t emulated(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    PUSH;
    return (a ^ b) + (c ^ d);
}

TRACED __attribute__((cf_check))
uint64_t guarded(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    PUSH;
    return (a ^ b) + (c ^ d);
}

TRACED
uint64_t stepped(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return (a ^ b) + (c ^ d);
}

TRACED
uint64_t emulated_node(struct node *node)
{
    PUSH;
    return node->number;
}

TRACED __attribute__((cf_check))
uint64_t guarded_node(struct node *node)
{
    PUSH;
    return node->number;
}

TRACED
uint64_t stepped_node(struct node *node)
{
    return node->number;
}

/* Its argument says when it was called. */
TRACED
uint64_t stamped(uint64_t boot_ns)
{
    PUSH;
    return boot_ns;
}

static uint64_t now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Waits until it is time for the next call. Sleeping takes a fraction of a millisecond more than
 * asked, so the last of the wait is spent awake. */
static void pace(uint64_t *due, uint64_t interval)
{
    const uint64_t awake = 500000;
    uint64_t left;

    if (interval == 0)
        return;
    left = *due - now(CLOCK_MONOTONIC);
    if ((int64_t)left > (int64_t)(2 * awake)) {
        struct timespec time = { 0, 0 };

        time.tv_sec = (time_t)((left - awake) / 1000000000u);
        time.tv_nsec = (long)((left - awake) % 1000000000u);
        nanosleep(&time, NULL);
    }
    while (now(CLOCK_MONOTONIC) < *due)
        ;
    *due += interval;
}

static struct node nodes[4];

static void link_nodes(void)
{
    static const char *const labels[] = { "order", "customer", "address", "country" };

    for (unsigned i = 0; i < 4; i++) {
        nodes[i].number = i;
        nodes[i].label = labels[i];
        nodes[i].next = i < 3 ? &nodes[i + 1] : NULL;
    }
}

#define CALL(function, ...)                                                                        \
    if (strcmp(name, #function) == 0)                                                              \
        for (uint64_t i = 0; i < calls; i++) {                                                     \
            pace(&due, interval);                                                                  \
            function(__VA_ARGS__);                                                                 \
        }

static uint64_t call(const char *name, uint64_t calls, uint64_t interval)
{
    uint64_t due = now(CLOCK_MONOTONIC);
    uint64_t start = now(CLOCK_THREAD_CPUTIME_ID);

    CALL(emulated, i, i + 1, i + 2, i + 3)
    CALL(guarded, i, i + 1, i + 2, i + 3)
    CALL(stepped, i, i + 1, i + 2, i + 3)
    CALL(emulated_node, &nodes[0])
    CALL(guarded_node, &nodes[0])
    CALL(stepped_node, &nodes[0])
    CALL(stamped, now(CLOCK_BOOTTIME))
    return now(CLOCK_THREAD_CPUTIME_ID) - start;
}

int main(void)
{
    char stack[STACK_BYTES];
    char name[32], line[128];
    unsigned long calls, interval;

    memset(stack, 1, sizeof stack);
    KEEP(stack);
    link_nodes();
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        if (sscanf(line, "%31s %lu %lu", name, &calls, &interval) == 3) {
            printf("done %lu\n", (unsigned long)call(name, calls, interval));
            fflush(stdout);
        }
    KEEP(stack);
    return 0;
}
