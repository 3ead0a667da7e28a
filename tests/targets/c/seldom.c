/* A function that is called ten times a second, with a tree that takes long to capture. */
#define _GNU_SOURCE
#include "traced.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct node {
    struct node *left, *right;
    long values[12];
};

static volatile long sum;

static struct node *tree(int depth) {
    struct node *node = calloc(1, sizeof *node);
    if (node && depth) {
        node->left = tree(depth - 1);
        node->right = tree(depth - 1);
    }
    return node;
}

TRACED void seldom(struct node *root) {
    sum += root->values[0];
    KEEP(root);
}

int main(void) {
    const struct timespec pause = {0, 100000000};
    struct node *root = tree(9);
    puts("ready");
    fflush(stdout);
    for (;;) {
        seldom(root);
        nanosleep(&pause, NULL);
    }
}
