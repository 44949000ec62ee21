"""The readout: from a decoder state to one logit a vocabulary piece.

It works on any number of positions at once, so training applies it to all of them after the scan. This module knows
nothing of recurrence, losses or search.

Shape letters: H decoder units, M memory width, E embedding width, V vocabulary size.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nmt.backend import Tensor
from nmt.layers.dropout import dropout


@keras.saving.register_keras_serializable(package="nmt")
class Readout(keras.layers.Layer):
    """Deep output (Pascanu et al. 2014; Sennrich et al. 2017, https://arxiv.org/abs/1703.04357, section 3).

        t      = tanh(W_s s + W_c c + W_y y + b)
        logits = t O^T + b_o

    With a tied output matrix O is the target embedding (Press and Wolf 2017, https://arxiv.org/abs/1608.05859).

    With a lexical model, t has a further term: the mean of W_l x over the source embeddings x, by the attention
    weights. So the words that are attended to vote for their translations straight, meant for those that are seldom
    seen. Nguyen and Chiang 2018 (https://arxiv.org/abs/1710.01329, section 4) do so through a layer and an output
    matrix of its own; here the term is linear and shares O.

    Args:
        vocabulary_size: Pieces V of the target vocabulary.
        units: Width E of t; that of the embedding, so that O can be tied.
        tied: Whether O is the target embedding instead of a weight of this layer.
        dropout_rate: Dropout on t.
        variational_dropout: Whether it draws one mask a sentence instead of one a position.
        lexical: Whether there is a lexical model.
    """

    def __init__(
        self,
        vocabulary_size: int,
        units: int,
        tied: bool = True,
        dropout_rate: float = 0.0,
        variational_dropout: bool = False,
        lexical: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.tied = tied
        self.dropout_rate = dropout_rate
        self.variational_dropout = variational_dropout
        self.lexical = lexical
        self.dropout = dropout(dropout_rate, variational_dropout, self.dtype_policy, "dropout")

    def build(
        self,
        states_shape: tuple[int | None, ...],
        contexts_shape: tuple[int | None, ...],
        embedded_shape: tuple[int | None, ...],
        lexical_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        def kernel(shape: tuple[int | None, ...], name: str) -> keras.Variable:
            return self.add_weight(shape=(shape[-1], self.units), name=name)

        self.state_kernel = kernel(states_shape, "state_kernel")
        self.context_kernel = kernel(contexts_shape, "context_kernel")
        self.embedding_kernel = kernel(embedded_shape, "embedding_kernel")
        if self.lexical:
            self.lexical_kernel = kernel(embedded_shape, "lexical_kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        if not self.tied:
            self.output_matrix = self.add_weight(shape=(self.vocabulary_size, self.units), name="output_matrix")
        self.output_bias = self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", name="output_bias")
        super().build(states_shape)

    def call(
        self,
        states: Tensor,
        contexts: Tensor,
        embedded: Tensor,
        lexical: Tensor | None = None,
        training: bool = False,
    ) -> Tensor:
        """Returns t (..., E) of any number of positions.

        Args:
            states: (..., H).
            contexts: (..., M).
            embedded: (..., E), the embedding of each position's previous token.
            lexical: (..., E), the mean by the attention weights of what `translate_words` returns, for a lexical model.
            training: Whether dropout is applied; the positions are then (B, T).
        """
        hidden = ops.tanh(
            ops.matmul(states, self._cast(self.state_kernel))
            + ops.matmul(contexts, self._cast(self.context_kernel))
            + ops.matmul(embedded, self._cast(self.embedding_kernel))
            + self._cast(self.bias)
        )
        if self.lexical:
            hidden = hidden + lexical
        return self.dropout(hidden, training=training)

    def translate_words(self, embedded: Tensor) -> Tensor:
        """Returns the lexical model's W_l x (..., E) of source embeddings x (..., E)."""
        return ops.matmul(embedded, self._cast(self.lexical_kernel))

    def output_weights(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Returns O (V, E) and b_o (V,): O is `embeddings`, the target embedding, where it is tied."""
        return self._cast(embeddings if self.tied else self.output_matrix), self._cast(self.output_bias)

    def logits(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        """Returns the logits (..., V) of readout vectors t (..., E)."""
        matrix, bias = self.output_weights(embeddings)
        return ops.matmul(hidden, ops.transpose(matrix)) + bias

    def _cast(self, weight: keras.Variable | Tensor) -> Tensor:
        return ops.cast(weight, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "tied": self.tied,
            "dropout_rate": self.dropout_rate,
            "variational_dropout": self.variational_dropout,
            "lexical": self.lexical,
        }
