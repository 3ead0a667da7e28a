/* Deep stacks: recursion to a known depth, through a callback too, and a self tail call.
 *
 *     recursion [DEPTH] */
#include "protocol.h"
#include "traced.h"

#include <stdlib.h>

static unsigned depth = 200;
static unsigned long count;
static volatile int sink;

/* The innermost call. Its stack has DEPTH frames of `descend`. */
TRACED
int bottom(int value)
{
    count++;
    return value + 1;
}

TRACED
int descend(unsigned left, int value)
{
    /* A frame with a size of its own, and work after the call: neither a tail call nor a loop. */
    int padding[16];

    padding[left % 16] = value;
    KEEP(padding);
    int result = left ? descend(left - 1, value + 1) : bottom(value);
    KEEP(padding);
    return result + padding[left % 16] - value;
}

/* A comparison that libc calls: frames of ours, of libc, of ours. */
TRACED
int compare(const void *left, const void *right)
{
    count++;
    return *(const int *)left - *(const int *)right;
}

static unsigned long work(void)
{
    int numbers[2] = { 2, 1 };

    sink = descend(depth, 0);
    qsort(numbers, 2, sizeof numbers[0], compare);
    return count;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        depth = (unsigned)strtoul(argv[1], NULL, 10);
    serve(work);
    return 0;
}
