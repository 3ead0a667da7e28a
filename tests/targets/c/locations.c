/* Values that a compiler describes in its rarer ways: computed with branches and divisions, in
 * pieces of bits, behind pointers that it did not keep, in thread-local storage, in 128 bits, in
 * floating-point registers. */
#include "protocol.h"
#include "traced.h"

#include <unistd.h>

static unsigned long count;
static volatile long sink;

struct point {
    long x, y;
};

static inline __attribute__((always_inline)) long use(struct point *place, int *number)
{
    sink = getpid();
    count++; /* behind */
    sink = place->x + *number;
    return sink;
}

TRACED long implicit(long first, int second)
{
    struct point point = { first + 1, first * 3 };
    int own = second;
    long result = use(&point, &own);
    sink = point.y + own;
    return result;
}

TRACED long computed(long left, long right)
{
    long least = left < right ? left : right;
    long most = left > right ? left : right;
    long quotient = left / 7;
    long rest = left % 10;
    long magnitude = right < 0 ? -right : right;
    sink = getpid();
    count++; /* computed */
    sink = left + right;
    return sink;
}

__thread long per_thread = 5;

TRACED long threads(long add)
{
    static __thread long inner = 7;
    static long once = 8;
    per_thread += add;
    inner += add;
    once += add;
    sink = getpid();
    count++; /* threads */
    sink = inner + once + per_thread;
    return sink;
}

TRACED double floats(const double *memory, double only)
{
    double local = only * 2.5;
    double kept = *memory;
    count++; /* floats */
    sink = (long)local;
    return kept + local + only;
}

struct bits {
    unsigned low : 3, middle : 7, high : 22;
};

TRACED long bit_fields(unsigned value)
{
    struct bits bits = { value & 7, (value >> 3) & 127, value >> 10 };
    sink = getpid();
    count++; /* bits */
    sink = bits.low + bits.middle + bits.high;
    return sink;
}

TRACED long wide(__int128 value)
{
    __int128 more = value + 1;
    sink = getpid();
    count++; /* wide */
    sink = (long)(more >> 64) + (long)more;
    return sink;
}

static unsigned long work(void)
{
    static const double quarter = 1.25;
    count = 0;
    implicit(10, 4);
    computed(33, -5);
    threads(1);
    floats(&quarter, 3.5);
    bit_fields(0x12345678);
    wide((__int128)5 << 70);
    return count;
}

int main(void)
{
    serve(work);
    return 0;
}
