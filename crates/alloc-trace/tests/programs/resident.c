/* A block that becomes resident, and goes; each is followed by a block of its own mapping, when it is time for a look at the process's memory. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BYTES = 64 << 20 };

static void look(void) {
    struct timespec time = {0, 20 * 1000 * 1000};
    nanosleep(&time, 0);
    char *volatile block = malloc(1 << 20);
    free(block);
}

int main(void) {
    char *volatile block = malloc(BYTES);
    memset(block, 1, BYTES);
    look();
    free(block);
    look();
}
