/* Ends in the way that its argument names, after allocating in a constructor, in main, and, if it comes to that, in an exit handler. */
#include "log.h"
#include <signal.h>
#include <stdlib.h>

__attribute__((constructor)) static void before(void) { if (!malloc(1000)) _exit(3); }
static void after(void) { if (!malloc(2000)) _exit(3); }

int main(int count, char **arguments) {
    if (count != 2) return 2;
    if (atexit(after)) return 3;
    for (int block = 0; block < 20000; block++) if (!malloc(10)) return 3;
    switch (*arguments[1]) {
    case 'k': raise(SIGKILL); break;
    case 'a': abort();
    case '_': _exit(0);
    case 'f': { volatile char *nowhere = 0; *nowhere = 1; }
    }
}
