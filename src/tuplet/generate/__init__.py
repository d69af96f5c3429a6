"""Pictures from a space: a small decoder of our own, decoders of others, and what lies between."""

from tuplet.generate.adapter import EmbeddingAdapter
from tuplet.generate.decoder import Decoder, between, load_decoder
from tuplet.generate.pipelines import ExternalDecoder, external
from tuplet.generate.training import DecoderConfig, fit_decoder

__all__ = [
    "Decoder",
    "DecoderConfig",
    "EmbeddingAdapter",
    "ExternalDecoder",
    "between",
    "external",
    "fit_decoder",
    "load_decoder",
]
