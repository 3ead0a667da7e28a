/* The other file of places.c: a static function of a name that is there too. */
#include "traced.h"

int other_twins(int number);

TRACED static int twin(int number)
{
    KEEP(number);
    return number + 4;
}

TRACED int other_twins(int number)
{
    /* Work after the call: its frame stays. */
    return twin(number) ^ number;
}
