/* A process whose owner a test chooses, and that stops being theirs when it is told.
 *
 *     owned [hidden]
 *
 * On "go" it calls `counted` and the C library's `getppid` once each. On "hide" it makes itself not
 * dumpable, on "show" dumpable again; on "become PATH" it replaces its program by the one at PATH,
 * which says "ready" again. With `hidden` it is not dumpable from the start. "done" tells the calls
 * of `counted`. */
#include "protocol.h"
#include "traced.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static unsigned long count;

TRACED
int counted(int number)
{
    count++;
    return number + 1;
}

static unsigned long work(void)
{
    counted((int)count);
    KEEP(getppid());
    return count;
}

static unsigned long make_dumpable(int dumpable)
{
    if (prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0) != 0)
        abort();
    return count;
}

static unsigned long hide(void)
{
    return make_dumpable(0);
}

static unsigned long show(void)
{
    return make_dumpable(1);
}

int main(int argc, char **argv)
{
    char line[512];

    if (argc > 1)
        hide();
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "go") == 0) {
            answer(work);
        } else if (strcmp(line, "hide") == 0) {
            answer(hide);
        } else if (strcmp(line, "show") == 0) {
            answer(show);
        } else if (strncmp(line, "become ", 7) == 0) {
            execl(line + 7, line + 7, (char *)NULL);
            abort();
        }
    }
    return 0;
}
