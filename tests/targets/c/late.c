/* Memory of every kind that is not resident when `late` is called, each in the middle of 64 pages
 * that nobody touches: what is read of it after the hit must not bring in its neighbours.
 *
 * The argument is a file of 64 pages of text. The first line names where each place is. All is set
 * up once; calls do not touch it. */
#include "protocol.h"
#include "traced.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 64
#define MIDDLE (PAGES / 2)
#define SIZE (PAGES * PAGE)
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

typedef char text_pages[PAGES][PAGE] __attribute__((aligned(PAGE)));
typedef const char *table_pages[PAGES][PAGE / sizeof(char *)] __attribute__((aligned(PAGE)));

/* Read-only data of the program. */
static const text_pages constant = {[MIDDLE] = "a constant that nobody reads"};
static const text_pages paged_out = {[MIDDLE] = "a constant that was read and paged out"};
/* Read-only after relocation: in the file there are other pointers. */
static const table_pages table = {[MIDDLE] = {"one", "two"}};
static const table_pages dropped_table = {[MIDDLE] = {"three", "four"}};
/* Writable data of the program. */
static uint64_t data[PAGES][PAGE / sizeof(uint64_t)] __attribute__((aligned(PAGE))) = {
    [MIDDLE] = {4711},
};

struct node {
    const struct node *next;
    uint64_t number;
};

struct places {
    /* Anonymous memory that was never touched. */
    const uint64_t (*calloced)[4];
    /* Four letters, then a page that was never touched. */
    const char *half;
    /* Written and paged out: in swap, where there is one. */
    const struct node *swapped;
    /* The file, mapped in several ways; its last page ends in the middle. */
    const char *file_private;
    const char *file_writable;
    const char *file_shared;
    const char *file_end;
    const char *beyond_file;
    /* The program's own file. */
    const char *constant;
    const char *paged_out;
    const uint64_t *data;
    const char *const (*table)[2];
    const char *const (*dropped_table)[2];
    /* Shared memory. */
    const struct node *shared;
    const uint64_t *shared_hole;
    /* Memory whose faults somebody else is to handle, but does not. */
    const uint64_t *unserved;
    /* A guard page, where the kernel has them. */
    const uint64_t *guard;
};

static unsigned long count;
static struct places places;

TRACED
void late(const struct places *places)
{
    KEEP(places);
    count++;
}

static unsigned long work(void)
{
    late(&places);
    return count;
}

static void *map(size_t size, int protection, int flags, int file)
{
    void *memory = mmap(NULL, size, protection, flags, file, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

static void *middle(void *pages)
{
    return (char *)pages + MIDDLE * PAGE;
}

static void *anonymous(int flags)
{
    return map(SIZE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1);
}

static void advise(const void *pages, int advice)
{
    if (madvise((void *)(uintptr_t)pages, SIZE, advice))
        abort();
}

/* Two nodes that point to one another, in the middle of pages that are all written. */
static struct node *nodes(void *pages)
{
    struct node *nodes = middle(pages);

    memset(pages, 1, SIZE);
    nodes[0] = (struct node){.next = &nodes[1], .number = 100};
    nodes[1] = (struct node){.next = &nodes[0], .number = 101};
    return nodes;
}

static void *unserved(void)
{
    void *pages = anonymous(MAP_PRIVATE);
    int handler = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register what = {
        .range = {(uintptr_t)pages, SIZE}, .mode = UFFDIO_REGISTER_MODE_MISSING,
    };

    if (handler < 0 || ioctl(handler, UFFDIO_API, &api) || ioctl(handler, UFFDIO_REGISTER, &what))
        abort();
    return pages;
}

static void *guarded(void)
{
    void *pages = anonymous(MAP_PRIVATE);

    return madvise(pages, SIZE, MADV_GUARD_INSTALL) ? NULL : pages;
}

/* `file` is the same file as `constant_file`, but can be written to. */
static void set_up(int constant_file, int file)
{
    char *end = map(2 * SIZE, PROT_READ, MAP_PRIVATE, constant_file);
    char *half = anonymous(MAP_PRIVATE);
    void *written = anonymous(MAP_PRIVATE);
    void *shared = anonymous(MAP_SHARED);
    void *guard = guarded();

    memset(half + MIDDLE * PAGE - PAGE, 'y', PAGE);
    places = (struct places){
        .calloced = middle(calloc(PAGES, PAGE)),
        .half = half + MIDDLE * PAGE - 4,
        .swapped = nodes(written),
        .file_private = middle(map(SIZE, PROT_READ, MAP_PRIVATE, constant_file)),
        .file_writable = middle(map(SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file)),
        .file_shared = middle(map(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file)),
        .file_end = end + SIZE - PAGE,
        .beyond_file = end + SIZE,
        .constant = constant[MIDDLE],
        .paged_out = paged_out[MIDDLE],
        .data = data[MIDDLE],
        .table = (const void *)table[MIDDLE],
        .dropped_table = (const void *)dropped_table[MIDDLE],
        .shared = nodes(shared),
        .shared_hole = middle(anonymous(MAP_SHARED)),
        .unserved = middle(unserved()),
        .guard = guard ? middle(guard) : NULL,
    };
    if (*(const volatile char *)paged_out[MIDDLE] != 'a')
        abort();
    advise(paged_out, MADV_PAGEOUT);
    advise(table, MADV_PAGEOUT);
    advise(dropped_table, MADV_DONTNEED);
    advise(shared, MADV_DONTNEED);
    advise(written, MADV_PAGEOUT);
}

static void place(const char *name, const volatile void *address)
{
    printf(" %s=%lx", name, (unsigned long)(uintptr_t)address);
}

int main(int argc, char **argv)
{
    int constant_file = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    int file = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;

    if (constant_file < 0 || file < 0)
        return 2;
    set_up(constant_file, file);
    printf("ready");
    place("calloced", places.calloced);
    place("half", places.half + 4);
    place("swapped", places.swapped);
    place("file_private", places.file_private);
    place("file_writable", places.file_writable);
    place("file_shared", places.file_shared);
    place("file_end", places.file_end);
    place("constant", places.constant);
    place("paged_out", places.paged_out);
    place("data", places.data);
    place("table", places.table);
    place("dropped_table", places.dropped_table);
    place("shared", places.shared);
    place("shared_hole", places.shared_hole);
    place("unserved", places.unserved);
    printf("\n");
    fflush(stdout);
    serve_on(work);
    return 0;
}
