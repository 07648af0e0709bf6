/* Blocks that wander between threads: allocated here, resized there, freed elsewhere; threads that leave by pthread_exit, and threads
 * whose destructors still allocate. */
#include "log.h"
#include <pthread.h>
#include <stdlib.h>

enum { THREADS = 40, BLOCKS = 300 };
static void *shared[THREADS][BLOCKS];
static pthread_key_t key;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void at_end(void *block) {
    free(block);
    void *again = malloc(33);
    free(again);
    pthread_mutex_lock(&mutex);
    unlogged(77); logged(33); unlogged(33);
    pthread_mutex_unlock(&mutex);
}

static void *fill(void *argument) {
    long thread = (long)argument;
    for (int block = 0; block < BLOCKS; block++) shared[thread][block] = malloc(100 + block);
    pthread_setspecific(key, malloc(77));
    pthread_mutex_lock(&mutex);
    for (int block = 0; block < BLOCKS; block++) logged(100 + block);
    logged(77);
    pthread_mutex_unlock(&mutex);
    if (thread % 2) pthread_exit(0);
    return 0;
}

static void *change(void *argument) {
    long thread = (long)argument;
    void **blocks = shared[(thread + 1) % THREADS];
    for (int block = 0; block < BLOCKS; block++) {
        if (block % 3 == 0) free(blocks[block]);
        else blocks[block] = realloc(blocks[block], 1000);
    }
    pthread_mutex_lock(&mutex);
    for (int block = 0; block < BLOCKS; block++) {
        unlogged(100 + block);
        if (block % 3) logged(1000);
    }
    pthread_mutex_unlock(&mutex);
    return 0;
}

static void together(void *(*work)(void *)) {
    pthread_t ids[THREADS];
    for (long thread = 0; thread < THREADS; thread++)
        if (pthread_create(&ids[thread], 0, work, (void *)thread)) _exit(4);
    for (int thread = 0; thread < THREADS; thread++) pthread_join(ids[thread], 0);
}

int main(void) {
    pthread_key_create(&key, at_end);
    together(fill);
    together(change);
    for (int block = 0; block < BLOCKS; block++)
        if (block % 3) { free(shared[7][block]); unlogged(1000); }
    tell();
}
