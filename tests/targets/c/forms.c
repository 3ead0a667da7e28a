/* One function whose types take all kinds of debug info, for builds that differ in nothing but
 * where that is kept. */
#include "protocol.h"
#include "traced.h"

enum colour { RED, GREEN = 5 };

struct point {
    int x, y;
    unsigned low : 3, high : 5;
};

union number {
    long whole;
    double real;
};

struct node {
    int number;
    const char *name;
    struct node *next;
    struct point where;
};

static unsigned long count;
static volatile long sink;

/* The arguments and locals live on behind the probed line. */
TRACED
long the_form(struct node *list, const char *text, int number, double real)
{
    enum colour colour = number > 3 ? GREEN : RED;
    struct point point = { number, -number, 5, 17 };
    union number both = { .real = real };
    int numbers[4] = { number, number + 1, number + 2, number + 3 };

    sink = (long)&point + (long)&both + (long)numbers + (long)&colour + (long)&real;
    /* No store moves across. */
    __asm__ volatile("" : : : "memory");
    count++; /* here */
    __asm__ volatile("" : : : "memory");
    sink = (long)list + (long)text + number;
    sink += (long)real;
    return point.x + numbers[number & 3] + (long)both.real + colour;
}

static unsigned long work(void)
{
    static struct node last = { 3, "last", 0, { 7, 8, 1, 2 } };
    static struct node first = { 4, "first", &last, { 5, 6, 3, 4 } };

    sink = the_form(&first, "text of the form", 42, 2.5);
    return count;
}

int main(void)
{
    serve(work);
    return 0;
}
