/* Places where a probe must not or can not go.
 *
 *     places [rwx]
 *
 * With `rwx` its code is writable, so that no uprobe fires there. */
#include "protocol.h"
#include "traced.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Offset 0: an instruction of five bytes. 5: `syscall`, which a uprobe breaks. 7: `ret`. */
__asm__(".text\n"
        ".globl own_getpid\n"
        ".type own_getpid, @function\n"
        "own_getpid:\n"
        "    movl $39, %eax\n"
        "    syscall\n"
        "    ret\n"
        ".size own_getpid, . - own_getpid\n");

int own_getpid(void);
/* In twin.c, with a static function of the same name. */
int other_twins(int number);

static unsigned long count;

TRACED static int twin(int number)
{
    count++;
    return number + 1;
}

TRACED int twins(int number)
{
    return twin(number) * 2;
}

static unsigned long work(void)
{
    if (own_getpid() != getpid() || twins(1) != 4 || other_twins(1) != 4)
        abort();
    return count;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "rwx") == 0) {
        uintptr_t page = (uintptr_t)twins & ~(uintptr_t)4095;
        if (mprotect((void *)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
            return 2;
    }
    serve(work);
    return 0;
}
