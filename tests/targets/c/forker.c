/* A process and its forked child that call the same function.
 *
 *     forker CALLS
 *
 * On the first "go" a child is forked; on each "go" the parent and then the child call `counted`
 * CALLS times each. "done" tells the calls of the parent alone. The child ends with its parent. */
#include "protocol.h"
#include "traced.h"

#include <stdlib.h>
#include <unistd.h>

static unsigned long calls = 1000;
static unsigned long count;
static int to_child[2], to_parent[2];

TRACED
int counted(int number)
{
    count++;
    return number + 1;
}

static void call(void)
{
    for (unsigned long i = 0; i < calls; i++)
        counted((int)i);
}

static void child(void)
{
    char byte;

    /* Else it would never see the end of its own pipe. */
    close(to_child[1]);
    close(to_parent[0]);
    while (read(to_child[0], &byte, 1) == 1) {
        call();
        if (write(to_parent[1], &byte, 1) != 1)
            break;
    }
    _exit(0);
}

static unsigned long work(void)
{
    static int forked;
    char byte = 'x';

    if (!forked) {
        if (pipe(to_child) != 0 || pipe(to_parent) != 0)
            abort();
        pid_t pid = fork();
        if (pid < 0)
            abort();
        if (pid == 0)
            child();
        close(to_child[0]);
        close(to_parent[1]);
        forked = 1;
    }
    call();
    if (write(to_child[1], &byte, 1) != 1 || read(to_parent[0], &byte, 1) != 1)
        abort();
    return count;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        calls = strtoul(argv[1], NULL, 10);
    serve(work);
    return 0;
}
