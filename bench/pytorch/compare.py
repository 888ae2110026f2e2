#!/usr/bin/env python3
"""ldae's training step against PyTorch's on this machine: same model, batch and precision, blocks of steps of both in turn.
See README.md."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Ldae:
    """`ldae bench --train --paced`, kept running."""

    def __init__(self, program, arguments, threads, device):
        command = [program, "bench", "--train", "--paced", "--threads", str(threads), "--device", device, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.shape = json.loads(self.process.stdout.readline())

    def run(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Torch:
    """The same model in PyTorch."""

    def __init__(self, shape, batch, device, compiled, bf16):
        import model

        self.trainer = model.Trainer(shape, batch, device=device, compiled=compiled, bf16=bf16)

    def run(self, steps):
        times = []
        for _ in range(steps):
            began = time.perf_counter()
            self.trainer.step().item()
            times.append(time.perf_counter() - began)
        return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ldae", help="the program; built with cargo where it is not given")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--block", type=int, default=2, help="steps of one contender in a round")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for both")
    parser.add_argument("--compiled", action="store_true", help="torch.compile as a third contender (needs a C++ compiler)")
    parser.add_argument("--bf16", action="store_true", help="products in bf16, for all contenders")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("shape", nargs="*", help="options of `ldae bench --train`, behind --: --preset m --decoder-depth 2")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    if not args.ldae:
        subprocess.run(["cargo", "build", "--release", "-q"], cwd=ROOT, check=True)
        args.ldae = str(pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "ldae")
    precision = ["--precision", "bf16"] if args.bf16 else []
    ours = Ldae(args.ldae, ["--batch", str(args.batch), *precision, *args.shape], args.threads, args.device)
    contenders = {"ldae": ours, "pytorch eager": Torch(ours.shape, args.batch, args.device, False, args.bf16)}
    if args.compiled:
        contenders["pytorch compiled"] = Torch(ours.shape, args.batch, args.device, True, args.bf16)
    times = {name: [] for name in contenders}
    for contender in contenders.values():
        contender.run(2)  # warm-up, compilation
    for _ in range(args.rounds):
        for name, contender in contenders.items():
            times[name] += contender.run(args.block)
    ours.close()
    rows = {
        name: {"median_s": statistics.median(t), "best_s": min(t), "pictures_per_second": args.batch / statistics.median(t)}
        for name, t in times.items()
    }
    summary = {
        "torch": torch.__version__,
        "device": args.device,
        "threads": args.threads,
        "batch": args.batch,
        "precision": "bf16" if args.bf16 else "f32",
        "shape": ours.shape,
        "rows": rows,
        "speed_against_compiled": args.compiled and rows["pytorch compiled"]["median_s"] / rows["ldae"]["median_s"],
        "speed_against_eager": rows["pytorch eager"]["median_s"] / rows["ldae"]["median_s"],
        "speed_against_eager_of_best": rows["pytorch eager"]["best_s"] / rows["ldae"]["best_s"],
    }
    if args.json:
        json.dump(summary, sys.stdout, indent=2)
        print()
        return
    for name, r in rows.items():
        print(f"{name:18} {1e3 * r['median_s']:9.1f} ms a step (best {1e3 * r['best_s']:.1f}), {r['pictures_per_second']:.1f} pictures/s")
    print(
        f"{summary['speed_against_eager']:.2f} of PyTorch {torch.__version__} eager (best steps: "
        f"{summary['speed_against_eager_of_best']:.2f}), {args.device}, {args.threads} threads, batch {args.batch}, {summary['precision']}"
    )
    if args.compiled:
        print(f"{summary['speed_against_compiled']:.2f} of PyTorch compiled")


if __name__ == "__main__":
    main()
