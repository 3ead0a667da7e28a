/* Every kind of value that C has, with known contents.
 *
 * Each function gets its values by pointer, in registers and on the stack; the comments at the
 * values say what must be shown where it is not plain. */
#include "protocol.h"
#include "traced.h"

#include <complex.h>
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <uchar.h>
#include <wchar.h>

enum color { RED, GREEN = 5, BLUE };
enum level { LEVEL_LOW = -2, LEVEL_NONE = 0, LEVEL_HIGH = 7 };
enum wide { WIDE_SMALL = 1, WIDE_LARGE = 0x80000000u };
enum huge { HUGE_VALUE_ONE = 1, HUGE_VALUE_BIG = 0x7000000000000000 };

typedef uint32_t port_t;
typedef port_t service_port_t;

struct scalars {
    bool yes;
    bool no;
    char letter;
    signed char negative_char;
    unsigned char byte;
    short small;
    unsigned short unsigned_small;
    int integer;
    unsigned int unsigned_integer;
    long long_integer;
    unsigned long unsigned_long;
    long long long_long;
    unsigned long long unsigned_long_long;
    __int128 wide;
    unsigned __int128 unsigned_wide;
    float single;
    double real;
    long double extended;
    double not_a_number;
    double infinite;
    double negative_zero;
    double tiny;
    float complex complex_single;
    double complex complex_real;
    wchar_t wide_char;
    char16_t char16;
    char32_t char32;
    size_t size;
    service_port_t port;
    _Atomic int atomic;
    const volatile int constant;
    enum color color;
    enum level level;
    enum wide enum_wide;
    enum huge enum_huge;
    /* No enumerator has this number. */
    enum color no_color;
};

struct bits {
    unsigned low : 3;
    int negative : 5;
    bool flag : 1;
    unsigned : 4;
    enum color color : 4;
    unsigned crossing : 17;
    uint64_t long_field : 40;
    int64_t long_negative : 24;
    unsigned char tail : 7;
};

union number {
    int32_t integer;
    float single;
    unsigned char bytes[4];
};

struct inner {
    int x;
    int y;
};

struct with_anonymous {
    int kind;
    union {
        int integer;
        const char *text;
        struct {
            short high;
            short low;
        };
    };
    struct inner inner;
};

struct __attribute__((packed)) packed {
    char first;
    int misaligned;
    double also_misaligned;
};

struct empty {
};

struct flexible {
    size_t length;
    int items[];
};

struct node {
    int number;
    struct node *next;
    struct node *previous;
};

struct tree {
    const char *name;
    struct tree *left;
    struct tree *right;
};

/* Declared here, defined nowhere. */
struct unknown;

typedef int (*operation)(int, int);

struct containers {
    int numbers[5];
    int matrix[2][3];
    struct inner points[3];
    /* Ends inside the array. */
    char name[16];
    /* Fills its array: there is no NUL. */
    char full[4];
    char nothing[8];
    unsigned char raw[4];
    const char *words[4];
    int long_list[1000];
    struct flexible *flexible;
    struct empty empty;
};

struct pointers {
    int *number;
    int **number_pointer;
    const char *text;
    const char *empty_text;
    const char *null_text;
    /* Longer than a string is shown unless asked for. */
    const char *long_text;
    char *utf8;
    void *anything;
    void *null;
    operation add;
    int (*array)[3];
    struct unknown *unknown;
    struct inner *inner;
    /* The same object twice. */
    struct inner *shared_one;
    struct inner *shared_two;
    /* Itself. */
    struct pointers *self;
};

struct big {
    long words[12];
};

static unsigned long count;
static volatile long sink;
static char long_text[5001];

TRACED void scalars(const struct scalars *scalars)
{
    count++;
    sink = scalars->integer;
}

TRACED void bit_fields(const struct bits *bits, const struct packed *packed)
{
    count++;
    sink = bits->negative + packed->misaligned;
}

TRACED void containers(const struct containers *containers)
{
    count++;
    sink = containers->numbers[0];
}

TRACED void pointers(const struct pointers *pointers)
{
    count++;
    sink = (long)pointers->anything;
}

TRACED void graph(const struct node *ring, const struct tree *tree, const struct node *list)
{
    count++;
    sink = ring->number + list->number + (tree->left != NULL);
}

TRACED void unions(const union number *number, const struct with_anonymous *first,
                   const struct with_anonymous *second)
{
    count++;
    sink = number->integer + first->kind + second->kind;
}

/* In rdi, esi, dl, xmm0, xmm1, ecx, r8, r9b; then two on the stack. */
TRACED long arguments(const char *text, int number, char letter, float single, double real,
                      enum color color, unsigned long big, bool truth, short on_stack,
                      long also_on_stack)
{
    count++;
    return strlen(text) + number + letter + (long)single + (long)real + color + big + truth + on_stack
        + also_on_stack;
}

/* Structs by value: in two registers, in memory, in vector registers. */
TRACED long by_value(struct inner inner, struct big big, double complex vector)
{
    count++;
    return inner.x + inner.y + big.words[11] + (long)(creal(vector) + cimag(vector));
}

/* Locals of several scopes; a name that is shadowed; a value kept in a callee-saved register. */
TRACED long locals(int limit, const int *numbers)
{
    long sum = 0;
    int array[4] = { 10, 20, 30, 40 };
    struct inner pair = { limit, -limit };

    for (int i = 0; i < limit; i++) {
        long value = numbers[i] + array[i % 4];
        sum += value;
        {
            int limit = i * 2;
            sum += limit;
            sink = sum;
        }
    }
    count++;
    return sum + pair.x + pair.y + array[(unsigned)limit % 4];
}

static int add(int left, int right)
{
    return left + right;
}

static void call_scalars(void)
{
    struct scalars all = {
        .yes = true, .no = false, .letter = 'A', .negative_char = -128, .byte = 255,
        .small = -32768, .unsigned_small = 65535, .integer = -2147483647 - 1,
        .unsigned_integer = 4294967295u, .long_integer = INT64_MIN, .unsigned_long = UINT64_MAX,
        .long_long = -9007199254740993, .unsigned_long_long = 9007199254740993,
        .wide = -((__int128)1 << 100), .unsigned_wide = ((unsigned __int128)1 << 127) + 1,
        .single = 1.5f, .real = 0.1, .extended = 1.25L, .not_a_number = NAN, .infinite = -INFINITY,
        .negative_zero = -0.0, .tiny = DBL_TRUE_MIN, .complex_single = 1.0f + 2.0f * I,
        .complex_real = -3.5 + 4.25 * I, .wide_char = L'\u20ac', .char16 = u'\u00e9',
        .char32 = U'\U0001f600', .size = 4096, .port = 8080, .atomic = 77, .constant = 33,
        .color = GREEN, .level = LEVEL_LOW, .enum_wide = WIDE_LARGE, .enum_huge = HUGE_VALUE_BIG,
        .no_color = (enum color)3,
    };
    scalars(&all);
}

static void call_records(void)
{
    struct bits bits = { .low = 5, .negative = -9, .flag = true, .color = BLUE, .crossing = 0x1abcd,
                         .long_field = 0xabcdef0123, .long_negative = -4194304, .tail = 0x55 };
    struct packed packed = { 'p', 0x01020304, 2.5 };
    union number number = { .single = 1.0f };
    struct with_anonymous first = { .kind = 1, .text = "one of three", .inner = { 3, 4 } };
    struct with_anonymous second = { .kind = 2, .high = 0x1234, .low = 0x5678, .inner = { 5, 6 } };

    bit_fields(&bits, &packed);
    unions(&number, &first, &second);
}

static void call_containers(void)
{
    static struct containers all = {
        .numbers = { 1, -2, 3, -4, 5 }, .matrix = { { 1, 2, 3 }, { 4, 5, 6 } },
        .points = { { 1, 2 }, { 3, 4 }, { 5, 6 } }, .name = "sixteen", .full = "full",
        .raw = { 0x00, 0x7f, 0x80, 0xff }, .words = { "zero", "one", NULL, "three" },
    };
    static struct flexible *flexible;

    if (!flexible && !(flexible = malloc(sizeof *flexible + 3 * sizeof(int))))
        abort();
    flexible->length = 3;
    for (int i = 0; i < 3; i++)
        flexible->items[i] = 100 + i;
    for (int i = 0; i < 1000; i++)
        all.long_list[i] = i * 3;
    all.flexible = flexible;
    containers(&all);
}

static void call_pointers(void)
{
    static int number = 42, *number_pointer = &number;
    static int array[3] = { 7, 8, 9 };
    static struct inner inner = { 1, 2 }, shared = { 11, 22 };
    static char utf8[] = "gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x98\x80";
    struct pointers all = {
        .number = &number, .number_pointer = &number_pointer, .text = "a string", .empty_text = "",
        .null_text = NULL, .long_text = long_text, .utf8 = utf8, .anything = &number, .null = NULL,
        .add = add, .array = &array, .unknown = (struct unknown *)&number, .inner = &inner,
        .shared_one = &shared, .shared_two = &shared,
    };

    all.self = &all;
    /* Constants count as never touched otherwise. */
    sink = (long)(strlen(all.text) + strlen(all.empty_text));
    pointers(&all);
}

static void call_graph(void)
{
    struct node ring[3], list[20];
    struct tree leaves[2] = { { "left leaf", NULL, NULL }, { "right leaf", NULL, NULL } };
    struct tree root = { "root", &leaves[0], &leaves[1] };

    for (int i = 0; i < 3; i++)
        ring[i] = (struct node){ i + 1, &ring[(i + 1) % 3], &ring[(i + 2) % 3] };
    for (int i = 0; i < 20; i++)
        list[i] = (struct node){ 100 + i, i < 19 ? &list[i + 1] : NULL, NULL };
    sink = (long)(strlen(root.name) + strlen(leaves[0].name) + strlen(leaves[1].name));
    graph(ring, &root, list);
}

static unsigned long work(void)
{
    static const int numbers[6] = { 1, 2, 3, 4, 5, 6 };
    struct big big = { { 0, 11, 22, 33, 44, 55, 66, 77, 88, 99, 110, 121 } };

    call_scalars();
    call_records();
    call_containers();
    call_pointers();
    call_graph();
    sink = arguments("an argument", -7, 'z', 2.5f, -0.125, BLUE, 0xfedcba9876543210u, true, -3, 1L << 40);
    sink = by_value((struct inner){ 8, 9 }, big, 1.0 - 1.0 * I);
    sink = locals(6, numbers);
    return count;
}

int main(void)
{
    memset(long_text, 'L', sizeof long_text - 1);
    serve(work);
    return 0;
}
