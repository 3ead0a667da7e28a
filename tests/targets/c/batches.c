/* A function that is called often by one that is called seldom: batches SIZE PAUSE_US.
 *
 * `item` is called SIZE times by each `handle_batch`, which has a pause of PAUSE_US behind it. It goes
 * on until its standard input is closed. */
#include "protocol.h"
#include "traced.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static volatile uint64_t batches;
static uint64_t size, pause_us;

TRACED uint64_t item(uint64_t number)
{
    __asm__ volatile("" : : : "rbx");
    return number * 3;
}

TRACED uint64_t handle_batch(uint64_t items)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < items; i++)
        sum += item(i);
    return sum;
}

static void *work(void *unused)
{
    (void)unused;
    for (;;) {
        handle_batch(size);
        batches++;
        if (pause_us > 0)
            usleep((useconds_t)pause_us);
    }
    return NULL;
}

static unsigned long so_far(void)
{
    return batches;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    if (argc != 3)
        return 2;
    size = strtoull(argv[1], NULL, 10);
    pause_us = strtoull(argv[2], NULL, 10);
    if (pthread_create(&thread, NULL, work, NULL) != 0)
        return 2;
    serve(so_far);
    return 0;
}
