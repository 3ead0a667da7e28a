/* Calls that the compiler inlines into each other, around one that it does not. */
#include "protocol.h"
#include "traced.h"

static unsigned long count;
static volatile int sink;

TRACED
int innermost(int value)
{
    count++;
    return value + 1;
}

static inline __attribute__((always_inline)) int middle(int value)
{
    int doubled = value * 2;
    int result = innermost(doubled);
    return result + doubled;
}

static inline __attribute__((always_inline)) int outer(int value)
{
    int more = value + 3;
    int result = middle(more);
    return result - more;
}

TRACED
int caller(int value)
{
    int result = outer(value);
    return result ^ value;
}

static unsigned long work(void)
{
    sink = caller(7);
    return count;
}

int main(void)
{
    serve(work);
    return 0;
}
