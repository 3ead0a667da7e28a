/* A process under a seccomp filter that kills it for any system call but reading, writing and
 * ending.
 *
 *     sandboxed CALLS
 *
 * On each "go" `counted` is called CALLS times. */
#include "protocol.h"
#include "traced.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static unsigned long calls = 10;
static unsigned long count;

TRACED
int counted(int number)
{
    count++;
    return number + 1;
}

static unsigned long work(void)
{
    for (unsigned long i = 0; i < calls; i++)
        counted((int)i);
    return count;
}

#define ALLOW(number)                                          \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1),       \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void filter(void)
{
    static struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    static struct sock_fprog program = { sizeof steps / sizeof steps[0], steps };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        abort();
}

int main(int argc, char **argv)
{
    static char in[4096], out[4096];

    if (argc > 1)
        calls = strtoul(argv[1], NULL, 10);
    /* Buffers that stdio makes itself take system calls. */
    setvbuf(stdin, in, _IOFBF, sizeof in);
    setvbuf(stdout, out, _IOFBF, sizeof out);
    filter();
    serve(work);
    return 0;
}
