#!/usr/bin/env python3
"""ldae's integer engine against onnxruntime's int8 forms: one thread, one core, blocks of both in turn. See README.md."""

import argparse
import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime as ort

import model

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Engine:
    """The `timed` example of ldae-device, kept running."""

    def __init__(self, program, kernel):
        arguments = [program] + ([kernel] if kernel else [])
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.kernel, self.macs = self.process.stdout.readline().split()

    def run(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return [int(t) for t in self.process.stdout.readline().split()]


class Session:
    """One ONNX model on onnxruntime, single-threaded, buffers bound once."""

    def __init__(self, path):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        random = np.random.default_rng(3)
        self.input = random.standard_normal((1, model.CHANNELS, model.IMAGE, model.IMAGE)).astype(np.float32)
        self.binding = self.session.io_binding()
        self.binding.bind_cpu_input("pixels", self.input)
        self.binding.bind_output("embedding", "cpu")

    def run(self, count):
        times = []
        for _ in range(count):
            began = time.perf_counter_ns()
            self.session.run_with_iobinding(self.binding)
            times.append(time.perf_counter_ns() - began)
        return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", help="the timed example; built with cargo where it is not given")
    parser.add_argument("--kernels", default="", help="ldae kernels to time, with commas; default: the fastest")
    parser.add_argument("--core", type=int, default=0, help="processor core to stay on")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--block", type=int, default=20, help="inferences of one contender in a round")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.engine:
        subprocess.run(
            ["cargo", "build", "--release", "-q", "-p", "ldae-device", "--example", "timed"], cwd=ROOT, check=True
        )
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        args.engine = str(target / "release" / "examples" / "timed")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        forms = model.write_forms(pathlib.Path(folder))
        os.sched_setaffinity(0, {args.core})  # children inherit it
        contenders = {}
        for kernel in args.kernels.split(","):
            engine = Engine(args.engine, kernel)
            contenders[f"ldae {engine.kernel}"] = engine
        for name, path in forms.items():
            contenders[f"onnxruntime {name}"] = Session(path)
        times = {name: [] for name in contenders}
        for contender in contenders.values():
            contender.run(args.block)  # warm-up
        for _ in range(args.rounds):
            for name, contender in contenders.items():
                times[name] += contender.run(args.block)
    rows = {
        name: {f"q{q}_us": float(np.quantile(t, q / 100)) / 1000 for q in (10, 50, 90)} for name, t in times.items()
    }
    ours = min((r["q50_us"], n) for n, r in rows.items() if n.startswith("ldae"))[1]
    theirs = min((r["q50_us"], n) for n, r in rows.items() if n.startswith("onnxruntime") and not n.endswith("f32"))[1]
    summary = {
        "onnxruntime": ort.__version__,
        "inferences_each": args.rounds * args.block,
        "macs": int(next(c for c in contenders.values() if isinstance(c, Engine)).macs),
        "fastest_ldae": ours,
        "fastest_onnxruntime_int8": theirs,
        "ratio_of_medians": rows[ours]["q50_us"] / rows[theirs]["q50_us"],
        "ratio_of_q10": rows[ours]["q10_us"] / rows[theirs]["q10_us"],
        "times": rows,
    }
    if args.json:
        json.dump(summary, sys.stdout, indent=2)
        print()
        return
    print(f"{'':58} {'10 %':>9} {'median':>9} {'90 %':>9} us")
    for name, r in sorted(rows.items(), key=lambda row: row[1]["q50_us"]):
        print(f"{name:58} {r['q10_us']:9.1f} {r['q50_us']:9.1f} {r['q90_us']:9.1f}")
    print(
        f"{ours} / {theirs}: {summary['ratio_of_medians']:.3f} of the median, {summary['ratio_of_q10']:.3f} of the 10 % "
        f"quantile (onnxruntime {ort.__version__}, {summary['inferences_each']} inferences each, in blocks of {args.block})"
    )


if __name__ == "__main__":
    main()
