"""What UniOMA's learned weights say: where they end, where they are heading, and how useful each modality is alone.

    python benchmarks/claims_lambda.py [--tasks VFD VFP Push VAT VIP "Push, unequal"] [--seeds 3] [--epochs 8]

Trains Pairwise CLIP + GW as `tuplet bench uni-oma-sim --preset small` does, and prints per modality: the learned weight;
the distance of its test embeddings' kernel from the consensus of the input kernels; the weights that are optimal at these
distances (the loss is linear in the weights, so with the entropy eta they are proportional to exp(-distance / eta)); and the
distance of its input kernel, which no training changes. Mean and standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict

import numpy as np
import torch

from tuplet.data import ungroup
from tuplet.functional.gromov import gromov_barycenter, gromov_wasserstein
from tuplet.objectives import Structure
from tuplet.study.suite import Task
from tuplet.suites.uni_oma import uni_oma_sim
from tuplet.train import TrainConfig, fit
from tuplet.train._needs import Embedder

ROWS = 64


def measured(task: Task, seed: int, epochs: int) -> dict[str, dict[str, float]]:
    """Train once; modality -> weight, embedding distance, optimum, input distance."""
    source, budget = task.load().select(task.modalities), task.budget
    entry = next(e for e in uni_oma_sim().entries if e.name == "pairwise_gw")
    torch.manual_seed(seed)
    model = task.protocol.build(source, budget)
    objective = entry.make(entry.defaults, task)
    config = TrainConfig(epochs=epochs, batch_size=budget.batch_size, lr=budget.lr, optimizer=budget.optimizer, seed=seed)
    fit(model, objective, train=ungroup(source.train), config=config)
    structure = next(part for part in objective.modules() if isinstance(part, Structure))
    whole = source.whole
    order = torch.randperm(len(whole.test), generator=torch.Generator().manual_seed(0))
    found: dict[str, dict[str, list[float]]] = {k: defaultdict(list) for k in task.modalities}
    embed = Embedder(model, objective, None)
    for start in range(0, len(order) - ROWS + 1, ROWS):
        with torch.no_grad():
            emb = embed(whole.test[order[start : start + ROWS]])
            inputs = torch.stack([structure._input_kernel(emb, k) for k in emb.modalities])
            outputs = torch.stack([structure._embedding_kernel(emb.z[k], emb.present[k]) for k in emb.modalities])
            centre = gromov_barycenter(inputs, rounds=structure.rounds)
            near = gromov_wasserstein(centre.kernel.expand_as(outputs), outputs, start=centre.plans).value
        for k, far, own in zip(emb.modalities, near.tolist(), centre.values.tolist(), strict=True):
            found[k]["embedding"].append(far)
            found[k]["input"].append(own)
    means = {k: {name: float(np.mean(v)) for name, v in d.items()} for k, d in found.items()}
    pull = np.exp([-means[k]["embedding"] / structure.entropy for k in task.modalities])
    for k, share in zip(task.modalities, pull / pull.sum(), strict=True):
        means[k] |= {"weight": structure.weights()[k], "optimum": float(share)}
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "the gradient of")
    columns = ("weight", "optimum", "embedding", "input")
    print(
        "| task | modality | weight | optimum | distance, embedding | distance, input |\n| --- | --- | --- | --- | --- | --- |"
    )
    for task in uni_oma_sim().tasks:
        if asked.tasks and task.name not in asked.tasks:
            continue
        runs = [measured(task, seed, asked.epochs) for seed in range(asked.seeds)]
        for k in task.modalities:
            cells = ([run[k][c] for run in runs] for c in columns)
            print(
                f"| {task.name} | {k} | " + " | ".join(f"{np.mean(v):.4f} ± {np.std(v):.4f}" for v in cells) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
