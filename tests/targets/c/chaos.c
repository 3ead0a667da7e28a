/* A process to which everything happens while it is probed.
 *
 * A thread calls `pour` all the time. Lines that it obeys: "go" calls it a thousand times more;
 * "fork" does so in a forked child; "load PATH" takes another library, whose
 * `poured` is called from then on; "become PATH" replaces the program. */
#include "protocol.h"
#include "traced.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct cup {
    long number;
    const char *tea;
    struct cup *next;
};

static atomic_ulong count;
static struct cup cups[2] = {{0, "assam", &cups[1]}, {1, "oolong", &cups[0]}};

TRACED
long pour(struct cup *cup, long number)
{
    return cup->number ^ number;
}

static long call(unsigned long times)
{
    long sum = 0;

    for (unsigned long i = 0; i < times; i++) {
        sum += pour(&cups[i % 2], (long)i);
        atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    }
    return sum;
}

static void *keep_pouring(void *unused)
{
    for (;;) {
        call(1);
        usleep(200);
    }
    return unused;
}

static void fork_child(void)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(call(1000) == call(1000) ? 0 : 1);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        abort();
}

static void *library;
static long (*poured)(long);

static void load(const char *path)
{
    if (library)
        dlclose(library);
    library = dlopen(path, RTLD_NOW);
    poured = library ? (long (*)(long))dlsym(library, "poured") : NULL;
    if (!poured)
        abort();
}

static void call_library(void)
{
    for (long i = 0; poured && i < 1000; i++)
        if (poured(i) != (i ^ 1))
            abort();
}

int main(void)
{
    char line[512];
    pthread_t id;

    if (pthread_create(&id, NULL, keep_pouring, NULL) != 0)
        return 1;
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "become ", 7) == 0)
            execl(line + 7, line + 7, (char *)NULL);
        else if (strncmp(line, "load ", 5) == 0)
            load(line + 5);
        else if (strcmp(line, "fork") == 0)
            fork_child();
        else
            call(1000);
        call_library();
        printf("done %lu\n", atomic_load(&count));
        fflush(stdout);
    }
    return 0;
}
