"""Names and shapes of a model's weights, from its sizes alone: no Keras, and no memory taken."""

from __future__ import annotations


def weight_shapes(
    *,
    source_vocabulary_size: int,
    target_vocabulary_size: int,
    embedding_size: int,
    encoder_size: int,
    encoder_layers: int,
    decoder: str,
    decoder_size: int,
    attention_size: int,
    tied_embeddings: str,
    reset_after: bool,
    lexical_model: bool,
    layer_norm: bool,
    decoder_transitions: int,
) -> dict[str, tuple[int, ...]]:
    """Returns the names and shapes of the weights of a `Seq2Seq` with these arguments.

    A model file is checked against this before memory is taken for it.
    """
    memory_size = 2 * encoder_size
    shapes: dict[str, tuple[int, ...]] = {"target_embedding/embeddings": (target_vocabulary_size, embedding_size)}
    if tied_embeddings != "all":
        shapes["source_embedding/embeddings"] = (source_vocabulary_size, embedding_size)

    def add_cell(name: str, input_size: int | None, units: int) -> None:
        cell = _cell_shapes(input_size, units, reset_after, layer_norm)
        shapes.update({f"{name}/{weight}": shape for weight, shape in cell.items()})

    for layer in range(encoder_layers):
        for direction in ("forward", "backward"):
            input_size = memory_size if layer else embedding_size
            add_cell(f"encoder/layer_{layer}_{direction}/cell", input_size, encoder_size)
    shapes["bridge/dense/kernel"] = (memory_size, decoder_size)
    shapes["bridge/dense/bias"] = (decoder_size,)
    shapes["decoder/attention/query_kernel"] = (decoder_size, attention_size)
    shapes["decoder/attention/memory_kernel"] = (memory_size, attention_size)
    shapes["decoder/attention/bias"] = (attention_size,)
    shapes["decoder/attention/energy_vector"] = (attention_size, 1)
    add_cell("decoder/cell", embedding_size, decoder_size)
    if decoder == "conditional":
        add_cell("decoder/context_cell", memory_size, decoder_size)
        for number in range(decoder_transitions):
            add_cell(f"decoder/transition_{number}", None, decoder_size)
    else:
        shapes["decoder/context_projection/kernel"] = (memory_size, 3 * decoder_size)
        if layer_norm:
            shapes["decoder/context_gain"] = (3 * decoder_size,)
    shapes["readout/state_kernel"] = (decoder_size, embedding_size)
    shapes["readout/context_kernel"] = (memory_size, embedding_size)
    shapes["readout/embedding_kernel"] = (embedding_size, embedding_size)
    if lexical_model:
        shapes["readout/lexical_kernel"] = (embedding_size, embedding_size)
    shapes["readout/bias"] = (embedding_size,)
    if tied_embeddings == "none":
        shapes["readout/output_matrix"] = (target_vocabulary_size, embedding_size)
    shapes["readout/output_bias"] = (target_vocabulary_size,)
    return shapes


def _cell_shapes(input_size: int | None, units: int, reset_after: bool, layer_norm: bool) -> dict[str, tuple[int, ...]]:
    """Returns the names and shapes of a cell's weights; without an input where its size is None."""
    shapes: dict[str, tuple[int, ...]] = {}
    if input_size is not None:
        shapes["kernel"] = (input_size, 3 * units)
        if layer_norm:
            shapes["gain"] = (3 * units,)
    shapes["recurrent_kernel"] = (units, 3 * units)
    shapes["bias"] = (3 * units,)
    if reset_after:
        shapes["candidate_bias"] = (units,)
    if layer_norm:
        shapes["recurrent_gain"] = (3 * units,)
    return shapes
