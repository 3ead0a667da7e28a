// As chaos.c; exceptions fly through the probed function.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace chaos {

struct Cup {
    std::string tea;
    std::vector<long> sips;

    __attribute__((noinline)) long pour(long number);
};

static std::atomic<unsigned long> count;

__attribute__((noinline)) long spill(const Cup &cup, long number)
{
    if (number % 7 == 3)
        throw std::runtime_error(cup.tea);
    return number;
}

long Cup::pour(long number)
{
    // A destructor on the way of the exception.
    std::string copy = tea + "!";
    sips[static_cast<size_t>(number) % sips.size()] = number;
    return spill(*this, number) + static_cast<long>(copy.size());
}

static long call(Cup &cup, long times)
{
    long caught = 0;

    for (long i = 0; i < times; i++) {
        try {
            cup.pour(i);
        } catch (const std::runtime_error &error) {
            caught += std::strcmp(error.what(), cup.tea.c_str()) == 0;
        }
        count++;
    }
    if (caught != (times + 3) / 7)
        std::abort();
    return caught;
}

static void fork_child(Cup &cup)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(call(cup, 1000) == call(cup, 1000) ? 0 : 1);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        std::abort();
}

static void *library;
static long (*poured)(long);

static void load(const char *path)
{
    if (library)
        dlclose(library);
    library = dlopen(path, RTLD_NOW);
    poured = library ? reinterpret_cast<long (*)(long)>(dlsym(library, "poured")) : nullptr;
    if (!poured)
        std::abort();
}

static void call_library()
{
    for (long i = 0; poured && i < 1000; i++)
        if (poured(i) != (i ^ 1))
            std::abort();
}

}

int main()
{
    chaos::Cup cup{"sencha", std::vector<long>(16)};
    std::thread([] {
        chaos::Cup own{"gyokuro, a long name that is on the heap", std::vector<long>(4)};
        for (;;) {
            chaos::call(own, 4);
            usleep(800);
        }
    }).detach();
    std::cout << "ready" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        if (line.compare(0, 7, "become ") == 0)
            execl(line.c_str() + 7, line.c_str() + 7, nullptr);
        else if (line.compare(0, 5, "load ") == 0)
            chaos::load(line.c_str() + 5);
        else if (line == "fork")
            chaos::fork_child(cup);
        else
            chaos::call(cup, 1000);
        chaos::call_library();
        std::cout << "done " << chaos::count << std::endl;
    }
    _exit(0);
}
