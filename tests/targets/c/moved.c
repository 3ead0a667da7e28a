/* Code that is not, or not for long, what is mapped from the program's file.
 *
 *     moved anonymous    its code was copied to anonymous memory, as programs do for huge pages
 *     moved shared       its code is mapped shared
 *     moved writable     its code is mapped writable
 *     moved jit          code made at run time; "ready" tells its address
 *     moved later        its code is copied to anonymous memory at the line "move"
 *
 * On each "go" `counted` is called 10 times. */
#define _GNU_SOURCE
#include "protocol.h"
#include "traced.h"

#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned long count;

TRACED
int counted(unsigned long *counter, int number)
{
    *counter += 1;
    return number + 1;
}

static unsigned long work(void)
{
    for (int i = 0; i < 10; i++)
        counted(&count, i);
    return count;
}

/* The program's code: it is the first object, and has one executable segment. */
struct code {
    uintptr_t start;
    size_t offset, length;
};

static int find_code(struct dl_phdr_info *info, size_t size, void *result)
{
    struct code *code = result;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X)) {
            size_t inside = segment->p_offset % 4096;
            code->start = info->dlpi_addr + segment->p_vaddr - inside;
            code->offset = segment->p_offset - inside;
            code->length = (segment->p_filesz + inside + 4095) & ~(size_t)4095;
        }
    }
    return 1;
}

static void *check(void *memory)
{
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

static void to_anonymous(const struct code *code)
{
    char *copy = check(mmap(NULL, code->length, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

    memcpy(copy, (void *)code->start, code->length);
    if (mprotect(copy, code->length, PROT_READ | PROT_EXEC) != 0)
        abort();
    check(mremap(copy, code->length, code->length, MREMAP_MAYMOVE | MREMAP_FIXED,
                 (void *)code->start));
}

static void to_shared(const struct code *code)
{
    int file = open("/proc/self/exe", O_RDONLY);

    check(mmap((void *)code->start, code->length, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED,
               file, (off_t)code->offset));
    close(file);
}

static unsigned long *jit(void)
{
    /* ret */
    unsigned char *memory = check(mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

    memset(memory, 0xc3, 4096);
    if (mprotect(memory, 4096, PROT_READ | PROT_EXEC) != 0)
        abort();
    return (unsigned long *)memory;
}

int main(int argc, char **argv)
{
    struct code code = { 0, 0, 0 };
    const char *mode = argc > 1 ? argv[1] : "later";
    char line[64];

    dl_iterate_phdr(find_code, &code);
    if (strcmp(mode, "anonymous") == 0)
        to_anonymous(&code);
    else if (strcmp(mode, "shared") == 0)
        to_shared(&code);
    else if (strcmp(mode, "writable") == 0)
        mprotect((void *)code.start, code.length, PROT_READ | PROT_WRITE | PROT_EXEC);
    if (strcmp(mode, "jit") == 0)
        printf("ready %p\n", (void *)jit());
    else
        printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "move\n") == 0) {
            to_anonymous(&code);
            printf("done %lu\n", count);
            fflush(stdout);
        } else {
            answer(work);
        }
    }
    return 0;
}
