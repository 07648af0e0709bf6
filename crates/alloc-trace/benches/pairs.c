/* Pairs of malloc and free: THREADS threads replace a random one of 1000 live blocks by one of 16 to 512 bytes, PAIRS times each, from call
 * depths of 9 to 12. Prints nanoseconds per pair. With frame pointers unless compiled without.
 *
 *     cc -O2 -fno-omit-frame-pointer -fno-optimize-sibling-calls -pthread pairs.c -o pairs && ./pairs THREADS PAIRS
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LIVE = 1000 };

static long pairs;

static uint64_t next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

__attribute__((noinline)) static void *deep(int depth, size_t size) {
    if (depth == 0) {
        char *block = malloc(size);
        *block = 1;
        return block;
    }
    void *block = deep(depth - 1, size);
    __asm__ volatile("" ::"r"(block));
    return block;
}

static void *work(void *argument) {
    uint64_t state = 88172645463325252u + (uintptr_t)argument;
    void **live = calloc(LIVE, sizeof *live);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long pair = 0; pair < pairs; pair++) {
        uint64_t random = next(&state);
        void **slot = &live[(random >> 40) % LIVE];
        free(*slot);
        *slot = deep(9 + (random & 3), 16 + (random >> 8) % 497);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    for (int slot = 0; slot < LIVE; slot++) free(live[slot]);
    free(live);
    double *ns = malloc(sizeof *ns);
    *ns = ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / pairs;
    return ns;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    int threads = atoi(arguments[1]);
    pairs = atol(arguments[2]);
    pthread_t ids[64];
    for (long thread = 0; thread < threads && thread < 64; thread++) pthread_create(&ids[thread], 0, work, (void *)thread);
    double sum = 0;
    for (int thread = 0; thread < threads && thread < 64; thread++) {
        void *ns;
        pthread_join(ids[thread], &ns);
        sum += *(double *)ns;
        free(ns);
    }
    printf("%.1f\n", sum / threads);
}
