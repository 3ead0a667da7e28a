/* Memory as a bug leaves it: pointers to nowhere, lists in circles, unions that hold something
 * else, values that their types do not have.
 *
 * `corrupted` is called once on each "go", with all of it. */
#define _GNU_SOURCE
#include "protocol.h"
#include "traced.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <uchar.h>
#include <unistd.h>

enum colour { RED, GREEN = 5, BLUE };

struct node {
    struct node *next;
    long number;
};

union word {
    long number;
    double fraction;
    const char *text;
    struct node *node;
};

struct flexible {
    unsigned long length;
    long items[];
};

struct broken {
    struct node *null;
    struct node *low;
    struct node *kernel;
    struct node *non_canonical;
    struct node *highest;
    struct node *unmapped;
    struct node *across;
    struct node *misaligned;
    struct node *circle;
    struct node *itself;
    struct node *deep;
    const char *wild_text;
    const char *endless_text;
    const char *cut_text;
    char *kernel_text;
    union word word;
    union word freed;
    struct flexible *flexible;
    void (*call)(void);
    bool seven;
    enum colour colour;
    char32_t beyond;
    char32_t surrogate;
    unsigned low_bits : 3;
    struct broken **table;
};

static unsigned long calls;
static struct broken broken;
static struct node nodes[3];
static struct node chain[100000];
static unsigned long flexible[8] = { 1UL << 60 };
static char misaligned[sizeof(struct node) + 8];

TRACED
void corrupted(struct broken *all, union word word, bool truth)
{
    KEEP(all);
    KEEP(word.number);
    KEEP(truth);
    calls++;
}

static unsigned long work(void)
{
    union word word = { 42 };
    bool truth = true;

    *(volatile unsigned char *)&truth = 7;
    corrupted(&broken, word, truth);
    return calls;
}

int main(void)
{
    long page = sysconf(_SC_PAGESIZE);
    /* Two pages, of which the second one is taken away again. */
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *end = pages + page;

    if (pages == MAP_FAILED || munmap(end, page) != 0)
        return 2;
    memset(pages, 'x', page);
    for (int i = 0; i < 3; i++)
        nodes[i] = (struct node){ &nodes[(i + 1) % 3], i };
    for (long i = 0; i < 99999; i++)
        chain[i] = (struct node){ &chain[i + 1], i };
    memset(misaligned, 0x11, sizeof misaligned);
    broken.low = (struct node *)0x10;
    broken.kernel = (struct node *)0xffff888000001000;
    broken.non_canonical = (struct node *)0x8000000000001000;
    broken.highest = (struct node *)0xfffffffffffffff8;
    broken.unmapped = (struct node *)end;
    broken.across = (struct node *)(end - 8);
    broken.misaligned = (struct node *)(misaligned + 3);
    broken.circle = nodes;
    broken.itself = (struct node *)&broken.itself;
    broken.deep = chain;
    broken.wild_text = (const char *)0x4141414141414141;
    broken.endless_text = pages;
    broken.cut_text = end - 5;
    broken.kernel_text = (char *)0xffffffff81000000;
    broken.word.number = 42;
    broken.freed.number = -1;
    broken.flexible = (struct flexible *)flexible;
    broken.call = (void (*)(void))0x1234;
    memset(&broken.seven, 7, 1);
    broken.colour = (enum colour)77;
    broken.beyond = 0x110000;
    broken.surrogate = 0xd800;
    broken.low_bits = 7;
    broken.table = (struct broken **)(end - 16);
    serve(work);
    return 0;
}
