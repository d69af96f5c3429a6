"""Evaluation: probes, predictors, modality subsets, retrieval."""

from tuplet.evaluate import refine
from tuplet.evaluate._ranks import rank_metrics
from tuplet.evaluate.evaluation import Result, evaluate, evaluate_inputs
from tuplet.evaluate.features import Features, encoded, pixels
from tuplet.evaluate.fusion import LateFusion, late_fusion
from tuplet.evaluate.generated import diversity, fid, kid, mmd
from tuplet.evaluate.inspection import Inspection, foscttm, inspect
from tuplet.evaluate.linear import baselines, linear_baseline
from tuplet.evaluate.predict import predict_subsets
from tuplet.evaluate.predictor import PredictorConfig
from tuplet.evaluate.probe import Probe, few_shot_probe, linear_probe, mlp_probe
from tuplet.evaluate.retrieval import Retrieval, mean_cosine, retrieve
from tuplet.evaluate.scoreboard import scorers
from tuplet.evaluate.scores import prediction_results
from tuplet.evaluate.screen import summary
from tuplet.evaluate.shortlist import Reranked, rerank
from tuplet.evaluate.standardise import standardise_by
from tuplet.evaluate.subset import subset_probes, subsets
from tuplet.model.embedding import embed

__all__ = [
    "Features",
    "Inspection",
    "LateFusion",
    "PredictorConfig",
    "Probe",
    "Reranked",
    "Result",
    "Retrieval",
    "baselines",
    "diversity",
    "embed",
    "encoded",
    "evaluate",
    "evaluate_inputs",
    "few_shot_probe",
    "fid",
    "foscttm",
    "inspect",
    "kid",
    "late_fusion",
    "linear_baseline",
    "linear_probe",
    "mean_cosine",
    "mlp_probe",
    "mmd",
    "pixels",
    "predict_subsets",
    "prediction_results",
    "rank_metrics",
    "refine",
    "rerank",
    "retrieve",
    "scorers",
    "standardise_by",
    "subset_probes",
    "subsets",
    "summary",
]
