/* Places where a probe must not or can not go.
 *
 *     places [rwx | patch]
 *
 * With `rwx` its code is writable, so that no uprobe fires there. With `patch` it has changed its
 * own code: other instructions that do the same. */
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

static void protect(void *code, int protection)
{
    uintptr_t page = (uintptr_t)code & ~(uintptr_t)4095;

    if (mprotect((void *)page, 8192, protection) != 0)
        abort();
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "rwx") == 0)
        protect(twins, PROT_READ | PROT_WRITE | PROT_EXEC);
    if (argc > 1 && strcmp(argv[1], "patch") == 0) {
        protect(own_getpid, PROT_READ | PROT_WRITE | PROT_EXEC);
        /* push $39; pop %rax; a nop of two bytes. */
        memcpy(own_getpid, "\x6a\x27\x58\x66\x90", 5);
        protect(own_getpid, PROT_READ | PROT_EXEC);
    }
    serve(work);
    return 0;
}
