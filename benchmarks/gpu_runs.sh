#!/usr/bin/env bash
# The commands of gpu_runs.md: gpu_runs.sh [--dry_run] [PART ...], of nan, kernel, kernel_models,
# kernel_torch, attention, models, precision, small, large, detectors.
# Finished runs only report, interrupted ones resume. With --dry_run everything is as small as possible, to see that it
# works on a CPU in minutes, below /tmp/dry_run.
set -euo pipefail
cd "$(dirname "$0")/.."
export KERAS_BACKEND=jax
python=${PYTHON:-python}
results=benchmarks/results/gpu runs=/tmp/runs
# Settings: those of a GPU, and those of a dry run.
sizes=7,14,28,32 large_sizes=56,64 batch=128 large_batch=8
models=(--precision=mixed_bfloat16 --batch_size=256 --steps=30 --rounds=3)
precision=(--batch_size=128 --seconds=2)
kernel=() pallas=pallas
# The first of the 30 epochs of `large`: two thirds of its warm-up.
nan_batch=256 nan=(--config.epochs=1 --config.batch_size=256 --config.warmup_fraction=0.99)
nan_rate=0.132 fused=fused
seeds=(0 1 2) small=(--config.epochs=60 --config.batch_size=256) large=(--config.epochs=30 --config.batch_size=256)
detectors=(--config.epochs=40) both=(--config.precision=mixed_bfloat16)
if [[ ${1:-} == --dry_run ]]; then
  shift
  results=/tmp/dry_run/results runs=/tmp/dry_run/runs
  sizes=7 large_sizes=8 batch=1 large_batch=1
  models=(--precision=mixed_bfloat16 --batch_size=1 --rounds=1 --networks=wide_resnet28_10)
  precision=(--batch_size=1 --seconds=0 --cases=core_14)
  kernel=(--sizes=5 --sweep=4 --batch_size=1 --seconds=0 --sweep_seconds=5 --trials=3) pallas=auto # interpreted on CPUs
  dry=(--config.epochs=1 --config.steps_per_epoch=1)
  digits=(--config.dataset=digits --config.batch_size=32) # whose test images are few and small
  nan_batch=4 nan=("${dry[@]}" "${digits[@]}") fused=auto # there is no fused kernel on CPUs
  seeds=(0) small=("${dry[@]}" "${digits[@]}") large=("${dry[@]}" "${digits[@]}")
  detectors=("${dry[@]}" --config.batch_size=2)
fi
parts=("$@")
[[ ${#parts[@]} -gt 0 ]] || parts=(nan kernel kernel_models kernel_torch attention models precision small large detectors)

run() {
  printf '+ %s\n' "$*"
  "$python" "$@"
}

# The first epoch of AA-Wide-ResNet-28-10: fails if the loss becomes NaN. The arguments are a name, the implementation of
# attention, and the learning rate at the end of the epoch.
first_epoch() {
  run train.py --config=cifar100_aa_wide_resnet28_10 --workdir="$runs/nan-$1" "${nan[@]}" "${both[@]}" \
    --config.builder_arguments.implementation="$2" --config.learning_rate_per_256="$3"
}

for part in "${parts[@]}"; do
  case $part in
    nan)
      run benchmarks/kernel_nan.py --batch_size=$nan_batch --output=$results
      if ! first_epoch fused $fused $nan_rate; then
        first_epoch dense dense $nan_rate || true
        first_epoch longer_warmup $fused 0.066 || true # --config.warmup_fraction=0.1 in 30 epochs
      fi
      ;;
    kernel) run benchmarks/kernel.py "${kernel[@]}" --output=$results ;;
    kernel_torch) KERAS_BACKEND=torch run benchmarks/kernel.py "${kernel[@]}" --trials=4 --output=$results ;;
    kernel_models) run benchmarks/models.py "${models[@]}" --implementation=$pallas --output="${results}_pallas" ;;
    attention)
      run benchmarks/attention.py --dtype=bfloat16 --batch_size=$batch --sizes=$sizes --output=$results
      run benchmarks/attention.py --dtype=bfloat16 --batch_size=$large_batch --sizes=$large_sizes --output="${results}_large"
      ;;
    models) run benchmarks/models.py "${models[@]}" --output=$results ;;
    precision)
      run benchmarks/precision.py "${precision[@]}" --output=$results
      run benchmarks/precision.py "${precision[@]}" --implementation=$pallas --output="${results}_pallas"
      ;;
    small)
      for seed in "${seeds[@]}"; do
        for builder in AAWideResNet16_4 WideResNet16_4; do
          run train.py --config=cifar100_aa_wide_resnet16_4 --workdir="$runs/$builder-$seed" --config.builder=$builder \
            --config.seed="$seed" "${small[@]}" "${both[@]}"
        done
      done
      ;;
    large)
      for network in aa_wide_resnet28_10 wide_resnet28_10; do
        run train.py --config=cifar100_$network --workdir="$runs/$network" --config.weight_decay=5e-4 "${large[@]}" "${both[@]}"
      done
      ;;
    detectors) run train.py --config=bccd_aa_retinanet --workdir="$runs/bccd" "${detectors[@]}" "${both[@]}" ;;
    *)
      echo "gpu_runs.sh: there is no part $part, but nan, kernel, kernel_models, kernel_torch, attention, models, precision, small, large and detectors" >&2
      exit 1
      ;;
  esac
done
