/* Code that is at another address than it was when the process was looked at.
 *
 *     mapper copy CALLS    on each "go" `counted` is called CALLS times, then CALLS times in a
 *                          second mapping of the program's file
 *     mapper exec CALLS    on each "go" the process replaces its program by the same one, which
 *                          calls `counted` CALLS times; "done" counts these calls alone */
#define _GNU_SOURCE
#include "protocol.h"
#include "traced.h"

#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned long calls = 10;
static unsigned long count;

/* Uses nothing that is addressed relative to its own place, so that a copy does the same. */
TRACED
int counted(unsigned long *counter, int number)
{
    *counter += 1;
    return number + 1;
}

static void call(int (*function)(unsigned long *, int))
{
    for (unsigned long i = 0; i < calls; i++)
        function(&count, (int)i);
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
            code->length = segment->p_filesz + inside;
        }
    }
    return 1;
}

static unsigned long work_with_copy(void)
{
    struct code code = { 0, 0, 0 };

    dl_iterate_phdr(find_code, &code);
    int file = open("/proc/self/exe", O_RDONLY);
    char *copy = mmap(NULL, code.length, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, (off_t)code.offset);
    if (file < 0 || copy == MAP_FAILED)
        abort();
    close(file);
    call(counted);
    call((int (*)(unsigned long *, int))(copy + ((uintptr_t)counted - code.start)));
    munmap(copy, code.length);
    return count;
}

static char **arguments;

static unsigned long work_after_exec(void)
{
    call(counted);
    return count;
}

static unsigned long exec(void)
{
    arguments[1] = "again";
    execv("/proc/self/exe", arguments);
    abort();
}

int main(int argc, char **argv)
{
    arguments = argv;
    if (argc < 3)
        return 2;
    calls = strtoul(argv[2], NULL, 10);
    if (strcmp(argv[1], "copy") == 0)
        serve(work_with_copy);
    else if (strcmp(argv[1], "exec") == 0)
        serve(exec);
    else {
        answer(work_after_exec);
        serve_on(exec);
    }
    return 0;
}
