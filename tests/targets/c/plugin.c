/* A library for `loader`. With SHIFTED its function is at another place of the file. */
#include "traced.h"

#ifdef SHIFTED
int other(int number);

int other(int number)
{
    KEEP(number);
    return (number * 7 + 3) * (number + 5);
}
#endif

int counted(unsigned long *counter, int number);

TRACED
int counted(unsigned long *counter, int number)
{
    *counter += 1;
    return number + 1;
}

const char version[] = "version 0";
