/* A library that is loaded, overwritten and replaced while it is probed. */
#include "traced.h"

long poured(long number);

TRACED
long poured(long number)
{
    return number ^ 1;
}
