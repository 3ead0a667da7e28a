/* Marks a function that tests probe: it stays a function of its own, with the calling convention
 * that the psABI gives it. clang has no `noipa`: it passes nothing for an argument that the function
 * does not use, so every argument is used, with KEEP where there is no other use. */
#ifndef TRACED_H
#define TRACED_H

#if defined(__clang__)
#define TRACED __attribute__((noinline))
#else
#define TRACED __attribute__((noinline, noipa))
#endif

/* Uses a value, for the compiler. */
#define KEEP(value) __asm__ volatile("" : : "r"(value) : "memory")

#endif
