"""Seq2Seq: its weights and their names, the Keras contract, and stepping against teacher forcing.

What it computes is checked against NumPy in `tests/numerics/`.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops, tree

from nmt.layers.encoder import EncoderOutput
from nmt.model import Seq2Seq
from tests.gradients import as_array
from tests.numerics.tiny import ARCHITECTURES, padded, tiny_model

E, H, D, A, V = 3, 2, 4, 5, 11
"""Sizes of the tiny model: embedding, encoder, decoder, attention, vocabulary."""


def cell_weights(inputs: int | None, units: int, reset_after: bool, layer_norm: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"recurrent_kernel": (units, 3 * units), "bias": (3 * units,)}
    if inputs is not None:
        shapes |= {"kernel": (inputs, 3 * units)} | ({"gain": (3 * units,)} if layer_norm else {})
    if reset_after:
        shapes["candidate_bias"] = (units,)
    if layer_norm:
        shapes["recurrent_gain"] = (3 * units,)
    return shapes


def expected_weights(
    decoder: str, ties: str, reset_after: bool, layers: int, layer_norm: bool = False, transitions: int = 0
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all weights. Model files are read by them: no name here may ever change."""
    shapes = {"target_embedding/embeddings": (V, E)}
    if ties != "all":
        shapes["source_embedding/embeddings"] = (V, E)

    def cell(name: str, inputs: int | None, units: int) -> None:
        weights = cell_weights(inputs, units, reset_after, layer_norm)
        shapes.update({f"{name}/{weight}": shape for weight, shape in weights.items()})

    for depth in range(layers):
        for direction in ("forward", "backward"):
            cell(f"encoder/layer_{depth}_{direction}/cell", E if depth == 0 else 2 * H, H)
    shapes["bridge/dense/kernel"] = (2 * H, D)
    shapes["bridge/dense/bias"] = (D,)
    shapes["decoder/attention/query_kernel"] = (D, A)
    shapes["decoder/attention/memory_kernel"] = (2 * H, A)
    shapes["decoder/attention/bias"] = (A,)
    shapes["decoder/attention/energy_vector"] = (A, 1)
    cell("decoder/cell", E, D)
    if decoder == "conditional":
        cell("decoder/context_cell", 2 * H, D)
        for number in range(transitions):
            cell(f"decoder/transition_{number}", None, D)
    else:
        shapes["decoder/context_projection/kernel"] = (2 * H, 3 * D)
        if layer_norm:
            shapes["decoder/context_gain"] = (3 * D,)
    shapes["readout/state_kernel"] = (D, E)
    shapes["readout/context_kernel"] = (2 * H, E)
    shapes["readout/embedding_kernel"] = (E, E)
    shapes["readout/bias"] = (E,)
    if ties == "none":
        shapes["readout/output_matrix"] = (V, E)
    shapes["readout/output_bias"] = (V,)
    return shapes


def named_shapes(model: Seq2Seq) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in model.named_weights().items()}


@pytest.mark.parametrize("decoder", ["conditional", "input_feeding"])
@pytest.mark.parametrize("ties", ["none", "target", "all"])
def test_weights_and_their_names(decoder, ties, rng):
    for reset_after, layers, norm in ((True, 1, False), (True, 2, True), (False, 1, True), (False, 2, False)):
        transitions = layers if decoder == "conditional" else 0
        model = tiny_model(
            rng,
            decoder=decoder,
            tied_embeddings=ties,
            reset_after=reset_after,
            encoder_layers=layers,
            layer_norm=norm,
            decoder_transitions=transitions,
            dropout_rate=0.1,
        )
        expected = expected_weights(decoder, ties, reset_after, layers, norm, transitions)
        assert named_shapes(model) == expected
        assert len({id(weight) for weight in model.named_weights().values()}) == len(model.weights) == len(expected)
        assert {id(weight) for weight in model.trainable_weights} == {id(weight) for weight in model.weights}


@pytest.mark.parametrize("name", ["seq2seq", "encoder", "decoder"])
def test_names_depend_on_the_architecture_alone(name, rng):
    """A model called "encoder" once lost that part of its weights' names."""
    model = tiny_model(rng, name=name)
    assert named_shapes(model) == expected_weights("conditional", "all", True, 1)


def test_frozen_model_keeps_its_names(rng):
    """A model whose training was switched off once had no named weights."""
    model = tiny_model(rng)
    model.trainable = False
    assert named_shapes(model) == expected_weights("conditional", "all", True, 1)


@pytest.mark.parametrize("ties", ["none", "target", "all"])
def test_what_is_tied(ties, rng):
    """Changing one piece's target embedding changes its logit where the output is tied.

    The piece stands in the source alone: other logits change where the source embedding is that of the target.
    """
    model = tiny_model(rng, tied_embeddings=ties)
    inputs, _ = padded([([9, 5], [6, 7])])
    before = as_array(model(inputs))
    table = as_array(model.target_embedding.embeddings)
    table[9] += 1
    model.target_embedding.embeddings.assign(table)
    changed = as_array(model(inputs)) != before
    assert changed[..., 9].all() == (ties != "none")
    assert changed[..., :9].any() == (ties == "all")


def test_one_embedding_needs_one_vocabulary():
    with pytest.raises(ValueError, match="Received: source_vocabulary_size=8, target_vocabulary_size=9"):
        Seq2Seq(source_vocabulary_size=8, target_vocabulary_size=9, tied_embeddings="all")


@pytest.fixture(params=["conditional-after-all", "input_feeding-before-none-2", "conditional-before-transitions-norm"])
def model(request, rng):
    return tiny_model(rng, **ARCHITECTURES[request.param], dropout_rate=0.1, recurrent_dropout_rate=0.1)


def test_config_round_trip(model):
    config = model.get_config()
    twin = Seq2Seq.from_config(config)
    assert twin.get_config() == config
    assert named_shapes(twin) == named_shapes(model)
    twin.set_weights(model.get_weights())
    inputs, _ = padded()
    np.testing.assert_array_equal(as_array(twin(inputs)), as_array(model(inputs)))


def test_file_round_trip(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")  # registered: no custom_objects
    assert type(loaded) is Seq2Seq
    assert loaded.get_config() == model.get_config()
    assert named_shapes(loaded) == named_shapes(model)
    inputs, _ = padded()
    np.testing.assert_allclose(as_array(loaded(inputs)), as_array(model(inputs)), atol=1e-6)


def test_compiled_is_eager(model):
    inputs, _ = padded()
    symbols = {name: keras.Input((None,), dtype="int32") for name in inputs}
    symbolic = model(symbols)
    assert symbolic.shape == (None, None, V)
    predicted = model.predict_on_batch({name: as_array(ids) for name, ids in inputs.items()})
    np.testing.assert_allclose(predicted, as_array(model(inputs)), atol=1e-5)


def test_mixed_precision(rng):
    plain = tiny_model(rng)
    mixed = tiny_model(rng, dtype="mixed_bfloat16")
    mixed.set_weights(plain.get_weights())
    inputs, _ = padded()
    logits = mixed(inputs)
    assert keras.backend.standardize_dtype(logits.dtype) == "bfloat16"
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    encoded = mixed.encode(inputs["source_ids"])
    state = mixed.initial_state(encoded)
    dtypes = {keras.backend.standardize_dtype(x.dtype) for x in (*encoded, *state)}
    assert dtypes == {"bfloat16", "bool"}
    np.testing.assert_allclose(as_array(logits), as_array(plain(inputs)), atol=0.15)


def test_stepping_is_teacher_forcing(model):
    inputs, _ = padded()
    hidden, forced_attention = model.teacher_force(**inputs)
    forced_logits = as_array(model.readout.logits(hidden, model.target_embedding.embeddings))
    np.testing.assert_allclose(forced_logits, as_array(model(inputs)), atol=1e-6)
    encoded = model.encode(inputs["source_ids"])
    state = model.initial_state(encoded)
    for position in range(forced_logits.shape[1]):
        logits, state, attention = model.step(inputs["target_ids"][:, position], state, encoded)
        np.testing.assert_allclose(as_array(logits), forced_logits[:, position], atol=1e-5)
        np.testing.assert_allclose(as_array(attention), as_array(forced_attention)[:, position], atol=1e-5)


def test_hypotheses_of_a_sentence_are_copies_of_it(model):
    """Two hypotheses a sentence share its memory: the same as each sentence twice, with one hypothesis each."""
    num_hypotheses = 2
    inputs, _ = padded()
    encoded = model.encode(inputs["source_ids"])
    copies = EncoderOutput(*(ops.repeat(leaf, num_hypotheses, axis=0) for leaf in encoded))
    shared_state = tree.map_structure(lambda x: ops.repeat(x, num_hypotheses, axis=0), model.initial_state(encoded))
    state = model.initial_state(copies)
    for tokens in ([4, 5, 6, 7, 8, 9], [9, 9, 8, 10, 4, 4]):  # the hypotheses go apart
        token_ids = ops.convert_to_tensor(np.array(tokens, "int32"))
        shared_logits, shared_state, shared_attention = model.step(token_ids, shared_state, encoded)
        logits, state, attention = model.step(token_ids, state, copies)
        np.testing.assert_allclose(as_array(shared_logits), as_array(logits), atol=1e-5)
        np.testing.assert_allclose(as_array(shared_attention), as_array(attention), atol=1e-6)
    assert not np.allclose(as_array(logits)[0], as_array(logits)[1])
