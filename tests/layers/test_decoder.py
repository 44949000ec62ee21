"""The decoder layer: contract, and `step` against `call`. Its arithmetic is checked in `tests/numerics/`."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops, tree

from nmt.layers.decoder import Decoder, DecoderState
from nmt.layers.encoder import EncoderOutput
from tests.gradients import as_array
from tests.layer_contract import FLOAT32_TOLERANCE, assert_near, check_layer

BATCH, SOURCE, TARGET, EMBEDDING, MEMORY, UNITS, ATTENTION = 2, 7, 5, 3, 6, 16, 8
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
            array(BATCH, SOURCE, MEMORY),
            array(BATCH, SOURCE, ATTENTION),
            MASK,
            array(BATCH, MEMORY),
            array(BATCH, SOURCE, EMBEDDING),
        ),
    }


def weight_shapes(
    decoder_type: str, reset_after: bool, layer_norm: bool, num_transitions: int
) -> dict[str, tuple[int, ...]]:
    def cell(name: str, width: int) -> dict[str, tuple[int, ...]]:
        shapes = {"kernel": (width, 3 * UNITS), "recurrent_kernel": (UNITS, 3 * UNITS), "bias": (3 * UNITS,)}
        if reset_after:
            shapes["candidate_bias"] = (UNITS,)
        if layer_norm:
            shapes["gain"] = shapes["recurrent_gain"] = (3 * UNITS,)
        return {f"{name}/{key}": shape for key, shape in shapes.items()}

    context = (
        cell("context_cell", MEMORY)
        if decoder_type == "conditional"
        else {"context_projection/kernel": (MEMORY, 3 * UNITS)}
    )
    if layer_norm and decoder_type == "input_feeding":
        context["context_gain"] = (3 * UNITS,)
    for number in range(num_transitions):
        shapes = cell(f"transition_{number}", 0)
        context |= {name: shape for name, shape in shapes.items() if not name.endswith(("/kernel", "/gain"))}
    return {
        "attention/query_kernel": (UNITS, ATTENTION),
        "attention/memory_kernel": (MEMORY, ATTENTION),
        "attention/bias": (ATTENTION,),
        "attention/energy_vector": (ATTENTION, 1),
        **cell("cell", EMBEDDING),
        **context,
    }


@pytest.mark.parametrize(
    ("decoder_type", "reset_after", "layer_norm", "num_transitions"),
    [
        ("conditional", True, False, 0),
        ("conditional", False, True, 1),
        ("conditional", True, False, 2),
        ("input_feeding", True, False, 0),
        ("input_feeding", False, True, 0),
    ],
)
def test_contract(decoder_type, reset_after, layer_norm, num_transitions, inputs, tmp_path):
    check_layer(
        Decoder,
        {
            "units": UNITS,
            "attention_units": ATTENTION,
            "decoder_type": decoder_type,
            "reset_after": reset_after,
            "layer_norm": layer_norm,
            "num_transitions": num_transitions,
        },
        inputs,
        output_shapes=((BATCH, TARGET, UNITS), (BATCH, TARGET, MEMORY), (BATCH, TARGET, SOURCE)),
        weight_shapes=weight_shapes(decoder_type, reset_after, layer_norm, num_transitions),
        unknown_sizes={BATCH, SOURCE, TARGET},
        folder=tmp_path,
    )


@pytest.mark.parametrize(
    ("decoder_type", "layer_norm", "num_transitions"),
    [
        ("conditional", False, 0),
        ("conditional", True, 0),
        ("conditional", True, 2),
        ("input_feeding", False, 0),
        ("input_feeding", True, 0),
    ],
)
def test_call_is_step_after_step(decoder_type, layer_norm, num_transitions, inputs):
    decoder = Decoder(UNITS, ATTENTION, decoder_type, layer_norm=layer_norm, num_transitions=num_transitions)
    inputs = tree.map_structure(ops.convert_to_tensor, inputs)
    expected = decoder(**inputs)
    state, steps = inputs["state"], []
    for position in range(TARGET):
        state, weights = decoder.step(inputs["embedded"][:, position], state, inputs["encoded"])
        steps.append((state.hidden, state.context, weights))
    for together, one_by_one in zip(expected, zip(*steps, strict=True), strict=True):
        stepped = np.stack([as_array(each) for each in one_by_one], axis=1)
        assert_near(stepped, as_array(together), FLOAT32_TOLERANCE, layer_norm)


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


@pytest.mark.parametrize(("decoder_type", "num_transitions"), [("input_feeding", 1), ("conditional", -1)])
def test_transitions_where_there_are_none_are_refused(decoder_type, num_transitions):
    with pytest.raises(ValueError, match=f"Received: num_transitions={num_transitions}, decoder_type='{decoder_type}'"):
        Decoder(UNITS, ATTENTION, decoder_type, num_transitions=num_transitions)
