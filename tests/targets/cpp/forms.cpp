// Types of C++ for builds that differ in nothing but where their debug info is kept.
#include "../c/protocol.h"
#include "../c/traced.h"

#include <string>
#include <vector>

namespace shapes {

enum class Colour { red, green = 5 };

struct Base {
    int id = 3;
    virtual ~Base() = default;
};

template <typename T> struct Pair : Base {
    T first, second;
};

} // namespace shapes

static unsigned long calls;
static volatile long sink;

TRACED
long the_form(shapes::Pair<int> *pair, const std::string &text, std::vector<long> &numbers, int number)
{
    shapes::Colour colour = number > 3 ? shapes::Colour::green : shapes::Colour::red;
    shapes::Pair<short> own;
    own.first = 7;
    own.second = -7;

    sink = (long)&own + (long)&colour;
    // No store moves across.
    __asm__ volatile("" : : : "memory");
    calls++; // here
    __asm__ volatile("" : : : "memory");
    sink = pair->first + (long)text.size() + numbers[0] + number;
    return own.first + own.second + (long)colour;
}

static unsigned long work()
{
    shapes::Pair<int> pair;
    std::string text = "text of the form";
    std::vector<long> numbers = {10, 20, 30};

    pair.first = 1;
    pair.second = 2;
    sink = the_form(&pair, text, numbers, 42);
    return calls;
}

int main()
{
    serve(work);
    return 0;
}
