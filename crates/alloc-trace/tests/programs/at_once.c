/* Threads that begin to allocate at the same moment: before anything else is asked for where the C library needs nothing for threads, and again
 * in a forked child. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, BLOCKS = 1000 };
static atomic_int there;

static void *work(void *nothing) {
    there++;
    while (there < THREADS) ;
    for (int block = 0; block < BLOCKS; block++) free(malloc(20));
    return nothing;
}

static void together(void) {
    pthread_t ids[THREADS];
    there = 0;
    for (int thread = 0; thread < THREADS; thread++)
        if (pthread_create(&ids[thread], 0, work, 0)) _exit(3);
    for (int thread = 0; thread < THREADS; thread++) pthread_join(ids[thread], 0);
}

int main(void) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        together();
        return 0;
    }
    if (waitpid(child, &status, 0) != child || status) return 4;
    together();
}
