"""How many floating-point operations a model's work takes, counted from its sizes and the real lengths of sentences.

A product of an (n, k) and a (k, m) matrix counts 2nkm: a multiplication and an addition for each of its terms. Only
real tokens count: what is computed on padding, or computed twice to save memory, is work that the task does not ask
for. The tanh of the attention is told apart, because it is no matrix product and costs about as much time; biases,
gates, softmax and optimizer are left out. This module knows arithmetic alone, no backend.

Shape letters: S source length, T target length, both with the end of sentence; E embedding width, H encoder units,
M = 2H memory width, D decoder units, A attention units, V target vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nmt.config_model import ModelConfig

TRAINING_FACTOR = 3
"""Forward and backward: the gradient of a product is two products of its size."""


@dataclass(frozen=True)
class Work:
    """Operations of a piece of work.

    Attributes:
        matrix_products: Floating-point operations in matrix products.
        attention_tanh: Evaluations of tanh in the attention.
    """

    matrix_products: int
    attention_tanh: int

    def __mul__(self, factor: int) -> Work:
        return Work(self.matrix_products * factor, self.attention_tanh * factor)


def training_work(model: ModelConfig, vocabulary_size: int, lengths: Iterable[tuple[int, int]]) -> Work:
    """Returns the work of one update or many on sentence pairs: forward and backward.

    Args:
        model: Sizes and variants of the model.
        vocabulary_size: Pieces V of the target vocabulary.
        lengths: (S, T) of each pair, the end of sentence counted.
    """
    return _forward(model, vocabulary_size, lengths) * TRAINING_FACTOR


def decoding_work(model: ModelConfig, vocabulary_size: int, lengths: Iterable[tuple[int, int]], beam_size: int) -> Work:
    """Returns the work of a beam search that stops at the end of its best hypothesis.

    A search that looks on, or that keeps finished sentences in the batch, does more than this.

    Args:
        model: Sizes and variants of the model.
        vocabulary_size: Pieces V of the target vocabulary.
        lengths: (S, T) of each source and its translation, the end of sentence counted.
        beam_size: Hypotheses that are stepped at a time.
    """
    return _forward(model, vocabulary_size, ((source, target * beam_size) for source, target in lengths))


def _forward(model: ModelConfig, vocabulary_size: int, sentences: Iterable[tuple[int, int]]) -> Work:
    """Returns the forward work of sentences of (S, number of decoder steps)."""
    per_source, per_step = _multiplications_per_source_token(model), _multiplications_per_step(model, vocabulary_size)
    memory_size = 2 * model.encoder_size
    bridge = memory_size * model.decoder_size
    # Every step attends to every source token: the energy's product with a vector, and the weighted sum of the memory,
    # and of the lexical model's terms.
    per_meeting = model.attention_size + memory_size + (model.embedding_size if model.lexical_model else 0)
    multiplications = meetings = 0
    for source_length, num_steps in sentences:
        meetings += source_length * num_steps
        multiplications += bridge + source_length * per_source + num_steps * per_step
    return Work(2 * (multiplications + meetings * per_meeting), meetings * model.attention_size)


def _multiplications_per_source_token(model: ModelConfig) -> int:
    """Returns the terms of all products that each source token enters once: GRUs, keys and lexical model."""
    memory_size = 2 * model.encoder_size
    total = memory_size * model.attention_size + (model.embedding_size**2 if model.lexical_model else 0)
    for layer in range(model.encoder_layers):
        input_size = memory_size if layer else model.embedding_size
        total += 2 * _gru(input_size, model.encoder_size)
    return total


def _multiplications_per_step(model: ModelConfig, vocabulary_size: int) -> int:
    """Returns the terms of the products of a decoder step that do not depend on the source's length."""
    memory_size = 2 * model.encoder_size
    total = _gru(model.embedding_size, model.decoder_size) + model.decoder_size * model.attention_size
    if model.decoder == "conditional":
        total += _gru(memory_size, model.decoder_size) + model.decoder_transitions * _gru(0, model.decoder_size)
    else:
        total += memory_size * 3 * model.decoder_size
    readout = (model.decoder_size + memory_size + model.embedding_size) * model.embedding_size
    return total + readout + model.embedding_size * vocabulary_size


def _gru(input_size: int, units: int) -> int:
    return (input_size + units) * 3 * units
