/* Threads that call one function a known number of times.
 *
 *     counter THREADS CALLS
 *
 * On each "go" all threads start together and call `counted` CALLS times each. */
#include "protocol.h"
#include "traced.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

struct step {
    uint64_t number;
    uint32_t thread;
    const char *label;
    struct step *previous;
};

static unsigned long threads = 4;
static unsigned long calls = 1000;
static atomic_ulong count;
static pthread_barrier_t start;

TRACED
uint64_t counted(struct step *step, uint64_t number)
{
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return step->number ^ number;
}

static void *caller(void *argument)
{
    struct step steps[2] = { { 0, (uint32_t)(uintptr_t)argument, "even", NULL },
                             { 0, (uint32_t)(uintptr_t)argument, "odd", NULL } };

    steps[0].previous = &steps[1];
    steps[1].previous = &steps[0];
    pthread_barrier_wait(&start);
    for (unsigned long i = 0; i < calls; i++) {
        steps[i % 2].number = i;
        counted(&steps[i % 2], i);
    }
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
