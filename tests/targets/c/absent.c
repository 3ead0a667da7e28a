/* Memory that can't be read at a hit: pages that are not resident, not mapped, not readable.
 *
 * `absent` gets a pointer to each. They are set up anew before every call. */
#include "protocol.h"
#include "traced.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

/* A page of constants in the file's read-only data. Nothing reads it; MADV_DONTNEED in work()
 * makes sure that it is not resident. Only its address is taken. */
struct constants {
    char before[PAGE];
    char text[PAGE];
    char after[PAGE];
} __attribute__((aligned(PAGE)));

static const struct constants constants = {
    .before = "before", .text = "a string constant that nothing has touched", .after = "after",
};

struct places {
    /* Not resident, though the file has it. */
    const char *untouched;
    /* Resident. */
    const char *touched;
    /* Anonymous memory that was never written. */
    const int *never_written;
    /* Mapped once, then unmapped. */
    const char *unmapped;
    /* Mapped without any permission. */
    const char *no_access;
    const int *null;
    /* Address of nothing: not canonical. */
    const int *wild;
    /* The last 4 bytes of a page, the next one is unmapped: the string is cut by the fault. */
    const char *cut;
    /* The last 8 bytes of a page: the second element is unmapped. */
    const uint64_t (*half)[2];
};

static unsigned long count;

TRACED
void absent(const struct places *places, const char *untouched, const int *wild)
{
    KEEP(places);
    KEEP(untouched);
    KEEP(wild);
    count++;
}

static void *map(size_t size, int protection)
{
    void *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

static unsigned long work(void)
{
    static struct places places;

    /* What was set up for the call before stays until here: who looks a little after that call
     * still finds it as it was. */
    if (places.cut) {
        munmap((void *)(uintptr_t)places.never_written, PAGE);
        munmap((void *)(uintptr_t)places.no_access, PAGE);
        munmap((void *)(uintptr_t)(places.cut + 4 - PAGE), PAGE);
    }
    char *edge = map(2 * PAGE, PROT_READ | PROT_WRITE);

    memset(edge, 'y', 2 * PAGE);
    places = (struct places){
        .untouched = constants.text,
        .touched = "a string constant that the argument list touches",
        .never_written = map(PAGE, PROT_READ | PROT_WRITE),
        .unmapped = edge + PAGE + 64,
        .no_access = map(PAGE, PROT_NONE),
        .null = NULL,
        .wild = (const int *)0xdead000000000000,
        .cut = edge + PAGE - 4,
        .half = (const void *)(edge + PAGE - 8),
    };
    /* Reads it: resident. */
    if (strlen(places.touched) == 0)
        abort();
    /* Behind all that is mapped, for a later mapping would fill the hole. */
    munmap(edge + PAGE, PAGE);
    /* Drops the page from this process; it stays a page of the file. Last, for a fault on a page
     * nearby would map it again. */
    madvise((void *)(uintptr_t)constants.text, PAGE, MADV_DONTNEED);
    absent(&places, places.untouched, places.wild);
    return count;
}

int main(void)
{
    serve(work);
    return 0;
}
