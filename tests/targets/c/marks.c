/* Threads whose registers, stack and memory bear their own mark: bytes of another thread in a record
 * give a mixture away.
 *
 *     marks THREADS CALLS
 *
 * On each "go" all threads start together and call `marked` CALLS times each. */
#include "protocol.h"
#include "traced.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

/* The high half of a mark; the low half is the thread. */
#define MARK 0x7261636500000000u

enum { CHAIN = 5, WORDS = 63, STACK_WORDS = 1024 };

struct bearer {
    uint64_t marks[WORDS];
    struct bearer *next;
};

static unsigned long threads = 8;
static unsigned long calls = 1000;
static atomic_ulong count;
static pthread_barrier_t start;

TRACED
uint64_t marked(struct bearer *bearer, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    uint64_t all = bearer->marks[0] ^ a ^ b ^ c ^ d ^ e;

    KEEP(all);
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return all;
}

static void *caller(void *argument)
{
    uint64_t mark = MARK | (uint64_t)(uintptr_t)argument;
    struct bearer chain[CHAIN];
    uint64_t words[STACK_WORDS];

    for (int i = 0; i < CHAIN; i++) {
        for (int word = 0; word < WORDS; word++)
            chain[i].marks[word] = mark;
        chain[i].next = i + 1 < CHAIN ? &chain[i + 1] : NULL;
    }
    for (int word = 0; word < STACK_WORDS; word++)
        words[word] = mark;
    KEEP(words);
    pthread_barrier_wait(&start);
    for (unsigned long i = 0; i < calls; i++)
        marked(chain, mark, mark, mark, mark, mark);
    KEEP(words);
    return NULL;
}

static unsigned long work(void)
{
    pthread_t ids[256];

    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (unsigned long i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, caller, (void *)(uintptr_t)i) != 0)
            abort();
    for (unsigned long i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    pthread_barrier_destroy(&start);
    return atomic_load(&count);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        threads = strtoul(argv[1], NULL, 10);
    if (argc > 2)
        calls = strtoul(argv[2], NULL, 10);
    if (threads < 1 || threads > 256)
        return 2;
    serve(work);
    return 0;
}
