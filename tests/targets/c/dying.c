/* Arguments that are gone where they are asked for. Each call notes what it was given, and a local
 * leads to the note: what is told of the arguments can be compared with it. */
#include "protocol.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>

#define THREADS 4

/* Neither inlined nor known to its callers. */
#ifdef __clang__
#define APART __attribute__((noinline))
#else
#define APART __attribute__((noipa))
#endif

struct order {
    long id;
    const char *name;
};

struct note {
    const struct order *order;
    long tag;
    unsigned char kind;
    int deeper;
};

static const struct order orders[] = {
    {100, "zero"}, {101, "one"}, {102, "two"}, {103, "three"},
    {104, "four"}, {105, "five"}, {106, "six"}, {107, "seven"},
};

static unsigned long calls;
static __thread jmp_buf back;
/* Of the calls that a thread is in. */
#define NOTES 40000
static __thread struct note *notes;
static __thread int noted_now;
/* This kind of call waits in its middle until it may go on. */
#define PARKED 255
static pthread_mutex_t may_go_on = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t inside;

APART static struct note *noted(const struct order *order, long tag,
                                                 unsigned char kind, int deeper)
{
    struct note *note;

    if (notes == NULL)
        notes = calloc(NOTES, sizeof *notes);
    note = &notes[noted_now++];
    *note = (struct note){order, tag, kind, deeper};
    if (kind == PARKED) {
        pthread_barrier_wait(&inside);
        pthread_mutex_lock(&may_go_on);
        pthread_mutex_unlock(&may_go_on);
    }
    return note;
}

APART static void done_with(struct note *note)
{
    (void)note;
    noted_now--;
}

/* Every seventh call of the innermost ones leaves all that are around it. */
APART static void count(struct note *note)
{
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (note->deeper == 0 && note->tag % 7 == 0 && note->kind != PARKED)
        longjmp(back, 1);
}

APART static unsigned long settle(const struct order *order, long tag,
                                          unsigned char kind, int deeper)
{
    struct note *note = noted(order, tag, kind, deeper);
    unsigned long sum = (unsigned long)note->tag;

    if (note->deeper > 0)
        sum += settle(&orders[(note->order - orders + 3) % 8],
                      (long)((unsigned long)note->tag * 31 + 7),
                      (unsigned char)(note->kind * 5 % 251), note->deeper - 1);
    count(note); /* the arguments are gone */
    done_with(note);
    return sum;
}

/* Called all the time, and seldom comes to its middle. */
APART static long sift(const struct order *order, long tag, unsigned char kind)
{
    struct note *note;

    if (tag % 1000000 != 0)
        return tag;
    note = noted(order, tag, kind, 0);
    done_with(note); /* seldom here */
    return 0;
}

/* Until it is killed. */
static void *sift_on(void *unused)
{
    (void)unused;
    for (long tag = 1;; tag++)
        sift(&orders[tag & 7], tag, (unsigned char)(tag % 251));
    return NULL;
}

/* Calls from another depth of the stack each time. */
APART static unsigned long from_below(int below, long tag)
{
    volatile char taken[112];

    taken[0] = (char)tag;
    if (below > 0)
        return from_below(below - 1, tag) + (unsigned long)taken[0];
    return settle(&orders[tag & 7], tag, (unsigned char)(tag % 251), (int)(tag & 3)) +
           (unsigned long)taken[0];
}

static int rounds = 1000;

static void *run(void *seed)
{
    volatile unsigned long random = (unsigned long)seed;
    volatile int round;

    for (round = 0; round < rounds; round++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        noted_now = 0;
        if (setjmp(back) == 0)
            from_below((int)(random >> 60), (long)(random >> 33));
    }
    free(notes);
    return NULL;
}

static unsigned long work(void)
{
    pthread_t threads[THREADS];

    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, (void *)(calls + 77 * (i + 1)));
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return calls;
}

/* A chain of calls, each around the next one. */
static unsigned long chain(int deep)
{
    settle(&orders[1], 1, 1, deep);
    return calls;
}

/* On the stack of the thread before it, with other arguments. */
static void *wait_inside(void *unused)
{
    static long parked;

    (void)unused;
    parked++;
    settle(&orders[parked % 8], 555 + parked, PARKED, 0);
    free(notes);
    return NULL;
}

int main(int argc, char **argv)
{
    char line[64];
    pthread_t parked;

    if (argc > 1)
        rounds = atoi(argv[1]);
    pthread_barrier_init(&inside, NULL, 2);
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "go\n") == 0)
            work();
        if (strncmp(line, "chain ", 6) == 0)
            chain(atoi(line + 6));
        if (strcmp(line, "sift\n") == 0)
            pthread_create(&parked, NULL, sift_on, NULL);
        if (strcmp(line, "park\n") == 0) {
            pthread_mutex_lock(&may_go_on);
            pthread_create(&parked, NULL, wait_inside, NULL);
            pthread_barrier_wait(&inside);
        }
        if (strcmp(line, "unpark\n") == 0) {
            pthread_mutex_unlock(&may_go_on);
            pthread_join(parked, NULL);
        }
        printf("done %lu\n", calls);
        fflush(stdout);
    }
}
