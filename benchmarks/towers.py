"""One step of TLV-CoRe on the shapes of ViT-L-14 with random weights, and what the adapters add to the forward pass.

``python benchmarks/towers.py [--batch 8] [--levels 12]`` prints the peak of memory, the time of a step, with and without
recomputed blocks, and the ratio of the forward pass with adapters to that of the frozen towers alone, in one process.
``--precision bfloat16`` is for processors that multiply it in hardware; elsewhere one step takes longer than ten minutes.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from tuplet import Batch
from tuplet.methods import tlv_core
from tuplet.nets import clip

VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
}
TEXT = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "vocab_size": 49408,
}
BASE = {"vision_config": VISION, "text_config": TEXT, "projection_dim": 768}


def peak() -> float:
    """Return the largest resident memory so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def median(work: list[float]) -> float:
    """Return the middle of the measurements."""
    return sorted(work)[len(work) // 2]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"], help="of weights and pictures")
    parser.add_argument("--levels", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--forward-only", action="store_true", help="leave out the training steps")
    args = parser.parse_args()
    torch.manual_seed(0)
    towers = {"text": clip(BASE, "text"), "touch": clip(BASE), "vision": clip(BASE)}
    model, objective, _ = tlv_core(towers, sensors=4, levels=args.levels)
    dtype = getattr(torch, args.precision)
    model = model.to(dtype)
    n = args.batch
    pictures = {k: torch.randn(n, 3, 224, 224, dtype=dtype) for k in ("touch", "vision")}
    inputs = {**pictures, "text": torch.randint(1, 49000, (n, 77))}
    held = dict.fromkeys(inputs, torch.ones(n, dtype=torch.bool))
    batch = Batch(inputs, held, torch.arange(n), aux={"sensor": torch.arange(n) % 4})
    trained = [p for p in [*model.parameters(), *objective.parameters()] if p.requires_grad]
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {sum(p.numel() for p in trained):,} trained")
    print(f"weights: {peak():.2f} GiB resident")
    optimiser = torch.optim.AdamW(trained, lr=2e-4)
    for recompute in (
        () if args.forward_only else (True, False)
    ):  # the smaller peak first: the largest so far is what the system tells
        for tower in towers.values():
            tower.checkpoint = recompute
        began = time.perf_counter()
        objective(model(batch)).total.backward()
        optimiser.step()
        optimiser.zero_grad()
        what = "blocks recomputed" if recompute else "plain"
        print(f"one step of {n} rows, {what}: {time.perf_counter() - began:.1f} s, peak {peak():.2f} GiB", flush=True)
    adapted, frozen = [], []
    few = pictures["touch"][:2]
    works = ((adapted, lambda: model.encoders["touch"](few, {})), (frozen, lambda: towers["touch"](few)))
    counted = []
    with torch.no_grad():
        for _, work in works:
            with FlopCounterMode(display=False) as counter:
                work()
            counted.append(counter.get_total_flops())
        for _ in range(args.repeats):  # in turn, so that both see the same machine; processor time, so that others do not count
            for times, work in works:
                began = time.process_time()
                work()
                times.append(time.process_time() - began)
    ratios = [a / b for a, b in zip(adapted, frozen, strict=True)]
    print(f"forward of touch, adapters over none, multiplications: {counted[0] / counted[1]:.4f}")
    print(f"processor time, {args.repeats} pairs: {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
