/* A process that does its worst while `stormy` is probed.
 *
 *     storm uffd | mmap | fork | threads
 *
 * It starts with the first "go" and goes on until its standard input ends; "done" tells how often
 * `stormy` was called. */
#include "protocol.h"
#include "traced.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 64UL

struct cup {
    long number;
    const char *tea;
    struct cup *next;
};

static atomic_ulong count;
static const char *mode = "threads";
static struct cup cups[2] = {{0, "assam", &cups[1]}, {1, "oolong", &cups[0]}};

TRACED
long stormy(struct cup *cup, long number)
{
    KEEP(cup);
    return number + 1;
}

static long call(struct cup *cup, long number)
{
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return stormy(cup, number);
}

static void *map(void)
{
    void *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        abort();
    return pages;
}

/* Pages whose faults nobody ever answers. */
static void *unserved(void)
{
    void *pages = map();
    int handler = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register what = {
        .range = {(uintptr_t)pages, PAGES * PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING,
    };

    if (handler < 0 || ioctl(handler, UFFDIO_API, &api) || ioctl(handler, UFFDIO_REGISTER, &what))
        abort();
    return pages;
}

static void *unanswered(void *unused)
{
    char *pages = unserved();

    for (unsigned long i = 0;; i++) {
        call((struct cup *)(pages + i % PAGES * PAGE), (long)i);
        usleep(1000);
    }
    return unused;
}

static void *mapping(void *unused)
{
    for (unsigned long i = 0;; i++) {
        char *pages = map();

        for (unsigned long page = 0; page < PAGES; page += 3)
            pages[page * PAGE] = 1;
        mprotect(pages + PAGE, PAGE, PROT_READ);
        munmap(pages + 5 * PAGE, PAGE);
        if (i % 16 == 0)
            call(&cups[0], (long)i);
        munmap(pages, PAGES * PAGE);
    }
    return unused;
}

static void *forking(void *unused)
{
    for (unsigned long i = 0;; i++) {
        pid_t child = fork();

        if (child == 0)
            _exit((int)call(&cups[0], -1));
        if (child > 0)
            waitpid(child, NULL, 0);
        call(&cups[1], (long)i);
    }
    return unused;
}

static void *hitting(void *unused)
{
    for (unsigned long i = 0;; i++) {
        call(&cups[i % 2], (long)i);
        usleep(20000);
    }
    return unused;
}

static void start(unsigned long threads, void *(*work)(void *))
{
    pthread_attr_t small;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    for (unsigned long i = 0; i < threads; i++) {
        pthread_t id;

        if (pthread_create(&id, &small, work, NULL) != 0)
            abort();
    }
}

static unsigned long work(void)
{
    static int started;

    if (!started) {
        started = 1;
        if (strcmp(mode, "uffd") == 0)
            start(4, unanswered);
        else if (strcmp(mode, "mmap") == 0)
            start(2, mapping);
        else if (strcmp(mode, "fork") == 0)
            start(1, forking);
        else
            start(1000, hitting);
    }
    return atomic_load(&count);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        mode = argv[1];
    serve(work);
    return 0;
}
