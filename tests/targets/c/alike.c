// Preloaded into programs whose runs are compared: they are told the same time and the same random
// bytes in each run, those of the C library included.
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NOW 1750000000

ssize_t getrandom(void *bytes, size_t length, unsigned flags) {
    (void)flags;
    memset(bytes, 7, length);
    return (ssize_t)length;
}

int getentropy(void *bytes, size_t length) {
    memset(bytes, 7, length);
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    // The monotonic clock starts with the machine.
    now->tv_sec = clock == CLOCK_REALTIME ? NOW : 100000;
    now->tv_nsec = 0;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    now->tv_sec = NOW;
    now->tv_usec = 0;
    return 0;
}

time_t time(time_t *now) {
    if (now)
        *now = NOW;
    return NOW;
}

// The pipe that is the input is another one in each run.
static int alike_file(int failed, struct stat *info) {
    if (!failed) {
        info->st_ino = 1;
        info->st_atim = info->st_mtim = info->st_ctim = (struct timespec){NOW, 0};
    }
    return failed;
}

int stat(const char *restrict path, struct stat *restrict info) {
    return alike_file((int)syscall(SYS_newfstatat, AT_FDCWD, path, info, 0), info);
}

int fstat(int file, struct stat *info) {
    return alike_file((int)syscall(SYS_fstat, file, info), info);
}

int stat64(const char *restrict path, struct stat64 *restrict info) {
    return stat(path, (struct stat *)info);
}

int fstat64(int file, struct stat64 *info) {
    return fstat(file, (struct stat *)info);
}

// What marks freed memory; malloc keeps it in a variable without a name.
static uintptr_t freed_mark(void) {
    uintptr_t *volatile block = malloc(32);
    free(block);
    uintptr_t mark;
    __asm__ volatile("mov 8(%1), %0" : "=r"(mark) : "r"(block) : "memory");
    return mark;
}

static int replace(struct dl_phdr_info *module, size_t size, void *mark) {
    (void)size;
    for (int i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &module->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_W))
            continue;
        // What is read-only by now holds no such variable: it lies behind that.
        uintptr_t *end = (uintptr_t *)(module->dlpi_addr + segment->p_vaddr + segment->p_memsz);
        uintptr_t *word = (uintptr_t *)((module->dlpi_addr + segment->p_vaddr + 7) & ~7ul);
        for (; word + 1 <= end; word++)
            if (*word == *(uintptr_t *)mark)
                *word = 0x6d61726b6d61726b;
    }
    return 0;
}

__attribute__((constructor, no_stack_protector)) static void alike(void) {
    // The guards of return addresses and of saved pointers: nothing of this process uses them yet.
    __asm__ volatile("movq %0, %%fs:0x28" : : "r"(0x6775617264677500ul));
    __asm__ volatile("movq %0, %%fs:0x30" : : "r"(0x706f696e74657273ul));
    uintptr_t mark = freed_mark();
    dl_iterate_phdr(replace, &mark);
}
