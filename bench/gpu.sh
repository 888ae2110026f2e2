#!/bin/sh
# What training reaches on a GPU machine that has neither Rust nor network: the program is brought along.
#
#   cargo build --release --features cuda && strip -o ldae target/release/ldae && xz ldae     here: about 15 MB
#   LDAE=./ldae DATA=folder sh bench/gpu.sh [OUT]                                              there
#
# LDAE     the program, built with feature cuda
# DATA     pictures to train on [drawn]
# DEVICE   cuda, or cpu to try the script
# BUDGET   seconds that the training run may take, of ten minutes in all [300]
#
# Prints a table and leaves OUT/*.json and the run behind. A part that fails is reported as such; the others go on.
set -u
out=${1:-gpu-results}
program=${LDAE:-ldae}
device=${DEVICE:-cuda}
data=${DATA:-drawn}
budget=${BUDGET:-300}
mkdir -p "$out" || exit 2
"$program" --version || { echo "no program: set LDAE" >&2; exit 2; }
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo "nvidia-smi is not there"
failed=0
began=$(date +%s)

# name, arguments of `ldae bench --train`
speed() {
  name=$1; shift
  spent=$(($(date +%s) - began))
  # Ten minutes in all: what is behind needs the budget and two minutes for evaluation and comparison.
  left=$((600 - budget - 120 - spent))
  if [ "$left" -lt 15 ]; then printf '\n== %s: skipped, %s s are gone\n' "$name" "$spent"; return; fi
  if timeout "$left" "$program" bench --train --device "$device" --json "$@" > "$out/$name.json" 2> "$out/$name.err"; then
    printf '\n== %s: %s\n' "$name" "$*"
    sed 's/[{},]/\n/g; s/"//g' "$out/$name.json" | grep -E '^(pictures_per_second|flop_per_second|ceiling_flop_per_second|step|data|forward|backward|optimiser|waits):'
  else
    failed=1
    printf '\n== %s: FAILED\n' "$name"; tail -3 "$out/$name.err"
  fi
}

# The most wanted first.
if [ "$device" != cpu ]; then # minutes a step on a CPU
  speed vit-base-bf16 --preset vit-base --batch 256 --precision bf16
fi
speed m-1024 --preset m --batch 1024
if [ "$device" != cpu ]; then
  speed m-1024-bf16 --preset m --batch 1024 --precision bf16
  speed vit-base --preset vit-base --batch 64
  speed vit-base-bf16-recompute --preset vit-base --batch 512 --precision bf16 --recompute
  speed vit-small-bf16 --preset vit-small --batch 256 --precision bf16
fi
speed m-64 --preset m --batch 64

printf '\n== training on %s, at most %s s\n' "$data" "$budget"
timeout -s INT "$budget" "$program" train --data "$data" --preset m --upscale --batch 256 --epochs "${EPOCHS:-20}" --device "$device" \
  --out "$out/run" --overwrite > "$out/train.txt" 2>&1
status=$?
cat "$out/train.txt"
tail -3 "$out/run/train.log" 2>/dev/null
[ $status -eq 0 ] || [ $status -eq 124 ] || failed=1
[ $status -ne 124 ] || echo "stopped after $budget s; the last checkpoint counts"
if [ -e "$out/run/checkpoints/last.safetensors" ]; then
  timeout 120 "$program" eval "$out/run" --json > "$out/eval.json" 2> "$out/eval.err" && echo "eval: $out/eval.json" || failed=1
fi

if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null && [ "$device" != cpu ]; then
  here=$(dirname "$0")
  python3 "$here/pytorch/compare.py" --ldae "$program" --device cuda --batch 256 --bf16 --compiled -- --preset vit-base || failed=1
else
  echo "no PyTorch with CUDA here: no comparison"
fi
exit $failed
