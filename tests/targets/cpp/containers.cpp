// Every container of the standard library, empty, with one element, with many, over the limit,
// moved from, null and in each other. What must be shown stands behind `//=`.
#include "../c/traced.h"

#include <any>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <forward_list>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;

struct Point {
    int x, y;
};

struct Strings {
    std::string empty;                                        //= ""
    std::string small = "short";                              //= "short"
    std::string edge = "fifteen letters";                     //= "fifteen letters"
    std::string large = "a text that is too long for itself"; //= "a text that is too long for itself"
    std::string zero = std::string("a\0b", 3);                //= "a\0b"
    std::string from = "this one was moved to another place"; //= ""
    std::string to;                                           //= "this one was moved to another place"
    std::string_view view = "in view";                        //= "in view"
    std::string_view none;                                    //= ""
    std::u16string wide = u"wi";                              //= [119 'w', 105 'i']
};

struct Vectors {
    std::vector<int> empty;                                   //= []
    std::vector<int> one{7};                                  //= [7]
    std::vector<int> many{1, 2, 3, 4, 5};                     //= [1, 2, 3, 4, 5]
    std::vector<int> over;                                    //= [0, 1, 2, 3, 4, 5, 6, 7, limit_items of 1000]
    std::vector<int> from{1, 2};                              //= []
    std::vector<int> to;                                      //= [1, 2]
    std::vector<bool> bits{true, false, true};                //= [true, false, true]
    std::vector<bool> no_bits;                                //= []
    std::vector<std::string> texts{"a", "", "a text that is too long for itself"}; //= ["a", "", "a text that is too long for itself"]
    std::vector<std::vector<int>> nested{{}, {1}, {2, 3}};    //= [[], [1], [2, 3]]
    std::vector<Point> points{{1, 2}, {3, 4}};                //= [{x: 1, y: 2}, {x: 3, y: 4}]
    std::array<int, 3> array{1, 2, 3};                        //= [1, 2, 3]
};

struct Owners {
    std::unique_ptr<int> unique = std::make_unique<int>(5);   //= -> 5
    std::unique_ptr<int> null;                                //= null
    std::unique_ptr<Point> point{new Point{1, 2}};            //= -> {x: 1, y: 2}
    std::shared_ptr<int> shared = std::make_shared<int>(6);   //= -> 6 (owners 2, weak 1)
    std::shared_ptr<int> other = shared;                      //= -> 6 (owners 2, weak 1)
    std::shared_ptr<int> no_shared;                           //= null
    std::weak_ptr<int> weak = shared;                         //= -> 6 (owners 2, weak 1)
    std::weak_ptr<int> expired;                               //= dropped (owners 0, weak 1)
};

struct Trees {
    std::map<int, int> empty;                                 //= {}
    std::map<int, int> one{{1, 2}};                           //= {1: 2}
    std::map<std::string, int> many{{"b", 2}, {"a", 1}, {"c", 3}}; //= {"a": 1, "b": 2, "c": 3}
    std::map<int, int> over;                                  //= {0: 0, 1: 1, 2: 4, 3: 9, 4: 16, 5: 25, 6: 36, 7: 49, limit_items of 1000}
    std::map<int, int> from{{1, 2}};                          //= {}
    std::map<int, int> to;                                    //= {1: 2}
    std::set<int> set{3, 1, 2};                               //= [1, 2, 3]
    std::multiset<int> multi{2, 2, 1};                        //= [1, 2, 2]
    std::multimap<int, int> pairs{{1, 2}, {1, 3}};            //= {1: 2, 1: 3}
    std::map<std::string, std::vector<std::optional<int>>> nested{{"k", {1, std::nullopt}}}; //= {"k": [1, nullopt]}
};

struct Hashes {
    std::unordered_map<int, int> empty;                       //= {}
    std::unordered_map<int, int> one{{1, 2}};                 //= {1: 2}
    std::unordered_map<std::string, int> text{{"key", 3}};    //= {"key": 3}
    std::unordered_map<int, int> over;                        // in whatever order
    std::unordered_map<int, int> from{{1, 2}};                //= {}
    std::unordered_map<int, int> to;                          //= {1: 2}
    std::unordered_set<int> set{9};                           //= [9]
    std::unordered_map<std::string, std::vector<std::optional<std::shared_ptr<int>>>> nested; //= {"k": [-> 4 (owners 1, weak 0), null, nullopt]}
};

struct Lists {
    std::list<int> empty;                                     //= []
    std::list<int> one{1};                                    //= [1]
    std::list<int> many{1, 2, 3};                             //= [1, 2, 3]
    std::list<int> over = std::list<int>(1000, 7);            //= [7, 7, 7, 7, 7, 7, 7, 7, limit_items of 1000]
    std::list<int> from{1, 2};                                //= []
    std::list<int> to;                                        //= [1, 2]
    std::list<std::string> texts{"x", "a text that is too long for itself"}; //= ["x", "a text that is too long for itself"]
    std::forward_list<int> no_forward;                        //= []
    std::forward_list<int> forward{1, 2, 3};                  //= [1, 2, 3]
    std::deque<int> no_deque;                                 //= []
    std::deque<int> deque{2, 3};                              //= [1, 2, 3]
    std::deque<int> over_deque;                               //= [0, 1, 2, 3, 4, 5, 6, 7, limit_items of 1000]
};

struct Sums {
    std::optional<int> none;                                  //= nullopt
    std::optional<int> some = 3;                              //= 3
    std::optional<std::string> text = "text";                 //= "text"
    std::variant<int, std::string, Point> number = 4;         //= int {4}
    std::variant<int, std::string, Point> point = Point{1, 2}; //= Point {x: 1, y: 2}
    std::pair<int, std::string> pair{1, "p"};                 //= {first: 1, second: "p"}
    std::tuple<int, std::string, double> tuple{1, "t", 2.5};  //= {__0: 1, __1: "t", __2: 2.5}
    std::tuple<> nothing;                                     //= {}
    std::chrono::milliseconds time = 1500ms;                  //= 1500 (unit ms)
    std::chrono::hours hours = 2h;                            //= 2 (unit h)
    std::chrono::system_clock::time_point point_in_time{std::chrono::seconds(1)}; // in the unit of its clock
    std::atomic<int> atomic{8};                               //= 8
    std::atomic<bool> flag{true};                             //= true
};

struct All {
    Strings strings;
    Vectors vectors;
    Owners owners;
    Trees trees;
    Hashes hashes;
    Lists lists;
    Sums sums;
};

TRACED void containers(const All *all) { KEEP(all); }

int main()
{
    static All all;
    char line[64];

    all.strings.to = std::move(all.strings.from);
    all.vectors.to = std::move(all.vectors.from);
    all.trees.to = std::move(all.trees.from);
    all.hashes.to = std::move(all.hashes.from);
    all.lists.to = std::move(all.lists.from);
    std::shared_ptr<int> only = std::make_shared<int>(1);
    all.owners.expired = only;
    only.reset();
    all.lists.deque.push_front(1);
    for (int i = 0; i < 1000; i++) {
        all.vectors.over.push_back(i);
        all.trees.over[i] = i * i;
        all.hashes.over[i] = i;
        all.lists.over_deque.push_back(i);
    }
    all.hashes.nested["k"] = {std::make_shared<int>(4), std::shared_ptr<int>(), std::nullopt};

    std::puts("ready");
    std::fflush(stdout);
    while (std::fgets(line, sizeof line, stdin)) {
        containers(&all);
        std::puts("done 1");
        std::fflush(stdout);
    }
}
