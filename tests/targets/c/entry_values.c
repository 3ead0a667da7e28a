/* Arguments that are gone in the middle of their function, known from the callers: by constants,
 * registers that calls keep, and what the callers were passed themselves. And functions whose
 * arguments nobody on the stack knows, for calls in a last step leave no frame. */
#include "protocol.h"
#include "traced.h"

#include <unistd.h>

static unsigned long count;
static volatile long sink;
static const char *volatile text_sink;

TRACED static long leaf(long gone, int doubled, const char *text)
{
    sink += gone + doubled;
    text_sink = text;
    sink += getpid();
    count++; /* leaf */
    return sink;
}

TRACED static long middle(long first, int second)
{
    long result = leaf(first + 1, second * 2, "passed");
    sink = result;
    return result + 1;
}

TRACED static long outer(long seed)
{
    long result = middle(seed, 21);
    return result + seed;
}

TRACED static long last_step(long first, int second)
{
    sink = first * second;
    return leaf(first + 100, second, "in a last step");
}

TRACED static long before_last_step(long first)
{
    long result = last_step(first, 5);
    sink = result;
    return result + 1;
}

TRACED static long odd(int left, long gone);

/* Is called again without a frame between, with other arguments. */
TRACED static long even(int left, long gone)
{
    sink += gone;
    sink += getpid();
    count++; /* even */
    if (left == 0)
        return sink;
    return odd(left - 1, sink);
}

TRACED static long odd(int left, long gone)
{
    sink -= gone;
    return even(left - 1, sink);
}

TRACED static long around(long seed)
{
    long result = even(4, seed);
    sink = result;
    return result + 1;
}

TRACED static long through(long (*function)(long, int, const char *), long seed)
{
    long result = function(seed + 7, 3, "through a pointer");
    sink = result;
    /* Here too, so that a call keeps it. */
    return result + function(seed + 7, 3, "through a pointer");
}

static unsigned long work(void)
{
    count = 0;
    sink = outer(1000);
    sink = before_last_step(2000);
    sink = around(3000);
    sink = through(leaf, 4000);
    return count;
}

int main(void)
{
    serve(work);
    return 0;
}
