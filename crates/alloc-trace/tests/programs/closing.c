/* Closes all files again and again, while others ask for blocks. */
#include "log.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 2, BLOCKS = 400000, SIZE = 30 };
static atomic_int begun, working = THREADS;

static void *work(void *nothing) {
    for (int block = 0; block < BLOCKS; block++) {
        free(malloc(SIZE));
        if (block == 0) begun++;
    }
    working--;
    return nothing;
}

int main(void) {
    pthread_t ids[THREADS];
    for (int thread = 0; thread < THREADS; thread++)
        if (pthread_create(&ids[thread], 0, work, 0)) return 3;
    /* What is looked for of the process at first can't be read while its files are closed. */
    while (begun < THREADS) ;
    while (working)
        for (int file = 3; file < 1024; file++) close(file);
    for (int thread = 0; thread < THREADS; thread++) pthread_join(ids[thread], 0);
    book.calls = book.frees = THREADS * BLOCKS;
    book.bytes = (long)THREADS * BLOCKS * SIZE;
    tell();
}
