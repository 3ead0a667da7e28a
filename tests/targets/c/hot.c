/* Threads that call one function all the time, from the start to the end: hot FILE FUNCTION SPIN
 * THREADS.
 *
 * SPIN makes the time between two calls longer. The calls so far are the first word of FILE, for who maps it; each
 * thread has its own word there, 64 bytes apart. */
#include "protocol.h"
#include "traced.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS_MAX 64
#define WORDS_APART 8

static volatile uint64_t *calls;
static uint64_t spin;
static int is_stepped;

/* Its first instruction is a push. */
TRACED uint64_t hot_emulated(uint64_t number)
{
    __asm__ volatile("" : : : "rbx");
    return number ^ 5;
}

/* The kernel emulates none of its instructions. */
TRACED uint64_t hot_stepped(uint64_t number)
{
    return number ^ 5;
}

static void *work(void *argument)
{
    volatile uint64_t *mine = argument;

    for (;;) {
        for (uint64_t i = 0; i < spin; i++)
            __asm__ volatile("pause");
        if (is_stepped)
            hot_stepped(spin);
        else
            hot_emulated(spin);
        ++*mine;
    }
    return NULL;
}

static unsigned long sum(void)
{
    uint64_t all = 0;

    for (int i = 0; i < THREADS_MAX; i++)
        all += calls[i * WORDS_APART];
    return all;
}

int main(int argc, char **argv)
{
    const size_t bytes = THREADS_MAX * WORDS_APART * sizeof *calls;
    pthread_t thread;
    int file, threads;

    if (argc != 5)
        return 2;
    file = open(argv[1], O_RDWR | O_CREAT, 0600);
    threads = atoi(argv[4]);
    if (file < 0 || ftruncate(file, (off_t)bytes) != 0 || threads < 1 || threads > THREADS_MAX)
        return 2;
    calls = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (calls == MAP_FAILED)
        return 2;
    is_stepped = strcmp(argv[2], "hot_stepped") == 0;
    spin = strtoull(argv[3], NULL, 10);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread, NULL, work, (void *)(calls + i * WORDS_APART)) != 0)
            return 2;
    serve(sum);
    return 0;
}
