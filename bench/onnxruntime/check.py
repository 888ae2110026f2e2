#!/usr/bin/env python3
"""An exported ONNX file against the ONNX checker and onnxruntime.

Runs onnx.checker with full shape inference, then onnxruntime (one thread, basic optimisations) on the test vectors inside the
file and on given pictures, and compares with the embeddings that come with them. The error is the largest difference of
a component, divided by the root mean square of the expected embeddings. Exit status: 0 agrees, 1 does not, 2 could not run.
"""

import argparse
import base64
import json
import sys

import numpy as np
import onnx
import onnxruntime as ort


def session(path, threads=1):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def vectors(properties, pixels, components):
    """Pictures and embeddings in the file's properties."""
    data = base64.b64decode(properties.get("ldae.vectors", ""))
    record = np.dtype([("pixels", "u1", pixels), ("embedding", "<f4", components)])
    found = np.frombuffer(data, record)
    return found["pixels"], found["embedding"]


def compare(run, pictures, expected, shape):
    """Largest scaled error, and cosines, of the model on pictures."""
    got = np.stack([run.run(["embedding"], {"pixels": p.reshape(shape)})[0][0] for p in pictures]).astype(np.float64)
    expected = expected.astype(np.float64)
    rms = np.sqrt(np.mean(expected**2))
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1)
    cosines = np.sum(got * expected, axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)
    finite = bool(np.isfinite(got).all())
    return {
        "pictures": len(got),
        "rms_expected": float(rms),
        "max_scaled_error": float(np.max(np.abs(got - expected)) / rms) if finite else float("inf"),
        "cosine_median": float(np.median(cosines)),
        "cosine_min": float(np.min(cosines)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--pictures", help=".npy, uint8 [n, image, image, C]")
    parser.add_argument("--expected", help=".npy, float32 [n, E], standardised embeddings of the pictures")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest scaled error (default 1e-5)")
    parser.add_argument("--limit", type=int, help="only the first so many pictures")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if bool(args.pictures) != bool(args.expected):
        parser.error("--pictures and --expected go together")

    onnx.checker.check_model(args.model, full_check=True)
    run = session(args.model)
    shape, components = run.get_inputs()[0].shape, run.get_outputs()[0].shape[1]
    pictures, expected = vectors(run.get_modelmeta().custom_metadata_map, int(np.prod(shape)), components)
    results = {}
    if len(pictures):
        results["vectors"] = compare(run, pictures, expected, shape)
    if args.pictures:
        pictures, expected = np.load(args.pictures), np.load(args.expected)
        if pictures.dtype != np.uint8 or list(pictures.shape[1:]) != shape[1:] or len(pictures) != len(expected):
            parser.error(f"{args.pictures} has {pictures.dtype} {pictures.shape}, the model takes uint8 {shape}")
        results["pictures"] = compare(run, pictures[: args.limit], expected[: args.limit], shape)
    if not results:
        parser.error("there is nothing to compare: the file has no test vectors, and no --pictures were given")
    passed = all(r["max_scaled_error"] <= args.tolerance for r in results.values())
    facts = {
        "model": args.model,
        "onnx": onnx.__version__,
        "onnxruntime": ort.__version__,
        "tolerance": args.tolerance,
        "passed": passed,
        **results,
    }
    if args.json:
        print(json.dumps(facts))
    else:
        print(f"{args.model}: valid; onnxruntime {ort.__version__}, scaled error at most {args.tolerance:g} allowed")
        for name, r in results.items():
            print(
                f"  {name:9} {r['pictures']:5} pictures: largest error {r['max_scaled_error']:.2e}, "
                f"cosine median {r['cosine_median']:.7f}, smallest {r['cosine_min']:.7f}"
            )
        print("  agrees" if passed else "  DOES NOT AGREE")
    return 0 if passed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(2)
