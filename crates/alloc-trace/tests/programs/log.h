/* A program's own log of its blocks, told at the end on stdout. Allocates nothing itself: that would be traced. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct { long calls, bytes, frees, live, live_bytes, peak; } book;

static void logged(long size) {
    book.calls++;
    book.bytes += size;
    book.live++;
    book.live_bytes += size;
    if (book.live_bytes > book.peak) book.peak = book.live_bytes;
}

static void unlogged(long size) {
    book.frees++;
    book.live--;
    book.live_bytes -= size;
}

static void tell(void) {
    char text[200];
    int length = snprintf(text, sizeof text, "%ld %ld %ld %ld %ld %ld\n", book.calls, book.bytes, book.frees, book.live,
                          book.live_bytes, book.peak);
    if (write(1, text, length) != length) _exit(3);
}
