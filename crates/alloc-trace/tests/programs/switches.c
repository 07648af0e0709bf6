/* Eight coroutines that take turns, each on a stack of its own, and allocate. */
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { COUNT = 8, ROUNDS = 1000, STACK = 64 << 10 };

static ucontext_t own, coroutines[COUNT];
static void *volatile block;

void works(int size) {
    block = malloc(size);
    free(block);
}

void body(int index) {
    for (int round = 0; round < ROUNDS; round++) {
        works(10 + index);
        swapcontext(&coroutines[index], &own);
    }
}

int main(void) {
    for (int index = 0; index < COUNT; index++) {
        getcontext(&coroutines[index]);
        // Each with a page between that no stack is on.
        char *stack = mmap(0, STACK + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED || mprotect(stack, 4096, PROT_NONE)) return 3;
        coroutines[index].uc_stack.ss_sp = stack + 4096;
        coroutines[index].uc_stack.ss_size = STACK;
        coroutines[index].uc_link = &own;
        makecontext(&coroutines[index], (void (*)(void))body, 1, index);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int index = 0; index < COUNT; index++) swapcontext(&own, &coroutines[index]);
    }
}
