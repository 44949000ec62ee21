"""The decoder's recurrence on plain tensors: one step, and all steps of a known target with their gradient.

Both orders of a step are here, see `Decoder`. This module knows no layers: their weights come in as tensors.

Shape letters: T target length, B batch, Q hypotheses a sentence, S source length, M memory width, H decoder units,
A attention units.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from nmt.backend import Tensor, scan, with_gradient
from nmt.layers.attention import AttentionGradient, AttentionTrace, AttentionWeights, attend
from nmt.layers.gates import GRUGradient, GRUTrace, GRUWeights, before, gru_step, product, weight_gradient
from nmt.layers.normalization import Norm, gain_gradient, normalize_gates, normalize_gates_gradient, split_gates


class DecoderState(NamedTuple):
    """What a step hands to the next. Axis 0 of every leaf is batch x hypotheses, a sentence's hypotheses together."""

    hidden: Tensor
    """(B * Q, H)."""
    context: Tensor
    """(B * Q, M), the previous context, for input feeding."""


class DecoderWeights(NamedTuple):
    """What a step reads."""

    cells: tuple[GRUWeights, ...]
    """One cell, or the conditional decoder's two and its transitions."""
    attention: AttentionWeights
    context_kernel: Tensor
    """(M, 3H), from the context to the gates of the only cell, or of the second."""
    context_bias: Tensor | None
    """(3H,) of the conditional decoder, None where the bias is in the embedding's share."""
    context_gain: Tensor | None = None
    """(3H,) where the products are normalised; the kernel is centred then, see `nmt.layers.normalization`."""
    transition_biases: tuple[Tensor, ...] = ()
    """(3H,) each, of the cells that follow the second: all that these have for an input."""


class DecoderTrace(NamedTuple):
    """What a step leaves behind for its gradient."""

    cells: tuple[GRUTrace, ...]
    attention: AttentionTrace
    between: tuple[Tensor, ...]
    """The states between cells (B * Q, H), of which the first attends; empty where the new state of one cell does."""
    context_norms: tuple[Norm, Norm]
    """Of the context's products with `context_kernel`; empty without normalisation."""


class DecoderInputs(NamedTuple):
    """What a scan reads."""

    projected: Tensor
    """(T, B, 3H), the embeddings' share of the first cell's gates."""
    state: DecoderState
    """The first state."""
    memory: Tensor
    """(B, S, M)."""
    keys: Tensor
    """(B, S, A)."""
    mask: Tensor
    """(B, S), True on real positions."""
    weights: DecoderWeights
    recurrent_mask: Tensor | None
    """(B, H), dropout on the state where it meets a recurrent kernel."""


def decoder_step(
    projected: Tensor,
    state: DecoderState,
    memory: Tensor,
    keys: Tensor,
    mask: Tensor,
    weights: DecoderWeights,
    recurrent_mask: Tensor | None = None,
) -> tuple[DecoderState, DecoderTrace]:
    """Runs one position, in the order that the number of cells says.

    Args:
        projected: (B * Q, 3H), the embedding's share of the first cell's gates.
        state: The state before.
        memory: (B, S, M).
        keys: (B, S, A).
        mask: (B, S).
        weights: Of the decoder.
        recurrent_mask: As in `DecoderInputs`; with one hypothesis a sentence alone.
    """
    if len(weights.cells) == 1:
        fed, norms = normalize_gates(product(state.context, weights.context_kernel), weights.context_gain)
        hidden, cell = gru_step(projected + fed, state.hidden, weights.cells[0], recurrent_mask)
        context, attention = attend(hidden, memory, keys, mask, weights.attention)
        return DecoderState(hidden, context), DecoderTrace((cell,), attention, (), norms)
    query, cell = gru_step(projected, state.hidden, weights.cells[0], recurrent_mask)
    context, attention = attend(query, memory, keys, mask, weights.attention)
    fed, norms = normalize_gates(product(context, weights.context_kernel), weights.context_gain)
    hidden, context_cell = gru_step(fed + weights.context_bias, query, weights.cells[1], recurrent_mask)
    cells, between = [cell, context_cell], [query]
    for transition, bias in zip(weights.cells[2:], weights.transition_biases, strict=True):
        between.append(hidden)
        hidden, cell = gru_step(ops.expand_dims(bias, 0), hidden, transition, recurrent_mask)
        cells.append(cell)
    return DecoderState(hidden, context), DecoderTrace(tuple(cells), attention, tuple(between), norms)


def decoder_scan(inputs: DecoderInputs) -> tuple[Tensor, Tensor, Tensor]:
    """Runs `decoder_step` over all positions of a known target, with a gradient of its own.

    Returns:
        States (T, B, H), contexts (T, B, M) and attention weights (T, B, S).
    """
    return with_gradient(_forward, _backward, inputs)  # type: ignore[no-any-return]  # it takes any structure


Outputs = tuple[Tensor, Tensor, Tensor]
Kept = tuple[DecoderState, DecoderTrace]


def _forward(inputs: DecoderInputs) -> tuple[Outputs, Kept]:
    projected, state, *rest = inputs

    def step(state: DecoderState, projected: Tensor) -> tuple[DecoderState, Kept]:
        state, trace = decoder_step(projected, state, *rest)
        return state, (state, trace)

    _, (states, trace) = scan(step, state, projected)
    return (states.hidden, states.context, trace.attention.weights), (states, trace)


def _backward(inputs: tuple[DecoderInputs], kept: Kept, upstream: Outputs) -> tuple[DecoderInputs]:
    """Runs backwards: each step from the gradients of its new state and context to those of its previous ones."""
    (given,) = inputs
    states, trace = kept
    weights = given.weights
    previous = DecoderState(*(before(*pair) for pair in zip(given.state, states, strict=True)))
    attention = AttentionGradient(given.memory, given.keys, weights.attention, trace.attention)
    # A cell starts from the state before the step, or from that between it and the cell before.
    cells = [
        GRUGradient(*one, given.recurrent_mask)
        for one in zip(weights.cells, trace.cells, (previous.hidden, *trace.between), strict=True)
    ]
    context_kernel = ops.transpose(weights.context_kernel)

    def of_fed_context(of_gates: Tensor, norms: tuple[Norm, Norm]) -> Tensor:
        return product(normalize_gates_gradient(of_gates, weights.context_gain, norms), context_kernel)

    def input_feeding(carry: Any, at: Any) -> tuple[Any, Any]:
        (of_hidden, of_context), sums = carry
        (upstream_state, upstream_context, upstream_weights), (cell_position,), position, norms = at
        of_context = of_context + upstream_context
        of_query, sums, of_attention = attention.step(of_context, upstream_weights, position, sums)
        of_previous, products = cells[0].step(of_hidden + upstream_state + of_query, cell_position)
        state = DecoderState(of_previous, of_fed_context(products[0], norms))
        return (state, sums), (of_context, of_attention, (products,))

    def conditional(carry: Any, at: Any) -> tuple[Any, Any]:
        (of_hidden, of_previous_context), sums = carry
        (upstream_state, upstream_context, upstream_weights), cell_positions, position, norms = at
        of_hidden = of_hidden + upstream_state
        upper_products: list[tuple[Tensor, Tensor]] = []
        for cell, cell_position in zip(cells[:1:-1], cell_positions[:1:-1], strict=True):
            of_hidden, products = cell.step(of_hidden, cell_position)
            upper_products.insert(0, products)
        of_between, context_products = cells[1].step(of_hidden, cell_positions[1])
        of_context = upstream_context + of_fed_context(context_products[0], norms)
        of_query, sums, of_attention = attention.step(of_context, upstream_weights, position, sums)
        of_previous, products = cells[0].step(of_between + of_query, cell_positions[0])
        # The previous context has no part in this order: its gradient stays zero.
        state = DecoderState(of_previous, of_previous_context)
        return (state, sums), (of_context, of_attention, (products, context_products, *upper_products))

    last = DecoderState(*(ops.zeros_like(leaf) for leaf in given.state)), attention.sums
    positions = upstream, tuple(cell.positions for cell in cells), attention.positions, trace.context_norms
    step = input_feeding if len(cells) == 1 else conditional
    (of_state, sums), (of_contexts, of_attention, products) = scan(step, last, positions, reverse=True)

    queries, contexts = (trace.between[0], states.context) if trace.between else (states.hidden, previous.context)
    of_memory, of_keys, attention_weights = attention.input_gradients(queries, of_contexts, sums, of_attention)
    of_gates, _ = products[0 if len(cells) == 1 else 1]  # of the cell that reads the context
    of_products = normalize_gates_gradient(of_gates, weights.context_gain, trace.context_norms)
    of_weights = DecoderWeights(
        tuple(cell.weight_gradients(*of_products) for cell, of_products in zip(cells, products, strict=True)),
        attention_weights,
        weight_gradient(contexts, of_products, context_kernel.dtype),
        None if weights.context_bias is None else ops.sum(of_gates, axis=(0, 1)),
        None if weights.context_gain is None else gain_gradient(split_gates(of_gates), trace.context_norms),
        tuple(ops.sum(of_transition, axis=(0, 1)) for of_transition, _ in products[2:]),
    )
    return (DecoderInputs(products[0][0], of_state, of_memory, of_keys, None, of_weights, None),)
