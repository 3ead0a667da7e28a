/* How a test drives a target, without sleeping.
 *
 * The target prints "ready" when it can be probed. For each line "go" it does its work once and
 * prints "done COUNT" with the number of calls so far of the functions that a test probes. It ends
 * when its standard input ends. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdio.h>
#include <string.h>

/* Does the work once. */
static inline void answer(unsigned long (*work)(void))
{
    unsigned long count = work();

    printf("done %lu\n", count);
    fflush(stdout);
}

/* Serves a test that knows already that the target is ready. */
static inline void serve_on(unsigned long (*work)(void))
{
    char line[64];

    while (fgets(line, sizeof line, stdin))
        if (strcmp(line, "go\n") == 0)
            answer(work);
}

static inline void serve(unsigned long (*work)(void))
{
    printf("ready\n");
    fflush(stdout);
    serve_on(work);
}

#endif
