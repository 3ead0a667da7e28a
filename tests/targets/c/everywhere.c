/* A function with many kinds of instructions, among them those that a uprobe breaks: a test probes
 * each of its bytes, and the result must stay right. */
#include "protocol.h"

#include <stdint.h>
#include <stdlib.h>

__asm__(".text\n"
        ".globl everywhere\n"
        ".type everywhere, @function\n"
        "everywhere:\n"
        "    endbr64\n"
        "    push %rbp\n"
        "    mov %rsp, %rbp\n"
        "    sub $64, %rsp\n"
        "    mov %rdi, -8(%rbp)\n"
        "    lea 7(%rdi), %rax\n"
        "    xor %ecx, %ecx\n"
        "    test %rdi, %rdi\n"
        "    je 1f\n"
        "    add $3, %rax\n"
        "1:  nop\n"
        "    nopl (%rax)\n"
        "    .byte 0x0f, 0x1f, 0x44, 0, 0\n" /* a nop that some kernels rewrite */
        "    mov everywhere_word(%rip), %rdx\n"
        "    add %rdx, %rax\n"
        "    call 2f\n"
        "    pushfq\n" /* would push the trap flag */
        "    popfq\n"
        "    lock incq (%rsi)\n" /* refused by the kernel */
        "    push %rax\n"
        "    lea -64(%rbp), %rdi\n"
        "    mov $8, %ecx\n"
        "    rep stosb\n" /* would be eight hits */
        "    mov $39, %eax\n"
        "    syscall\n" /* would kill the process */
        "    pop %rax\n"
        "    movq %rax, %xmm0\n"
        "    paddq %xmm0, %xmm0\n"
        "    movq %xmm0, %rax\n"
        "    leave\n"
        "    ret\n"
        "2:  inc %rax\n"
        "    jmp 3f\n"
        "    ud2\n"
        "3:  ret\n"
        ".size everywhere, . - everywhere\n");

uint64_t everywhere(uint64_t number, uint64_t *calls);
uint64_t everywhere_word = 1000;

static uint64_t calls;

static unsigned long work(void)
{
    if (everywhere(0, &calls) != 2 * (7 + 1000 + 1) ||
        everywhere(5, &calls) != 2 * (5 + 7 + 3 + 1000 + 1))
        abort();
    return calls;
}

int main(void)
{
    serve(work);
    return 0;
}
