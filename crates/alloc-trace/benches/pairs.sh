#!/usr/bin/env bash
# What a traced pair of malloc and free costs, beside the peers that are installed: nanoseconds per pair as slopes between a short and a long run, so
# that fixed costs are apart (dhat-rs of a tenth of the pairs); with frame pointers, and (`-bare`) without; `sampled` at 512 KiB; bytes on disk per pair, likewise; fixed start and stop; peak memory. Modes take turns; the least of ROUNDS is taken.
# What is too close for that is put side by side: untraced, sampled, and with a library that only jumps on, 40 rounds of long runs.
#
#     crates/alloc-trace/benches/pairs.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../../.."
rounds=${1:-5}
short=300000 long=3000000
cargo build --quiet --profile preload --package alloc-trace-preload
library=${CARGO_TARGET_DIR:-target}/preload/liballoc_trace_preload.so
library=$(realpath "$library")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in pairs pairs-bare; do
    frames=-fno-omit-frame-pointer
    if [ $name = pairs-bare ]; then frames=-fomit-frame-pointer; fi
    cc -O2 $frames -fno-optimize-sibling-calls -pthread crates/alloc-trace/benches/pairs.c -o "$work/$name"
done

run() { # MODE THREADS PAIRS: prints nanoseconds per pair, leaves files in $work/out
    rm -rf "$work/out"; mkdir "$work/out"
    case $1 in
        untraced) "$work/pairs" "$2" "$3" ;;
        alloc-trace) ALLOC_TRACE_FILE=$work/out/t LD_PRELOAD=$library "$work/pairs" "$2" "$3" ;;
        sampled) ALLOC_TRACE_SAMPLE=524288 ALLOC_TRACE_FILE=$work/out/t LD_PRELOAD=$library "$work/pairs" "$2" "$3" ;;
        jumps) LD_PRELOAD=$work/jumps.so "$work/pairs" "$2" "$3" ;;
        untraced-bare) "$work/pairs-bare" "$2" "$3" ;;
        alloc-trace-bare) ALLOC_TRACE_FILE=$work/out/t LD_PRELOAD=$library "$work/pairs-bare" "$2" "$3" ;;
        dhat-rs) DHAT_FILE=$work/out/t "$dhat" "$2" "$(($3 / 10))" 2> /dev/null ;;
        heaptrack) heaptrack -o "$work/out/t" "$work/pairs" "$2" "$3" 2> /dev/null | grep -E '^[0-9.]+$' ;;
    esac
}

cc -O2 -shared -fPIC crates/alloc-trace/benches/peers/jumps.c -o "$work/jumps.so" -ldl

modes="untraced sampled alloc-trace untraced-bare alloc-trace-bare"
if command -v heaptrack > /dev/null; then modes+=" heaptrack"; else echo "heaptrack is not installed"; fi
# dhat-rs from the registry, in a project of its own, so that nothing else here depends on it.
dhat=${CARGO_TARGET_DIR:-target}/dhat-pairs/release/dhat-pairs
mkdir -p "$work/dhat/src"
cp crates/alloc-trace/benches/peers/dhat.rs "$work/dhat/src/main.rs"
cat > "$work/dhat/Cargo.toml" << 'END'
[package]
name = "dhat-pairs"
edition = "2024"
[dependencies]
dhat = "0.3"
[profile.release]
debug = 1
END
if cargo build --quiet --release --manifest-path "$work/dhat/Cargo.toml" --target-dir "${CARGO_TARGET_DIR:-target}/dhat-pairs"; then
    modes+=" dhat-rs"
else
    echo "dhat-rs can't be built"
fi
for threads in 1 2; do
    declare -A least_short=() least_long=() bytes_short=() bytes_long=()
    for _ in $(seq "$rounds"); do
        for mode in $modes; do
            for pairs in $short $long; do
                ns=$(run "$mode" "$threads" "$pairs")
                bytes=$(find "$work/out" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }')
                if [ "$pairs" = $short ]; then
                    least_short[$mode]=$(awk -v a="${least_short[$mode]:-1e9}" -v b="$ns" 'BEGIN { print a < b ? a : b }')
                    bytes_short[$mode]=$bytes
                else
                    least_long[$mode]=$(awk -v a="${least_long[$mode]:-1e9}" -v b="$ns" 'BEGIN { print a < b ? a : b }')
                    bytes_long[$mode]=$bytes
                fi
            done
        done
    done
    for mode in $modes; do
        awk -v mode="$mode" -v threads="$threads" -v s="${least_short[$mode]}" -v l="${least_long[$mode]}" -v n=$short -v m=$long \
            -v bs="${bytes_short[$mode]}" -v bl="${bytes_long[$mode]}" 'BEGIN {
                printf "%-16s %d thread(s): %6.1f ns/pair (slope), %5.2f bytes/pair (slope); short run %.1f ns/pair\n",
                    mode, threads, (l * m - s * n) / (m - n), (bl - bs) / (m - n) / threads, s }'
    done
done
echo "start and stop: 30 runs of \`pairs 1 10\`; memory: most of one run of \`pairs 1 $long\`"
for mode in untraced alloc-trace; do
    begin=$(date +%s%N)
    for _ in $(seq 30); do run $mode 1 10 > /dev/null; done
    end=$(date +%s%N)
    rm -rf "$work/out"; mkdir "$work/out"
    variables=()
    if [ $mode = alloc-trace ]; then variables=("ALLOC_TRACE_FILE=$work/out/t" "LD_PRELOAD=$library"); fi
    # GNU time is small itself: what a process had before it became the program counts, too.
    peak=$({ env "${variables[@]}" /usr/bin/time --format %M "$work/pairs" 1 $long > /dev/null; } 2>&1 || echo "? (needs GNU time)")
    awk -v mode=$mode -v t=$((end - begin)) -v peak="$peak" 'BEGIN { printf "%-12s %.2f ms a run, %s KiB\n", mode, t / 30e6, peak }'
done
for threads in 1 2; do
    for _ in $(seq 40); do
        echo "$(run untraced $threads $long) $(run sampled $threads $long) $(run jumps $threads $long)"
    done > "$work/beside"
    for mode in sampled jumps; do
        column=$([ $mode = sampled ] && echo 2 || echo 3)
        least=$(awk -v c="$column" 'NR == 1 || $1 < a { a = $1 } NR == 1 || $c < b { b = $c } END { printf "%.3f", b / a }' "$work/beside")
        awk -v c="$column" '{ print $c / $1 }' "$work/beside" | sort -g | awk -v mode=$mode -v threads=$threads -v least="$least" \
            '{ r[NR] = $1 } END { printf "%-8s %d thread(s): least over least %s x untraced, median %.3f [quartiles %.3f, %.3f]\n", mode, threads, least, r[20], r[10], r[30] }'
    done
done
