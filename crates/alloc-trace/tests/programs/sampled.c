/* Blocks from one byte to 64 KiB, of which some are resized and some are left, by the main thread and one after it. */
#include "log.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

enum { LIVE = 2000, CALLS = 400000 };

static uint64_t state = 88172645463325252u;

static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* As many small as large. */
static long size(void) {
    uint64_t random = next();
    return 1 + (random >> 20) % (1 << (4 + random % 13));
}

static void *work(void *argument) {
    static char *blocks[LIVE];
    static long sizes[LIVE];
    for (long call = 0; call < CALLS; call++) {
        uint64_t random = next() >> 30;
        long place = random % LIVE, to = size();
        if (sizes[place]) unlogged(sizes[place]);
        if (sizes[place] && random % 7 == 0) {
            blocks[place] = realloc(blocks[place], to);
        } else {
            free(blocks[place]);
            blocks[place] = random % 5 ? malloc(to) : calloc(1, to);
        }
        logged(sizes[place] = to);
    }
    return argument;
}

int main(void) {
    pthread_t id;
    work(0);
    if (pthread_create(&id, 0, work, 0)) return 4;
    pthread_join(id, 0);
    tell();
    return 0;
}
