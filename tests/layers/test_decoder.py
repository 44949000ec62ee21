"""The decoder layer: contract, and `step` against `call`. Its arithmetic is checked in `tests/numerics/`."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops, tree

from nmt.layers.decoder import Decoder, DecoderState
from nmt.layers.encoder import EncoderOutput
from tests.gradients import as_array
from tests.layer_contract import check_layer

BATCH, SOURCE, TARGET, EMBEDDING, MEMORY, UNITS, ATTENTION = 2, 7, 5, 3, 6, 4, 8
MASK = np.arange(SOURCE) < np.array([[7], [4]])

DECODERS = pytest.mark.parametrize("decoder_type", ["conditional", "input_feeding"])


@pytest.fixture
def inputs(rng):
    def array(*shape):
        return rng.uniform(-1, 1, size=shape).astype("float32")

    return {
        "embedded": array(BATCH, TARGET, EMBEDDING),
        "state": DecoderState(array(BATCH, UNITS), array(BATCH, MEMORY)),
        "encoded": EncoderOutput(
            array(BATCH, SOURCE, MEMORY), array(BATCH, SOURCE, ATTENTION), MASK, array(BATCH, MEMORY)
        ),
    }


def weight_shapes(decoder_type: str, reset_after: bool) -> dict[str, tuple[int, ...]]:
    def cell(name: str, width: int) -> dict[str, tuple[int, ...]]:
        shapes = {"kernel": (width, 3 * UNITS), "recurrent_kernel": (UNITS, 3 * UNITS), "bias": (3 * UNITS,)}
        if reset_after:
            shapes["candidate_bias"] = (UNITS,)
        return {f"{name}/{key}": shape for key, shape in shapes.items()}

    context = (
        cell("context_cell", MEMORY)
        if decoder_type == "conditional"
        else {"context_projection/kernel": (MEMORY, 3 * UNITS)}
    )
    return {
        "attention/query_kernel": (UNITS, ATTENTION),
        "attention/memory_kernel": (MEMORY, ATTENTION),
        "attention/bias": (ATTENTION,),
        "attention/energy_vector": (ATTENTION, 1),
        **cell("cell", EMBEDDING),
        **context,
    }


@pytest.mark.parametrize(("decoder_type", "reset_after"), [("conditional", True), ("input_feeding", False)])
def test_contract(decoder_type, reset_after, inputs, tmp_path):
    check_layer(
        Decoder,
        {"units": UNITS, "attention_units": ATTENTION, "decoder_type": decoder_type, "reset_after": reset_after},
        inputs,
        output_shapes=((BATCH, TARGET, UNITS), (BATCH, TARGET, MEMORY), (BATCH, TARGET, SOURCE)),
        weight_shapes=weight_shapes(decoder_type, reset_after),
        unknown_sizes={BATCH, SOURCE, TARGET},
        folder=tmp_path,
    )


@DECODERS
def test_call_is_step_after_step(decoder_type, inputs):
    decoder = Decoder(UNITS, ATTENTION, decoder_type)
    inputs = tree.map_structure(ops.convert_to_tensor, inputs)
    states, contexts, weights = decoder(**inputs)
    state = inputs["state"]
    for position in range(TARGET):
        state, step_weights = decoder.step(inputs["embedded"][:, position], state, inputs["encoded"])
        np.testing.assert_allclose(as_array(state.hidden), as_array(states)[:, position], atol=1e-6)
        np.testing.assert_allclose(as_array(state.context), as_array(contexts)[:, position], atol=1e-6)
        np.testing.assert_allclose(as_array(step_weights), as_array(weights)[:, position], atol=1e-6)


@DECODERS
def test_only_input_feeding_depends_on_the_first_context(decoder_type, inputs):
    decoder = Decoder(UNITS, ATTENTION, decoder_type)
    states, _, _ = decoder(**inputs)
    other = inputs | {"state": inputs["state"]._replace(context=inputs["state"].context + 1)}
    changed = not np.allclose(as_array(decoder(**other)[0]), as_array(states))
    assert changed == (decoder_type == "input_feeding")


def test_unknown_type_is_refused():
    with pytest.raises(ValueError, match=r"must be 'input_feeding' or 'conditional'. Received: 'luong'"):
        Decoder(UNITS, ATTENTION, "luong")
