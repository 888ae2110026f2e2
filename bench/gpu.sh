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
  # Ten minutes in all: what is behind needs the budget and three minutes for evaluation, curves and comparison.
  left=$((600 - budget - 180 - spent))
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

# The same run, same seed, in three ways (a question of trust, not of speed): losses and k-NN side by side. The noise is the same, so the
# curves lie on each other: within 1 % of the loss at every line (bf16 against f32 on a CPU: 0.009 %).
curve() {
  name=$1; shift
  timeout 60 "$program" train --data drawn --preset xs --steps 300 --log-every 20 --knn-every 300 --seed 7 --out "$out/curve-$name" --overwrite "$@" \
    > "$out/curve-$name.txt" 2>&1 || { failed=1; echo "curve $name: FAILED"; tail -2 "$out/curve-$name.txt"; }
}
field() { sed -n "s/.*\"$2\":\([-0-9.e]*\).*/\1/p" "$out/curve-$1/metrics.jsonl" 2>/dev/null; }
printf '\n== loss curves of one seed\n'
curve cpu --device cpu
curve f32 --device "$device"
curve bf16 --device "$device" --precision bf16
for name in f32 bf16; do
  band=0.01
  field cpu loss > "$out/loss-cpu"; field "$name" loss > "$out/loss-$name"
  paste "$out/loss-cpu" "$out/loss-$name" | awk -v name="$name" -v band="$band" '
    NF == 2 { d = ($2 - $1) / $1; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
    END { printf "%s against f32 on the CPU: %d lines, largest difference %.3f %% of the loss (band %g %%)\n", name, n, 100 * worst, 100 * band
          exit !(n > 0 && worst <= band) }' || failed=1
  echo "k-NN: $(field cpu knn | tail -1) on the CPU, $(field "$name" knn | tail -1) in $name"
done

if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null && [ "$device" != cpu ]; then
  here=$(dirname "$0")
  python3 "$here/pytorch/compare.py" --ldae "$program" --device cuda --batch 256 --bf16 --compiled -- --preset vit-base || failed=1
else
  echo "no PyTorch with CUDA here: no comparison"
fi
exit $failed
