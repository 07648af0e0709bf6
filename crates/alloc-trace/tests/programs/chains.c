/* Blocks of told sizes from stacks that backtrace(3) tells, too: through the C library, from a thread, with a frame that is as large as an
 * argument says, and from a tail of small functions. Prints a line for each: size, then the return addresses, the innermost first. */
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 60 };

static void tell(size_t size, void **addresses, int count) {
    flockfile(stdout);
    printf("%zu", size);
    for (int index = 0; index < count; index++) printf(" %lx", (unsigned long)addresses[index]);
    printf("\n");
    funlockfile(stdout);
}

__attribute__((noinline)) static void *ask(size_t size) {
    void *addresses[MOST];
    int count = backtrace(addresses, MOST);
    void *block = malloc(size);
    memset(block, 1, size);
    tell(size, addresses, count);
    return block;
}

static int compare(const void *a, const void *b) {
    static int asked;
    if (!asked++) ask(1001);
    return *(const int *)a - *(const int *)b;
}

__attribute__((noinline)) static int with_room(int bytes) {
    volatile char room[bytes];
    memset((char *)room, 7, bytes);
    void *block = ask(1002);
    int last = room[bytes - 1] + *(char *)block;
    return last;
}

__attribute__((noinline)) static int deep(int depth) {
    if (depth == 0) return ask(1003) != 0;
    int below = deep(depth - 1);
    __asm__ volatile("" ::"r"(below));
    return below + 1;
}

static void *thread(void *argument) {
    ask(1004);
    return argument;
}

int main(int count, char **arguments) {
    (void)arguments;
    void *first[2];
    backtrace(first, 2); /* loads a library, and allocates */
    int numbers[] = {3, 1, 2};
    qsort(numbers, 3, sizeof *numbers, compare);
    int sum = with_room(100 * count) + deep(30);
    pthread_t id;
    pthread_create(&id, 0, thread, 0);
    pthread_join(id, 0);
    return sum == 0;
}
