/* A thousand functions: `many_000` to `many_999`. On each "go" each is called once. */
#include "protocol.h"
#include "traced.h"

#define ONE(name)                        \
    TRACED unsigned long name(unsigned long count) \
    {                                    \
        __asm__ volatile("" : : : "rbx"); \
        return count + 1;                \
    }
#define CALL(name) count = name(count);

#define TEN(DO, name)                                                                          \
    DO(name##0) DO(name##1) DO(name##2) DO(name##3) DO(name##4) DO(name##5) DO(name##6)         \
    DO(name##7) DO(name##8) DO(name##9)
#define HUNDRED(DO, name)                                                                       \
    TEN(DO, name##0) TEN(DO, name##1) TEN(DO, name##2) TEN(DO, name##3) TEN(DO, name##4)        \
    TEN(DO, name##5) TEN(DO, name##6) TEN(DO, name##7) TEN(DO, name##8) TEN(DO, name##9)
#define THOUSAND(DO)                                                                            \
    HUNDRED(DO, many_0) HUNDRED(DO, many_1) HUNDRED(DO, many_2) HUNDRED(DO, many_3)             \
    HUNDRED(DO, many_4) HUNDRED(DO, many_5) HUNDRED(DO, many_6) HUNDRED(DO, many_7)             \
    HUNDRED(DO, many_8) HUNDRED(DO, many_9)

THOUSAND(ONE)

static unsigned long count;

static unsigned long work(void)
{
    THOUSAND(CALL)
    return count;
}

int main(void)
{
    serve(work);
    return 0;
}
