/* A program without a C library. */
void _start(void) { for (;;) {} }
