/* Asks for blocks from stacks that change in every way that stacks can, by chance: `wanders SEED STEPS`. */
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define APART __attribute__((noinline, noclone))
#define WITH_POINTER __attribute__((noinline, noclone, optimize("no-omit-frame-pointer")))

static __thread uint64_t state;
static __thread long left;
static __thread jmp_buf *back;
static __thread ucontext_t outside, inside;
static __thread int is_switched;

static unsigned chance(unsigned count) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % count;
}

static int act(int depth);

APART static int ask(size_t size) {
    char *block = malloc(size);
    block[size - 1] = 1;
    int last = block[size - 1];
    free(block);
    return last;
}

/* Two places to call from: the frame is the same, the return address is not. */
APART static int plain(int depth) {
    int sum = chance(2) ? act(depth - 1) + 1 : act(depth - 1) + 2;
    return sum + ask(24);
}

WITH_POINTER static int with_pointer(int depth) {
    int sum = chance(2) ? act(depth - 1) + 1 : act(depth - 1) + 2;
    return sum + ask(40);
}

/* A frame counted from the frame pointer, of another size each time. */
APART static int with_room(int depth) {
    size_t bytes = 16 + chance(6) * 16;
    char *room = alloca(bytes);
    memset(room, 7, bytes);
    return act(depth - 1) + room[bytes - 1];
}

/* Many values that live across a call: all registers that a callee saves, the frame pointer among them. */
APART static int with_values(int depth) {
    int a = chance(9), b = chance(9), c = chance(9), d = chance(9), e = chance(9), f = chance(9);
    int sum = act(depth - 1);
    __asm__ volatile("" ::"r"(a), "r"(b), "r"(c), "r"(d));
    return sum + a + b + c + d + e + f + act(depth - 2) * (a + b - c + d - e + f);
}

APART static int with_jump(int depth) {
    jmp_buf here, *before = back;
    int was_switched = is_switched;
    if (setjmp(here) == 0) {
        back = &here;
        act(depth - 1);
    }
    back = before;
    is_switched = was_switched;
    return ask(56);
}

static int compare(const void *a, const void *b) {
    return act(1) > 1000 ? 0 : *(const int *)a - *(const int *)b;
}

APART static int with_callback(int depth) {
    int numbers[] = {3, 1, 2, (int)chance(4), depth};
    qsort(numbers, 5, sizeof *numbers, compare);
    return numbers[0];
}

APART static int deeper(int depth) {
    if (depth == 0) return ask(72);
    int below = deeper(depth - 1);
    __asm__ volatile("" ::"r"(below));
    return below + 1;
}

/* Does not switch: the next signal would begin on the same stack. */
static void on_signal(int number) {
    (void)number;
    int was_switched = is_switched;
    is_switched = 1;
    act(2);
    is_switched = was_switched;
}

static void elsewhere(void) {
    for (;;) {
        act(4);
        swapcontext(&inside, &outside);
    }
}

APART static int with_switch(int depth) {
    if (is_switched) return act(depth - 1);
    jmp_buf *before = back;
    back = 0;
    is_switched = 1;
    swapcontext(&outside, &inside);
    is_switched = 0;
    back = before;
    return ask(88);
}

APART static int down(int depth) {
    (void)depth;
    return deeper(chance(8) ? chance(20) : 100 + chance(60));
}

APART static int with_signal(int depth) {
    raise(chance(2) ? SIGUSR1 : SIGUSR2);
    return ask(120) + depth;
}

APART static int jump(int depth) {
    if (back && !chance(3)) longjmp(*back, 1);
    return ask(136) + depth;
}

APART static int twice(int depth) {
    return ask(16) + ask(16) + depth;
}

/* All are called from one place: frames of the same addresses are told apart by what is beyond them alone. */
static int act(int depth) {
    static int (*const ways[])(int) = {plain, plain, with_pointer, with_pointer, with_room, with_room, with_room, with_values, with_values,
                                       with_jump, with_callback, down, with_signal, with_switch, jump, twice};
    if (depth <= 0 || left-- <= 0) return ask(104);
    int sum = ways[chance(sizeof ways / sizeof *ways)](depth);
    __asm__ volatile("" ::"r"(sum));
    return sum;
}

static void *run(void *argument) {
    char own_stack[512 << 10], signal_stack[512 << 10];
    stack_t there = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    sigaltstack(&there, 0);
    getcontext(&inside);
    inside.uc_stack.ss_sp = own_stack;
    inside.uc_stack.ss_size = sizeof own_stack;
    makecontext(&inside, elsewhere, 0);
    long all = ((long *)argument)[1];
    state = ((long *)argument)[0];
    for (long round = 0; round * 50 < all; round++) {
        left = 50;
        act(1 + chance(30));
    }
    there.ss_flags = SS_DISABLE;
    sigaltstack(&there, 0);
    return 0;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
    sigaction(SIGUSR1, &action, 0);
    action.sa_flags |= SA_ONSTACK;
    sigaction(SIGUSR2, &action, 0);
    pthread_t ids[2];
    long tasks[2][2];
    for (int index = 0; index < 2; index++) {
        tasks[index][0] = atol(arguments[1]) * 2 + index;
        tasks[index][1] = atol(arguments[2]);
        pthread_create(&ids[index], 0, run, tasks[index]);
    }
    for (int index = 0; index < 2; index++) pthread_join(ids[index], 0);
    puts("done");
    return 0;
}
