/* A function that is inlined into each of its callers, in the shapes that compilers leave of it: at
 * several places of one caller, in a loop, in one that is unrolled, inside another inlined function.
 * The callers keep what they hand over, call by call, and it is told at the end. */
#include "protocol.h"
#include "traced.h"

enum { ONCE, TWICE, LOOPED, UNROLLED, AROUND, CALLERS };

static const char *const names[CALLERS] = {"once", "twice", "looped", "unrolled", "around"};
static unsigned calls[CALLERS];
static volatile int values[CALLERS][64];
static volatile int sink;

#define INLINED static inline __attribute__((always_inline))

INLINED int weigh(int value, int scale)
{
    int result = value * scale;
    if (result > 100)
        result -= sink;
    sink = result;
    return result + value;
}

INLINED int counted(int caller, int value)
{
    values[caller][calls[caller]++] = value;
    return value;
}

TRACED int once(int number)
{
    return weigh(counted(ONCE, number), 3);
}

TRACED int twice(int number)
{
    int first = weigh(counted(TWICE, number), 5);
    int second = weigh(counted(TWICE, first + number), 7);
    return first ^ second;
}

TRACED int looped(int number)
{
    int total = 0;
    for (int i = 0; i < number; i++)
        total += weigh(counted(LOOPED, i), 2);
    return total;
}

TRACED int unrolled(int number)
{
    int total = 0;
    for (int i = 0; i < 4; i++)
        total += weigh(counted(UNROLLED, i + number), 2);
    return total;
}

INLINED int around(int number)
{
    return weigh(counted(AROUND, number + 1), 9) + 1;
}

TRACED int nested(int number)
{
    return around(number) ^ around(number + 2);
}

static unsigned long work(void)
{
    unsigned long total = 0;

    for (int i = 0; i < 5; i++)
        sink = once(i) + twice(i) + looped(i) + unrolled(i) + nested(i);
    for (int caller = 0; caller < CALLERS; caller++)
        total += calls[caller];
    return total;
}

int main(void)
{
    serve(work);
    printf("calls");
    for (int caller = 0; caller < CALLERS; caller++)
        for (unsigned call = 0; call < calls[caller]; call++) {
            printf(call == 0 ? " %s " : ",", names[caller]);
            printf("%d", values[caller][call]);
        }
    printf("\n");
    return 0;
}
