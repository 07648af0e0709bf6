#!/usr/bin/env bash
# How much longer Python takes while it is traced, with its functions on the stacks, beside the peers that are installed (memray: pip install memray);
# also with every object (`run --python-objects`; and
# PYTHONMALLOC=malloc, with which Python asks malloc for each). Modes take turns; a figure is the median of ROUNDS ratios of the fastest of 5 rounds inside a
# process, so that start and stop are not in it.
#
#     PYTHON=python3.11 crates/alloc-trace/benches/python.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../../.."
rounds=${1:-7}
# Not a script that looks for another Python, as pyenv's are.
python=$("${PYTHON:-python3}" -c 'import sys; print(sys.executable)')
cargo build --quiet --profile preload --package alloc-trace-preload
library=$(realpath "${CARGO_TARGET_DIR:-target}/preload/liballoc_trace_preload.so")
program=crates/alloc-trace/benches/python.py
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() { # MODE WORKLOAD: prints seconds
    rm -rf "$work/out"; mkdir "$work/out"
    case $1 in
        untraced) "$python" $program "$2" 5 ;;
        alloc-trace) ALLOC_TRACE_FILE=$work/out/t LD_PRELOAD=$library "$python" $program "$2" 5 ;;
        every-object) ALLOC_TRACE_PYTHON_OBJECTS=1 ALLOC_TRACE_FILE=$work/out/t LD_PRELOAD=$library "$python" $program "$2" 5 ;;
        untraced-malloc) PYTHONMALLOC=malloc "$python" $program "$2" 5 ;;
        traced-malloc) PYTHONMALLOC=malloc ALLOC_TRACE_FILE=$work/out/t LD_PRELOAD=$library "$python" $program "$2" 5 ;;
        memray) "$python" -m memray run -q -o "$work/out/m" $program "$2" 5 | grep -E '^[0-9.]+$' ;;
        memray-objects) "$python" -m memray run -q --trace-python-allocators -o "$work/out/m" $program "$2" 5 | grep -E '^[0-9.]+$' ;;
        memray-native) "$python" -m memray run -q --native -o "$work/out/m" $program "$2" 5 | grep -E '^[0-9.]+$' ;;
    esac
}

modes="alloc-trace every-object untraced-malloc traced-malloc"
if "$python" -c 'import memray' 2> /dev/null; then modes+=" memray memray-native memray-objects"; else echo "memray is not installed"; fi
"$python" --version
for workload in json calls sqlite; do
    declare -A ratios=()
    for _ in $(seq "$rounds"); do
        for mode in $modes; do
            plain=$(run untraced $workload)
            traced=$(run "$mode" $workload)
            ratios[$mode]+=$(awk -v a="$traced" -v b="$plain" 'BEGIN { print a / b }')$'\n'
        done
    done
    for mode in $modes; do
        printf '%s' "${ratios[$mode]}" | sort -g | awk -v mode="$mode" -v workload=$workload \
            '{ r[NR] = $1 } END { printf "%-7s %-14s %.3f x untraced [%.3f, %.3f]\n", workload, mode, r[int((NR + 1) / 2)], r[1], r[NR] }'
    done
done
