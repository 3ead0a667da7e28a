/* Measures how long fork(2) takes, all the time.
 *
 * "done" tells the longest one since the last "go", in microseconds. */
#include "protocol.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static atomic_ulong longest;

static unsigned long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (unsigned long)time.tv_sec * 1000000 + (unsigned long)time.tv_nsec / 1000;
}

static void *fork_on(void *unused)
{
    for (;;) {
        unsigned long start = now();
        pid_t child = fork();

        if (child == 0)
            _exit(0);
        unsigned long took = now() - start;
        if (child < 0)
            abort();
        waitpid(child, NULL, 0);
        if (took > atomic_load(&longest))
            atomic_store(&longest, took);
        usleep(500);
    }
    return unused;
}

static unsigned long work(void)
{
    return atomic_exchange(&longest, 0);
}

int main(void)
{
    pthread_t id;

    if (pthread_create(&id, NULL, fork_on, NULL) != 0)
        return 1;
    serve(work);
    return 0;
}
