/* Destructors of thread-specific data that ask for blocks as often as they are called, the last ones when nothing comes after. */
#include "log.h"
#include <pthread.h>
#include <stdlib.h>

enum { KEYS = 20 };
static pthread_key_t keys[KEYS];

static void at_end(void *value) {
    void *block = calloc(3, 11), *aligned;
    logged(33);
    if (posix_memalign(&aligned, 64, 100)) _exit(4);
    logged(100);
    free(block);
    unlogged(33);
    free(aligned);
    unlogged(100);
    for (int key = 0; key < KEYS; key++) pthread_setspecific(keys[key], value);
}

static void *work(void *value) {
    for (int key = 0; key < KEYS; key++) pthread_setspecific(keys[key], value);
    return 0;
}

int main(void) {
    /* Some before the library's own key, and some behind it. */
    for (int key = 0; key < KEYS; key++) {
        if (key == KEYS / 2) { free(malloc(50)); logged(50); unlogged(50); }
        if (pthread_key_create(&keys[key], at_end)) return 3;
    }
    for (int thread = 0; thread < 10; thread++) {
        pthread_t id;
        if (pthread_create(&id, 0, work, keys)) return 3;
        pthread_join(id, 0);
    }
    tell();
}
