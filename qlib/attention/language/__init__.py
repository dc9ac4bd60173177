"""A small causal language model over bytes: trained here, read by every attention."""

from qlib.attention.language.evaluation import bits_per_character, windows_of
from qlib.attention.language.model import LanguageModel, nats, sinusoids
from qlib.attention.language.pretraining import FULL, QUICK, Stage, pretrain

__all__ = [
    "FULL",
    "QUICK",
    "LanguageModel",
    "Stage",
    "bits_per_character",
    "nats",
    "pretrain",
    "sinusoids",
    "windows_of",
]
