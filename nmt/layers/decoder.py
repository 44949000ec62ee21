"""The decoder: what happens between one target token and the next.

`step` is one position and `call` scans the same step over all positions of a known target (teacher forcing). The
arithmetic of both is in `decoder_scan.py`. This module knows nothing of vocabularies, logits or search.

Shape letters: B batch, Q hypotheses a sentence, S source length, T target length, E embedding width, M memory width,
H decoder units.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops, tree

from nmt.backend import Structure, Tensor
from nmt.layers.attention import BahdanauAttention
from nmt.layers.cells import GRUCell, TransitionCell
from nmt.layers.decoder_scan import DecoderInputs, DecoderState, DecoderWeights, decoder_scan, decoder_step
from nmt.layers.encoder import EncoderOutput

__all__ = ["Decoder", "DecoderState", "DecoderType"]

DecoderType = Literal["input_feeding", "conditional"]
Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="nmt")
class Decoder(keras.layers.Layer):
    """GRU decoder with Bahdanau attention, in one of two orders of work.

    `input_feeding`: the previous context enters the GRU beside the embedding, then the new state attends (input
    feeding: Luong et al. 2015, https://arxiv.org/abs/1508.04025, section 3.3).

        s_t = GRU([y_(t-1), c_(t-1)], s_(t-1));   c_t = attend(s_t)

    `conditional`: a first GRU reads the embedding, its state attends, a second GRU reads the context (Nematus: Sennrich
    et al. 2017, https://arxiv.org/abs/1703.04357, section 3).

        s' = GRU_1(y_(t-1), s_(t-1));   c_t = attend(s');   s_t = GRU_2(c_t, s')

    A conditional decoder may have further GRUs without an input, s_t = GRU_3(GRU_2(c_t, s')) and so on: a deep
    transition (Miceli Barone et al. 2017, https://arxiv.org/abs/1707.07631, section 2.3.2).

    Args:
        units: Width H of the state.
        attention_units: Width of the attention's hidden layer.
        decoder_type: "input_feeding" or "conditional".
        reset_after: Variant of the GRU.
        recurrent_dropout_rate: Variational dropout on the recurrent state.
        layer_norm: Whether the GRUs' products are normalised, see `GRUCell`; those of the context apart from those of
            the embedding.
        num_transitions: GRUs without an input that follow the second of "conditional"; 0 for "input_feeding".
    """

    def __init__(
        self,
        units: int,
        attention_units: int,
        decoder_type: DecoderType = "conditional",
        reset_after: bool = True,
        recurrent_dropout_rate: float = 0.0,
        layer_norm: bool = False,
        num_transitions: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if decoder_type not in ("input_feeding", "conditional"):
            raise ValueError(f"`decoder_type` must be 'input_feeding' or 'conditional'. Received: {decoder_type!r}")
        if num_transitions < 0 or (num_transitions and decoder_type != "conditional"):
            raise ValueError(
                "`num_transitions` must be >= 0, and 0 with decoder_type='input_feeding'. Received: "
                f"num_transitions={num_transitions}, decoder_type={decoder_type!r}"
            )
        self.units = units
        self.attention_units = attention_units
        self.decoder_type = decoder_type
        self.reset_after = reset_after
        self.recurrent_dropout_rate = recurrent_dropout_rate
        self.layer_norm = layer_norm
        self.num_transitions = num_transitions
        self.attention = BahdanauAttention(attention_units, dtype=self.dtype_policy, name="attention")
        self.cell = GRUCell(units, reset_after, layer_norm, dtype=self.dtype_policy, name="cell")
        if decoder_type == "conditional":
            self.context_cell = GRUCell(units, reset_after, layer_norm, dtype=self.dtype_policy, name="context_cell")
        else:
            # W [y, c] = W_y y + W_c c: the cell's own kernel is W_y, which meets all positions in one product.
            self.context_projection = keras.layers.Dense(
                3 * units, use_bias=False, dtype=self.dtype_policy, name="context_projection"
            )
        self.transition_cells = [
            TransitionCell(units, reset_after, layer_norm, dtype=self.dtype_policy, name=f"transition_{number}")
            for number in range(num_transitions)
        ]
        self.recurrent_dropout = keras.layers.Dropout(
            recurrent_dropout_rate, dtype=self.dtype_policy, name="recurrent_dropout"
        )

    def build(self, embedded_shape: Shape, state_shape: tuple[Shape, ...], encoded_shape: tuple[Shape, ...]) -> None:
        memory_shape = encoded_shape[0]
        context_shape = (None, memory_shape[-1])
        self.attention.build((None, self.units), memory_shape)
        self.cell.build(embedded_shape)
        if self.decoder_type == "conditional":
            self.context_cell.build(context_shape)
            for transition in self.transition_cells:
                transition.build((None, self.units))
        else:
            self.context_projection.build(context_shape)
            if self.layer_norm:
                self.context_gain = self.add_weight(
                    shape=(3 * self.units,), initializer="ones", autocast=False, name="context_gain"
                )
        super().build(embedded_shape)

    def call(
        self, embedded: Tensor, state: DecoderState, encoded: EncoderOutput, training: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Runs all positions of a known target.

        Args:
            embedded: (B, T, E), the embedding of each position's previous token.
            state: The first state.
            encoded: The source.
            training: Whether recurrent dropout is applied.

        Returns:
            States (B, T, H), contexts (B, T, M) and attention weights (B, T, S).
        """
        # A Keras model read from a file passes plain lists.
        state, encoded = DecoderState(*state), EncoderOutput(*encoded)
        # Transposed before the product, which makes it wider.
        projected = self.cell.project(ops.transpose(embedded, (1, 0, 2)))
        # Drawn before the scan: on JAX no seed may advance inside it.
        recurrent_mask = None
        if training and self.recurrent_dropout_rate:
            recurrent_mask = self._exact(self.recurrent_dropout(ops.ones_like(state.hidden), training=True))

        state, memory, keys = self._exact((state, encoded.memory, encoded.keys))
        inputs = DecoderInputs(projected, state, memory, keys, encoded.mask, self._weights(), recurrent_mask)
        states, contexts, weights = (
            ops.transpose(ops.cast(output, self.compute_dtype), (1, 0, 2)) for output in decoder_scan(inputs)
        )
        return states, contexts, weights

    def step(self, embedded: Tensor, state: DecoderState, encoded: EncoderOutput) -> tuple[DecoderState, Tensor]:
        """Runs one position.

        Args:
            embedded: (B * Q, E), the embedding of each hypothesis's previous token.
            state: The state before.
            encoded: The source, once a sentence.

        Returns:
            The state after, and the attention weights (B * Q, S).
        """
        projected = self.cell.project(embedded)
        state, memory, keys = self._exact((state, encoded.memory, encoded.keys))
        state, trace = decoder_step(projected, state, memory, keys, encoded.mask, self._weights())
        outputs = state, trace.attention.weights
        return tree.map_structure(lambda tensor: ops.cast(tensor, self.compute_dtype), outputs)  # type: ignore[no-any-return]  # Keras is untyped

    def _exact(self, tensors: Structure) -> Structure:
        """Returns tensors in the dtype of the weights: of lower precision are the products alone."""
        return tree.map_structure(lambda tensor: ops.cast(tensor, self.variable_dtype), tensors)

    def _weights(self) -> DecoderWeights:
        attention = self.attention.query_weights()
        if self.decoder_type == "conditional":
            cells = self.cell, self.context_cell, *self.transition_cells
            recurrent = tuple(cell.recurrent_weights() for cell in cells)
            biases = tuple(ops.cast(cell.bias, self.variable_dtype) for cell in self.transition_cells)
            return DecoderWeights(recurrent, attention, *self.context_cell.input_weights(), biases)
        context_kernel = self.cell.product_kernel(self.context_projection.kernel)
        gain = ops.cast(self.context_gain, self.variable_dtype) if self.layer_norm else None
        return DecoderWeights((self.cell.recurrent_weights(),), attention, context_kernel, None, gain)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "attention_units": self.attention_units,
            "decoder_type": self.decoder_type,
            "reset_after": self.reset_after,
            "recurrent_dropout_rate": self.recurrent_dropout_rate,
            "layer_norm": self.layer_norm,
            "num_transitions": self.num_transitions,
        }
