/* A little of all that debug info of C has. Starts at `run`; nobody runs it. */
enum colour { RED, GREEN = 5, BLUE = -3 };

union word {
    long number;
    unsigned char bytes[8];
    float fraction;
};

struct node {
    struct node *next;
    const char *name;
    union word word;
    unsigned low : 3, high : 9;
    enum colour colour;
    long numbers[2][3];
    int (*call)(struct node *, int);
    char rest[];
};

typedef const struct node *place;

volatile int sink;

static inline __attribute__((always_inline)) int inner(place node, int depth)
{
    int sum = depth;
    while (node) {
        int colour = node->colour;
        sum += colour * sink;
        node = node->next;
    }
    return sum;
}

__attribute__((noinline)) int outer(struct node *node, int depth, double factor)
{
    int first = inner(node, depth);
    sink = first;
    {
        long second = node->word.number + (long)factor;
        sink = (int)second;
        if (node->call)
            sink = node->call(node, first);
    }
    return inner(node->next, first) + sink;
}

__attribute__((noinline)) int sized(int count)
{
    int values[count];
    for (int i = 0; i < count; i++)
        values[i] = sink;
    return values[sink % count];
}

int run(void)
{
    struct node node;

    node.next = 0;
    node.name = "node";
    node.word.number = 1;
    node.call = 0;
    return outer(&node, 3, 0.5) + sized(5);
}
