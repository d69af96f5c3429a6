"""Evaluation: probes, modality subsets, retrieval."""

from tuplet.evaluate.embed import embed
from tuplet.evaluate.evaluation import Result, evaluate, evaluate_inputs
from tuplet.evaluate.probe import Probe, few_shot_probe, linear_probe, mlp_probe
from tuplet.evaluate.retrieve import Retrieval, mean_cosine, rank_metrics, retrieve
from tuplet.evaluate.subsets import subset_probes, subsets
from tuplet.evaluate.summary import summary

__all__ = [
    "Probe",
    "Result",
    "Retrieval",
    "embed",
    "evaluate",
    "evaluate_inputs",
    "few_shot_probe",
    "linear_probe",
    "mean_cosine",
    "mlp_probe",
    "rank_metrics",
    "retrieve",
    "subset_probes",
    "subsets",
    "summary",
]
