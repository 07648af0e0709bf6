/* A signal handler that maps and unmaps memory, in the midst of allocations. */
#include "log.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>

static volatile long handled;

static void handle(int signal) {
    (void)signal;
    void *page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || munmap(page, 4096)) _exit(4);
    handled++;
}

int main(void) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, 0);
    struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, 0);
    void *live[100] = {0};
    for (long step = 0; step < 500000 || handled < 50; step++) {
        if (live[step % 100]) { free(live[step % 100]); unlogged(40); }
        live[step % 100] = step % 2 ? malloc(40) : calloc(4, 10);
        logged(40);
    }
    setitimer(ITIMER_REAL, &never, 0);
    book.peak = handled;
    tell();
}
