/* An order-processing service that was written to be traced.
 *
 * It listens on 127.0.0.1; a client thread of its own sends it orders for ever, at a bounded rate.
 * The content of order N depends on N alone (see fill_order and the tables), so that whoever looks
 * at a snapshot can check every value.
 *
 *     orders [RATE]     orders per second, 50 unless given
 *
 * It prints one line when it serves, and one with the number of orders when it ends: at SIGTERM, at
 * SIGINT, or when the pipe on its standard input is closed. */
#define _GNU_SOURCE
#include "traced.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CUSTOMERS 8
#define ITEMS_MAX 4
#define PRICES 6
#define FIRST_ORDER 1000

enum order_status {
    ORDER_NEW = 1,
    ORDER_PAID = 2,
    ORDER_SHIPPED = 4,
    ORDER_CANCELLED = 8,
};

enum payment_kind { PAYMENT_CARD, PAYMENT_TRANSFER };

struct address {
    char street[32];
    char city[16];
    uint32_t postcode;
};

struct order;

struct customer {
    uint64_t id;
    char name[24];
    const char *email;
    struct address home;
    /* The order names its customer: a cycle. */
    struct order *last_order;
    bool vip;
};

struct item {
    const char *sku;
    int32_t quantity;
    double price;
    struct item *next;
};

/* Which member counts is told by order.payment_kind. */
union payment {
    struct {
        uint16_t last_digits;
        uint8_t month;
        uint8_t year;
    } card;
    uint64_t transfer_reference;
};

struct order {
    uint64_t id;
    enum order_status status;
    enum payment_kind payment_kind;
    struct customer *customer;
    struct item *items;
    double prices[PRICES];
    double total;
    union payment payment;
    bool express;
    unsigned priority : 3;
    unsigned gift : 1;
    int discount_percent : 7;
    const char *note;
    int64_t placed_at;
};

/* What goes over the wire. */
struct message {
    uint64_t order_id;
    int32_t attempt;
    int32_t reserved;
};

struct reply {
    uint64_t order_id;
    double total;
};

static struct customer customers[CUSTOMERS] = {
    { 501, "Ada Lovelace", "ada@example.com", { "12 St James's Square", "London", 10001 }, NULL, true },
    { 502, "Grace Hopper", "grace@example.com", { "1 Navy Yard", "Arlington", 22202 }, NULL, false },
    { 503, "Alan Turing", "alan@example.com", { "5 Adlington Road", "Wilmslow", 90210 }, NULL, false },
    { 504, "Edsger Dijkstra", "edsger@example.com", { "Plantage 3", "Nuenen", 56700 }, NULL, true },
    { 505, "Barbara Liskov", "barbara@example.com", { "32 Vassar Street", "Cambridge", 2139 }, NULL, false },
    { 506, "Ken Thompson", NULL, { "600 Mountain Avenue", "Murray Hill", 7974 }, NULL, false },
    { 507, "Zo\xc3\xab M\xc3\xbcller", "zoe@example.com", { "Hauptstra\xc3\x9f" "e 7", "K\xc3\xb6ln", 50667 }, NULL, true },
    { 508, "Margaret Hamilton", "margaret@example.com", { "75 Ames Street", "Cambridge", 2142 }, NULL, false },
};

static const char *const skus[] = { "BOOK-0001", "LAMP-0042", "DESK-0007", "CHAIR-0100", "PEN-0512" };
#define SKUS (sizeof skus / sizeof skus[0])

static const char *const notes[] = { "leave at the door", NULL, "ring twice", "" };
#define NOTES (sizeof notes / sizeof notes[0])

static atomic_ulong processed;
static atomic_bool stopping;
static int stop_pipe[2];

/* The content of an order depends on its number alone. */
static void fill_order(struct order *order, struct item items[ITEMS_MAX], uint64_t id)
{
    struct customer *customer = &customers[id % CUSTOMERS];
    unsigned count = 1 + id % ITEMS_MAX;

    memset(order, 0, sizeof *order);
    order->id = id;
    order->status = (enum order_status)(1 << id % 4);
    order->payment_kind = id % 2 ? PAYMENT_TRANSFER : PAYMENT_CARD;
    order->customer = customer;
    customer->last_order = order;
    for (unsigned i = 0; i < count; i++) {
        items[i].sku = skus[(id + i) % SKUS];
        items[i].quantity = 1 + (int32_t)i;
        items[i].price = 2.5 * (i + 1);
        items[i].next = i + 1 < count ? &items[i + 1] : NULL;
    }
    order->items = items;
    for (unsigned i = 0; i < PRICES; i++)
        order->prices[i] = (double)(id % 100) + 0.25 * i;
    if (order->payment_kind == PAYMENT_CARD) {
        order->payment.card.last_digits = (uint16_t)(1000 + id % 9000);
        order->payment.card.month = (uint8_t)(1 + id % 12);
        order->payment.card.year = 29;
    } else {
        order->payment.transfer_reference = 0x1122334400000000u + id;
    }
    order->express = id % 3 == 0;
    order->priority = id % 8;
    order->gift = id % 5 == 0;
    order->discount_percent = -(int)(id % 30);
    order->note = notes[id % NOTES];
    order->placed_at = 1700000000 + (int64_t)id;
}

/* The function to look at: `process_order`, or one of its lines. */
TRACED
double process_order(struct order *order, const struct customer *customer, int attempt)
{
    double total = 0;
    int pieces = 0;

    for (const struct item *item = order->items; item; item = item->next) {
        total += item->price * item->quantity;
        pieces += item->quantity;
    }
    total *= 1 + order->discount_percent / 100.0;
    if (order->express)
        total += 4.5 * attempt;
    if (customer->vip && pieces > 3)
        total -= 1;
    order->total = total;
    atomic_fetch_add(&processed, 1);
    return total;
}

static bool read_all(int fd, void *data, size_t size)
{
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static bool write_all(int fd, const void *data, size_t size)
{
    return send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Serves one connection. */
static void serve_client(int fd)
{
    struct message message;

    while (!stopping && read_all(fd, &message, sizeof message)) {
        struct item items[ITEMS_MAX];
        struct order order;
        struct reply reply = { message.order_id, 0 };

        fill_order(&order, items, message.order_id);
        reply.total = process_order(&order, order.customer, message.attempt);
        /* The order ends with this turn. */
        order.customer->last_order = NULL;
        if (!write_all(fd, &reply, sizeof reply))
            break;
    }
    close(fd);
}

static void *server(void *argument)
{
    int listener = *(int *)argument;

    pthread_setname_np(pthread_self(), "order-worker");
    /* Even a stop that comes at once finds the client waiting for its first reply. */
    do {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            serve_client(fd);
    } while (!stopping);
    return NULL;
}

struct client {
    struct sockaddr_in address;
    unsigned long rate;
};

/* Sends orders until the service stops. */
static void *client(void *argument)
{
    const struct client *client = argument;
    struct timespec pause = { 0, 1000000000 / (long)client->rate };
    uint64_t id = FIRST_ORDER;

    pthread_setname_np(pthread_self(), "order-client");
    if (client->rate == 1)
        pause = (struct timespec){ 1, 0 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const void *)&client->address, sizeof client->address) != 0)
        return NULL;
    while (!stopping) {
        struct message message = { id, 1 + (int32_t)(id % 3), 0 };
        struct reply reply;

        if (!write_all(fd, &message, sizeof message) || !read_all(fd, &reply, sizeof reply))
            break;
        id++;
        nanosleep(&pause, NULL);
    }
    close(fd);
    return NULL;
}

static void on_signal(int number)
{
    (void)number;
    int saved = errno;
    if (write(stop_pipe[1], "", 1) < 0) {
        /* It is full: a signal was here before. */
    }
    errno = saved;
}

/* Waits for a signal, or for the other end of the pipe on standard input to close. */
static void wait_for_stop(void)
{
    /* No event is asked for: only a hang-up ends the wait, never input. */
    struct pollfd fds[2] = { { STDIN_FILENO, 0, 0 }, { stop_pipe[0], POLLIN, 0 } };

    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    stopping = true;
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned long rate = argc > 1 ? strtoul(argv[1], NULL, 10) : 50;
    struct client source = { .rate = rate };
    socklen_t length = sizeof source.address;
    pthread_t threads[2];

    if (rate < 1 || rate > 100000) {
        fprintf(stderr, "usage: orders [RATE], 1 to 100000 orders per second\n");
        return 2;
    }
    source.address.sin_family = AF_INET;
    source.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (void *)&source.address, length) != 0
        || listen(listener, 8) != 0
        || getsockname(listener, (void *)&source.address, &length) != 0)
        return fail("listen");
    if (pipe(stop_pipe) != 0)
        return fail("pipe");
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (pthread_create(&threads[0], NULL, server, &listener) != 0
        || pthread_create(&threads[1], NULL, client, &source) != 0)
        return fail("pthread_create");
    printf("ready: serving orders on 127.0.0.1:%d, %lu a second\n", ntohs(source.address.sin_port),
           rate);
    fflush(stdout);
    wait_for_stop();
    pthread_join(threads[1], NULL);
    printf("stopped: processed %lu orders\n", atomic_load(&processed));
    return 0;
}
