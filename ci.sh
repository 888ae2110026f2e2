#!/bin/sh
# Everything that CI runs, in named steps.
#
#   ./ci.sh             all steps
#   ./ci.sh STEP...     some steps
#   ./ci.sh list        their names
#
# A step whose tool is not installed is skipped and says so. Exit status 1 if a step failed.
# Everything is built in release: that is the one profile in which Burn is compiled (minutes).
set -u
cd "$(dirname "$0")" || exit 2

all_steps="fmt no_std no_panic firmware boards clippy doc test checked emulated instructions aarch64 linux_board onnx pytorch cuda mpi stream fuzz miri"
bare_targets="thumbv6m-none-eabi thumbv7em-none-eabihf riscv32imac-unknown-none-elf"
firmware_packages="app microbit qemu-arm qemu-m33 qemu-m55 qemu-riscv std"
board_packages="nucleo-f411re nucleo-h743zi nrf52840-dk pico pico2 esp32c3"
firmware_targets="thumbv6m-none-eabi thumbv7m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf riscv32imac-unknown-none-elf"
firmware_dir=${CARGO_TARGET_DIR:-$PWD/target}/firmware # where `ldae verify` puts it too

tools_dir=${CARGO_TARGET_DIR:-$PWD/target}/tools # as `ldae bench` does

# A step ends with `skip REASON` when this machine lacks something.
skip() { printf '%s\n' "$*" > "$skip_note"; }
have() { command -v "$1" >/dev/null 2>&1; }

# Cargo for a bare-metal target: with the installed core library, or else with one built from rust-src.
core_library() { # target
  sysroot=$(rustc --print sysroot)
  if ls "$sysroot/lib/rustlib/$1/lib/"libcore-*.rlib >/dev/null 2>&1; then echo installed
  elif [ -e "$sysroot/lib/rustlib/src/rust/library/Cargo.lock" ]; then echo source
  else echo none
  fi
}
cross() { # target, cargo command, arguments...
  target=$1; verb=$2; shift 2
  if [ "$(core_library "$target")" = source ]; then
    RUSTC_BOOTSTRAP=1 cargo "$verb" -Zbuild-std=core --target "$target" "$@"
  else
    cargo "$verb" --target "$target" "$@"
  fi
}
cross_or_skip() { # targets...
  for target in "$@"; do
    if [ "$(core_library "$target")" = none ]; then
      skip "no core library: rustup target add $target, or rustup component add rust-src"
      return 1
    fi
  done
}

step_fmt() {
  cargo fmt --all --check || return 1
  for package in $firmware_packages $board_packages; do (cd "firmware-examples/$package" && cargo fmt --check) || return 1; done
}

step_clippy() { cargo clippy --release --workspace --all-targets -- -D warnings; }

# Links to private items are for readers of the source.
step_doc() { RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --release --workspace --no-deps; }

step_test() { cargo test --release --workspace; }

# The crates that boards run, with overflow checks and debug assertions.
step_checked() { cargo test --profile checked -p ldae-shared -p ldae-device; }

step_no_std() {
  cross_or_skip $bare_targets || return 0
  for target in $bare_targets; do
    cross "$target" build --release -p ldae-shared -p ldae-device || return 1
  done
}

# Links only where no panic is reachable, in loading and in inference; a program that does panic must be refused.
step_no_panic() {
  cross_or_skip $bare_targets thumbv8m.main-none-eabihf || return 0
  for target in $bare_targets; do
    no_panic "$target" "$target" || return 1
    refused=$(cd tools/no-panic &&
      cross "$target" build --release --locked --bin panics --target-dir "$tools_dir/no-panic-$target" 2>&1) &&
      { echo "the proof cannot fail: a program that panics was linked for $target"; return 1; }
    case $refused in
      *ldae_a_panic_is_reachable*) ;;
      *) printf '%s\n' "$refused"; return 1 ;;
    esac
  done
  (export RUSTFLAGS="-C target-cpu=cortex-m55"; no_panic thumbv8m.main-none-eabihf cortex-m55)
}
no_panic() { # target, name
  for program in load embed; do
    (cd tools/no-panic && cross "$1" build --release --locked --bin $program --target-dir "$tools_dir/no-panic-$2") ||
      { echo "a panic is reachable in $program on $2"; return 1; }
  done
}

# Every package of firmware-examples for every target it has: lints and finished programs.
step_firmware() {
  cross_or_skip $firmware_targets || return 0
  firmware_package microbit thumbv6m-none-eabi &&
    firmware_package qemu-arm thumbv6m-none-eabi &&
    firmware_package qemu-arm thumbv7m-none-eabi &&
    firmware_package qemu-arm thumbv7em-none-eabihf &&
    firmware_package qemu-m33 thumbv8m.main-none-eabihf &&
    firmware_package qemu-m55 thumbv8m.main-none-eabihf &&
    firmware_package qemu-riscv riscv32imac-unknown-none-elf || return 1
  does_not_fit || return 1
  (cd firmware-examples/std && cargo clippy --release --locked --target-dir "$firmware_dir/std" -- -D warnings) &&
    (cd firmware-examples/std && cargo build --release --locked --target-dir "$firmware_dir/std")
}
# A preset that is too large for a board must end the build with a message, not with a fault on the board.
does_not_fit() {
  refused=$(cd firmware-examples/microbit && LDAE_PRESET=m cross thumbv6m-none-eabi build --release --locked --bin embed \
    --target-dir "$firmware_dir/microbit" 2>&1) && { echo "preset m was built for 16 KB of RAM"; return 1; }
  case $refused in
    *"the encoder needs more RAM than this board has"*) ;;
    *) printf '%s\n' "$refused"; return 1 ;;
  esac
}
firmware_package() { # package, target
  (cd "firmware-examples/$1" &&
    cross "$2" clippy --release --locked --target-dir "$firmware_dir/$1" -- -D warnings) &&
    (cd "firmware-examples/$1" && cross "$2" build --release --locked --target-dir "$firmware_dir/$1")
}

# Programs for real boards: that they compile and fit in the chip's memory; nothing can run them here. One target folder
# for all, so that what they share is compiled once.
step_boards() {
  cross_or_skip thumbv6m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf riscv32imc-unknown-none-elf || return 0
  for package in $board_packages; do
    echo "board: $package"
    target=$(sed -n 's/^target = "\(.*\)"/\1/p' "firmware-examples/$package/.cargo/config.toml")
    (cd "firmware-examples/$package" && cross "$target" build --release --locked --target-dir "$firmware_dir/boards") || return 1
  done
  # The READMEs promise what the built-in artifact gives.
  (cd firmware-examples/std && cargo build --release --locked --target-dir "$firmware_dir/std") || return 1
  printed=$("$firmware_dir/std/release/embed" | sed -n 's/^picture.*\(CRC-32 [0-9a-f]*, squared norm [0-9]*\).*/\1/p')
  [ -n "$printed" ] || { echo "embed prints no CRC-32"; return 1; }
  for package in $board_packages; do
    printf '%s\n' "$printed" | while read -r line; do
      grep -q "$line" "firmware-examples/$package/README.md" || { echo "$package/README.md lacks: $line"; exit 1; }
    done || return 1
  done
}

# On emulated boards: the example's own test vectors, then `ldae verify` with equal and with changed weights.
step_emulated() {
  for emulator in qemu-system-arm qemu-system-riscv32; do
    have $emulator || { skip "$emulator is not installed"; return 0; }
  done
  cross_or_skip $firmware_targets || return 0
  step_firmware || return 1
  embed microbit thumbv6m-none-eabi arm -machine microbit &&
    embed qemu-arm thumbv6m-none-eabi arm -machine mps2-an385 &&
    embed qemu-arm thumbv7m-none-eabi arm -machine mps2-an385 &&
    embed qemu-arm thumbv7em-none-eabihf arm -machine mps2-an386 &&
    embed qemu-arm thumbv7em-none-eabihf arm -machine mps2-an500 &&
    embed qemu-m33 thumbv8m.main-none-eabihf arm -machine mps2-an505 &&
    embed qemu-m55 thumbv8m.main-none-eabihf arm -machine mps3-an547 &&
    embed qemu-riscv riscv32imac-unknown-none-elf riscv32 -machine virt -cpu sifive-e31 -m 48M -bios none || return 1
  gallery qemu-arm thumbv7em-none-eabihf arm -machine mps2-an386 &&
    gallery qemu-riscv riscv32imac-unknown-none-elf riscv32 -machine virt -cpu sifive-e31 -m 48M -bios none || return 1
  cargo test --release -p ldae-host --lib verify:: -- --ignored &&
    cargo test --release -p ldae-tests --test board_programs -- --ignored &&
    LDAE_EMULATED=1 cargo test --release -p ldae-tests --test agreement -- 'emulated cortex-m4'
}
# Runs a program of a package on an emulated board: package/target, program, emulator, machine arguments.
emulate() {
  image=$firmware_dir/$1/release/$2; emulator=qemu-system-$3; shift 3
  timeout 120 "$emulator" "$@" -display none -semihosting-config enable=on,target=native -kernel "$image"
}
embed() { # package, target, emulator, machine arguments...
  image=$1/$2; shift 2
  echo "embed: $image, $*"
  emulate "$image" embed "$@"
}

# The board must print what this machine prints: learnt classes, votes, anomaly scores, to the last bit.
gallery() { # package, target, emulator, machine arguments...
  image=$1/$2; shift 2
  echo "gallery: $image, $*"
  here=$("$firmware_dir/std/release/gallery") || return 1
  there=$(emulate "$image" gallery "$@") || return 1
  printf '%s\n' "$there"
  [ "$here" = "$there" ] || { printf 'this machine prints\n%s\n' "$here"; return 1; }
}

# Every kernel of 64-bit Arm against the naive reference, by user emulation: a processor without dot products, one with.
step_aarch64() {
  arm64=aarch64-unknown-linux-gnu
  for tool in qemu-aarch64 aarch64-linux-gnu-gcc; do
    have $tool || { skip "$tool is not installed"; return 0; }
  done
  cross_or_skip $arm64 || return 0
  build_std=
  [ "$(core_library $arm64)" = source ] && build_std=-Zbuild-std=std,panic_unwind,test
  for cpu in cortex-a53 cortex-a76; do
    echo "aarch64: $cpu"
    # Without build_std the first variable does nothing: stable cargo takes no -Z.
    RUSTC_BOOTSTRAP=${build_std:+1} CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
      CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu $cpu -L /usr/aarch64-linux-gnu" \
      cargo test --release -p ldae-device --test reference $build_std --target $arm64 -- every_fill odd_shapes || return 1
  done
}

# The program for Linux boards, here and by user emulation, against `ldae embed`. Without tract, which takes minutes to
# compile for each processor; LDAE_LINUX_BOARD=full builds it in and compares its embeddings too.
step_linux_board() {
  linux_targets="aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf"
  for tool in qemu-aarch64 aarch64-linux-gnu-gcc qemu-arm arm-linux-gnueabihf-gcc; do
    have $tool || { skip "$tool is not installed"; return 0; }
  done
  cross_or_skip $linux_targets || return 0
  board_dir=$firmware_dir/linux-board
  board_features=--no-default-features
  [ "${LDAE_LINUX_BOARD:-}" = full ] && board_features=
  (cd firmware-examples/linux-board && cargo fmt --check &&
    cargo clippy --locked --all-targets $board_features --target-dir "$board_dir" -- -D warnings &&
    cargo test --profile quick --locked $board_features --target-dir "$board_dir" &&
    cargo build --profile quick --locked $board_features --target-dir "$board_dir") || return 1
  runners="x86-64 $board_dir/quick/ldae-board"
  for target in $linux_targets; do
    case $target in
      aarch64-*) gcc=aarch64-linux-gnu; emulator=qemu-aarch64 ;;
      *) gcc=arm-linux-gnueabihf; emulator=qemu-arm ;;
    esac
    build_std=
    [ "$(core_library $target)" = source ] && build_std=-Zbuild-std=std,panic_unwind
    variable=$(printf %s "$target" | tr a-z- A-Z_)
    (cd firmware-examples/linux-board && env RUSTC_BOOTSTRAP="${build_std:+1}" \
      "CARGO_TARGET_${variable}_LINKER=$gcc-gcc" "CC_$(printf %s "$target" | tr - _)=$gcc-gcc" \
      cargo build --profile quick --locked $board_features $build_std --target $target --target-dir "$board_dir") || return 1
    runners="$runners
${target%%-*} $emulator -L /usr/$gcc $board_dir/$target/quick/ldae-board"
  done
  [ -n "$board_features" ] || export LDAE_BOARD_TRACT=1
  LDAE_BOARD_RUNNERS=$runners cargo test --release -p ldae-tests --test linux_board -- --ignored --nocapture
}

# Executed instructions of one inference on every emulated core, against budgets.toml; embeddings, scratch, stack and the
# absence of floating point are checked on the way.
step_instructions() {
  for emulator in qemu-system-arm qemu-system-riscv32; do
    have $emulator || { skip "$emulator is not installed"; return 0; }
  done
  cross_or_skip $firmware_targets || return 0
  (cd tools/insn-counter && cargo fmt --check && cargo test --release --locked --target-dir "$tools_dir/insn-counter") || return 1
  cargo test --release -p ldae-host --lib bench:: -- --ignored || return 1
  cargo run --release -- bench --device qemu:all --preset xs,s,m --profile --md --check
}

# Exported ONNX files: valid, and onnxruntime agrees with Burn. LDAE_PYTHON names a Python that has both packages.
step_onnx() {
  ${LDAE_PYTHON:-python3} -c "import onnx, onnxruntime" 2>/dev/null ||
    { skip "Python lacks onnx or onnxruntime: pip install onnx onnxruntime, or set LDAE_PYTHON"; return 0; }
  cargo test --release -p ldae-host --lib onnx:: -- --include-ignored --nocapture
}

# One training step of every recipe, gradients included, against PyTorch. LDAE_PYTHON names a Python that has it.
step_pytorch() {
  ${LDAE_PYTHON:-python3} -c "import torch" 2>/dev/null ||
    { skip "Python lacks torch: pip install torch, or set LDAE_PYTHON"; return 0; }
  cargo test --release -p ldae-host --lib pytorch -- --ignored --nocapture
}

# NVRTC only: neither a CUDA toolkit nor a GPU is needed to build.
step_cuda() { cargo check --release -p ldae-host --features cuda; }

# Two processes must train what one does. The program with MPI is another build of the host crate, kept beside the usual one.
step_mpi() {
  for tool in mpirun mpicc; do
    have $tool || { skip "$tool is not installed: Open MPI or MPICH with its headers, and libclang"; return 0; }
  done
  cargo build --release -p ldae-host --features mpi || return 1
  program=${CARGO_TARGET_DIR:-$PWD/target}/ldae-mpi
  cp "${CARGO_TARGET_DIR:-$PWD/target}/release/ldae" "$program" || return 1
  LDAE_MPI_PROGRAM=$program cargo test --release -p ldae-tests --test ranks -- --ignored --test-threads 1
}

# Many JPEG files train in bounded memory. The test alone draws 100,000; here fewer, unless LDAE_STREAM_FILES says so.
step_stream() {
  LDAE_STREAM_FILES=${LDAE_STREAM_FILES:-5000} cargo test --release -p ldae-tests --test stream -- --ignored --nocapture
}

step_fuzz() {
  [ -d fuzz ] || { skip "no fuzz folder"; return 0; }
  have cargo-fuzz || { skip "cargo-fuzz is not installed: cargo install cargo-fuzz"; return 0; }
  # The sanitizers need unstable flags; half a minute each finds what a change broke, hours are for nights.
  for fuzz_name in parse parse_then_infer frames; do
    RUSTC_BOOTSTRAP=1 cargo fuzz run "$fuzz_name" -- -max_total_time=30 -print_final_stats=1 || return 1
  done
}

step_miri() {
  cargo miri --version >/dev/null 2>&1 || { skip "miri is not installed: rustup +nightly component add miri"; return 0; }
  cargo miri test -p ldae-shared -p ldae-device miri_
}

case "${1:-}" in
  list) printf '%s\n' $all_steps; exit 0 ;;
  -h | --help | help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
steps=${*:-$all_steps}
for step in $steps; do
  case " $all_steps " in
    *" $step "*) ;;
    *) echo "no step '$step'; steps are: $all_steps" >&2; exit 2 ;;
  esac
done

skip_note=$(mktemp) || exit 2
trap 'rm -f "$skip_note"' EXIT
passed=0; failed=0; skipped=0; failures=
for step in $steps; do
  printf '== %s\n' "$step"
  : > "$skip_note"
  began=$(date +%s)
  "step_$step"
  status=$?
  seconds=$(($(date +%s) - began))
  if [ $status -ne 0 ]; then
    failed=$((failed + 1)); failures="$failures $step"
    printf 'FAILED: %s (%s s)\n' "$step" "$seconds"
  elif [ -s "$skip_note" ]; then
    skipped=$((skipped + 1))
    printf 'skipped: %s (%s)\n' "$step" "$(cat "$skip_note")"
  else
    passed=$((passed + 1))
    printf 'passed: %s (%s s)\n' "$step" "$seconds"
  fi
done
[ -z "$failures" ] || printf 'failed steps:%s\n' "$failures"
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
