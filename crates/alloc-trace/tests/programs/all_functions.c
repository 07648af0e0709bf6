/* Every function that hands out or takes back blocks, at random, with a log of its own. */
#define _GNU_SOURCE
#include "log.h"
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

extern void free_sized(void *, size_t) __attribute__((weak));
extern void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));

enum { SLOTS = 500 };
static struct { void *block; size_t size; } slots[SLOTS];

static uint64_t state = 88172645463325252u;
static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 11;
}

int main(void) {
    for (long step = 0; step < 200000; step++) {
        unsigned slot = next() % SLOTS;
        size_t size = next() % 100 == 0 ? next() % 3000000 : next() % 700;
        void *old = slots[slot].block, *block = 0;
        int kind = next() % 12;
        if (kind <= 1) {
            block = kind ? reallocarray(old, size / 8, 8) : realloc(old, size);
            if (kind) size = size / 8 * 8;
            if (old) unlogged(slots[slot].size);
            if (block) logged(size);
            slots[slot].block = block;
            slots[slot].size = size;
            continue;
        }
        if (old) {
            if (malloc_usable_size(old) < slots[slot].size) return 4;
            if (kind == 2 && free_sized) free_sized(old, slots[slot].size);
            else if (kind == 3 && free_aligned_sized) free_aligned_sized(old, 16, slots[slot].size);
            else free(old);
            unlogged(slots[slot].size);
        }
        switch (kind) {
        case 4: block = calloc(size / 4, 4); size = size / 4 * 4; break;
        case 5: if (posix_memalign(&block, 64, size)) return 5; break;
        case 6: block = aligned_alloc(256, size); break;
        case 7: block = memalign(32, size); break;
        case 8: block = valloc(size); break;
        default: block = malloc(size);
        }
        if (!block) return 6;
        memset(block, 1, size);
        logged(size);
        slots[slot].block = block;
        slots[slot].size = size;
    }
    /* What fails changes nothing. */
    errno = 0;
    volatile size_t too_much = SIZE_MAX / 2;
    if (malloc(too_much) || errno != ENOMEM) return 7;
    if (realloc(slots[0].block, too_much)) return 8;
    if (reallocarray(slots[0].block, too_much, 4) || calloc(too_much, 4)) return 9;
    errno = 77;
    free(malloc(10)); logged(10); unlogged(10);
    free(0);
    if (errno != 77) return 10;
    tell();
}
