// Containers as a bug leaves them: counts, links and pointers that can't be true. What must be shown
// stands behind `//=`: what is proven and why there is no more. The words that are changed are those of
// libstdc++.
#include "../c/traced.h"

#include <cstdint>
#include <cstdio>
#include <forward_list>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <unistd.h>
#include <unordered_map>
#include <variant>
#include <vector>

struct Broken {
    std::vector<int> backwards{1, 2, 3};                      //= contradiction
    std::vector<int> uneven{1, 2, 3};                         //= contradiction
    std::vector<int> huge{1, 2, 3};                           //= [contradiction of 1125899906842624]
    std::string length = "short";                             //= contradiction
    std::list<int> cyclic{1, 2, 3};                           //= [1, 2, 3, contradiction of 3]
    std::list<int> few{1, 2, 3};                              //= [1, 2, 3, contradiction of 5]
    std::list<int> wild{1, 2, 3};                             //= [1, unmapped of 3]
    std::list<int> astray{1, 2, 3};                           //= [1, contradiction of 3]
    std::forward_list<int> endless{1, 2};                     //= [1, 2, contradiction]
    std::map<int, int> counted{{1, 1}, {2, 2}, {3, 3}};       //= {1: 1, 2: 2, 3: 3, contradiction of 9}
    std::map<int, int> looped{{1, 1}, {2, 2}, {3, 3}};        //= {1: 1, 2: 2, contradiction of 3}
    std::map<int, int> nowhere{{1, 1}, {2, 2}, {3, 3}};       //= {1: 1, 2: 2, unmapped of 3}
    std::unordered_map<int, int> chained{{1, 1}};             //= {1: 1, contradiction of 1}
    std::unordered_map<int, int> round{{1, 1}};               //= {1: 1, contradiction of 5}
    std::optional<int> half = 1;                              //= bad_discriminant
    std::variant<int, long> neither = 1;                      //= bad_discriminant
};

struct All {
    Broken broken;
};

// Whom nobody can tell what it changes.
static std::uintptr_t *words(void *of)
{
    __asm__ volatile("" : "+r"(of) : : "memory");
    return static_cast<std::uintptr_t *>(of);
}

static std::uintptr_t *node(std::uintptr_t word) { return words(reinterpret_cast<void *>(word)); }

static void damage(Broken &of)
{
    const std::uintptr_t wild = 0x10000;
    words(&of.backwards)[1] = words(&of.backwards)[0] - 8;
    words(&of.uneven)[1] -= 1;
    words(&of.huge)[1] = words(&of.huge)[2] = words(&of.huge)[0] + (4ull << 50);
    words(&of.length)[1] = 1ull << 40;
    // A node of a list: next, previous. The list: first, last, size.
    node(words(&of.cyclic)[1])[0] = words(&of.cyclic)[0];
    words(&of.few)[2] = 5;
    node(words(&of.wild)[0])[0] = wild;
    node(words(&of.astray)[0])[0] = words(&of.few)[1];
    node(node(words(&of.endless)[0])[0])[0] = words(&of.endless)[0];
    // A node of a tree: colour, parent, left, right. The map: -, colour, root, leftmost, rightmost, size.
    words(&of.counted)[5] = 9;
    node(words(&of.looped)[2])[3] = words(&of.looped)[2];
    node(words(&of.nowhere)[2])[3] = wild;
    // The table: buckets, their number, first node, size.
    node(words(&of.chained)[2])[0] = words(&of.chained)[2];
    node(words(&of.round)[2])[0] = words(&of.round)[2];
    words(&of.round)[3] = 5;
    words(&of.half)[0] = words(&of.half)[0] | 7ull << 32;
    reinterpret_cast<unsigned char *>(words(&of.neither))[8] = 77;
}

TRACED void broken(const All *all) { KEEP(all); }

int main()
{
    All *all = new All;
    char line[64];

    damage(all->broken);
    std::puts("ready");
    std::fflush(stdout);
    while (std::fgets(line, sizeof line, stdin)) {
        broken(all);
        std::puts("done 1");
        std::fflush(stdout);
    }
    // Nobody takes these apart.
    _exit(0);
}
