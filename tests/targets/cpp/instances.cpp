// As instances.c: methods and templates in namespaces, functions that only their file knows, all of
// them inlined everywhere.
#include <cstdio>
#include <cstring>

#define INLINED inline __attribute__((always_inline))
#define TRACED __attribute__((noinline))

static volatile int sink;

namespace shop {

static unsigned calls[4];
static volatile int values[4][64];

static INLINED int counted(int caller, int value)
{
    values[caller][calls[caller]++] = value;
    return value;
}

struct Scale {
    int factor;

    INLINED int weigh(int value) const
    {
        int result = value * factor;
        if (result > 100)
            result -= sink;
        sink = result;
        return result + value;
    }
};

template <class T> struct Box {
    T content;

    INLINED T weigh(int value) const
    {
        T result = content * value;
        sink = static_cast<int>(result);
        return result + value;
    }
};

namespace detail {
static INLINED int weigh(int value)
{
    sink = value + 1;
    return sink ^ value;
}
}

namespace {
INLINED int weigh_hidden(int value)
{
    sink = value + 2;
    return sink - value;
}
}

TRACED int by_method(Scale scale, int number)
{
    return scale.weigh(counted(0, number)) ^ scale.weigh(counted(0, number + 1));
}

TRACED long by_template(const Box<int> &small, const Box<long> &large, int number)
{
    return small.weigh(counted(1, number)) + large.weigh(counted(1, number + 3));
}

TRACED int by_function(int number)
{
    int total = 0;
    for (int i = 0; i < number; i++)
        total += detail::weigh(counted(2, i));
    return total;
}

TRACED int by_hidden(int number)
{
    return weigh_hidden(counted(3, number)) + 1;
}

}

int main()
{
    static const char *const names[] = {"shop::by_method", "shop::by_template",
                                        "shop::by_function", "shop::by_hidden"};
    shop::Box<int> small{3};
    shop::Box<long> large{5};
    char line[64];

    std::puts("ready");
    std::fflush(stdout);
    while (std::fgets(line, sizeof line, stdin)) {
        for (int i = 0; i < 6; i++) {
            shop::by_method(shop::Scale{i + 1}, i);
            shop::by_template(small, large, i);
            shop::by_function(i);
            shop::by_hidden(i);
        }
        unsigned long total = 0;
        for (unsigned count : shop::calls)
            total += count;
        std::printf("done %lu\n", total);
        std::fflush(stdout);
    }
    std::printf("calls");
    for (int caller = 0; caller < 4; caller++)
        for (unsigned call = 0; call < shop::calls[caller]; call++) {
            std::printf(call == 0 ? " %s " : ",", names[caller]);
            std::printf("%d", shop::values[caller][call]);
        }
    std::puts("");
}
