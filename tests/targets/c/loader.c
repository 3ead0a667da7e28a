/* A program that loads a library.
 *
 *     loader LIBRARY [later]
 *
 * The library is loaded at the start or, with `later`, at the first "go". On each "go" its function
 * `counted` is called 10 times. */
#include "protocol.h"
#include "traced.h"

#include <dlfcn.h>
#include <stdlib.h>

static const char *library;
static unsigned long count;
static int (*counted)(unsigned long *, int);

static void load(void)
{
    void *handle = dlopen(library, RTLD_NOW);

    counted = handle ? (int (*)(unsigned long *, int))dlsym(handle, "counted") : NULL;
    if (!counted)
        abort();
}

static unsigned long work(void)
{
    if (!counted)
        load();
    for (int i = 0; i < 10; i++)
        counted(&count, i);
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    library = argv[1];
    if (argc < 3)
        load();
    serve(work);
    return 0;
}
