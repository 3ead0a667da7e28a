/* How a test drives a target, without sleeping.
 *
 * The target prints "ready" when it can be probed. For each line "go" it does its work once and
 * prints "done COUNT" with the number of calls so far of the functions that a test probes. It ends
 * when its standard input ends. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdio.h>
#include <string.h>

static inline void serve(unsigned long (*work)(void))
{
    char line[64];

    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "go\n") != 0)
            continue;
        unsigned long count = work();
        printf("done %lu\n", count);
        fflush(stdout);
    }
}

#endif
