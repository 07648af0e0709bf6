/* What malloc asks the system for: a block that is mapped for itself, a heap that grows and is given back, an arena of a second thread. Prints by
 * how much the heap's end was higher at the most, and where it ended up, in bytes from where it was when main began. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 64, SIZE = 100000, LARGE = 40 << 20 };

__attribute__((noinline)) static void *large(void) { return malloc(LARGE); }

static void *second(void *argument) {
    void *block = malloc(1000);
    memset(block, 1, 1000);
    free(block);
    return argument;
}

int main(void) {
    static void *blocks[BLOCKS];
    char *begin = sbrk(0);
    void *alone = large();
    memset(alone, 1, LARGE);
    alone = realloc(alone, LARGE / 2);
    free(alone);
    for (int index = 0; index < BLOCKS; index++) blocks[index] = malloc(SIZE);
    long most = (char *)sbrk(0) - begin;
    for (int index = BLOCKS; index-- > 0;) free(blocks[index]);
    malloc_trim(0);
    pthread_t id;
    pthread_create(&id, 0, second, 0);
    pthread_join(id, 0);
    printf("%ld %ld\n", most, (long)((char *)sbrk(0) - begin));
    return 0;
}
