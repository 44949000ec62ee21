"""Dropout: its scale, one mask a sentence where it is variational, and none of it outside training."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from keras import ops

from nmt.layers.decoder import Decoder, DecoderState
from nmt.layers.dropout import dropout, word_dropout
from nmt.layers.encoder import EncoderOutput
from nmt.layers.recurrence import GRU
from nmt.text.special import PAD_ID, UNK_ID
from tests.gradients import as_array
from tests.numerics import reference
from tests.numerics.tiny import padded, tiny_model

OPTIONS = {
    "ordinary": {"dropout_rate": 0.5},
    "variational": {"dropout_rate": 0.5, "variational_dropout": True, "encoder_layers": 2},
    "recurrent": {"recurrent_dropout_rate": 0.5, "decoder": "input_feeding"},
    "source words": {"source_word_dropout": 0.5},
    "target words": {"target_word_dropout": 0.5, "decoder": "input_feeding"},
}
DROP = np.array([0.0, 2.0, 2.0, 0.0])
"""A mask of dropout at rate 0.5 for four units."""


def drop(x, training):
    """What the dropout layer would do, had it drawn this mask."""
    return x * ops.cast(DROP, x.dtype) if training else x


def on_ones(layer) -> np.ndarray:
    return as_array(layer(ops.ones((4, 6, 100)), training=True))


@pytest.mark.parametrize("variational", [False, True])
def test_scale(variational):
    """What is kept is scaled so that the mean stays: 2,400 draws of p = 1/4 (or 400) are within 5 deviations."""
    values = on_ones(dropout(0.25, variational, "float32", "dropout"))
    np.testing.assert_allclose(np.unique(values), [0, 1 / 0.75], rtol=1e-6)
    assert abs((values == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / (400 if variational else 2400))


def scaled(weight, mask, axis) -> None:
    """Multiplies a weight by what a dropout layer draws, along its rows or its columns."""
    weight.assign(as_array(weight) * (mask if axis == 1 else mask[:, None]))


def without_target_and_lexical_features(model, mask):
    scaled(model.target_embedding.embeddings, mask, axis=1)
    scaled(model.readout.lexical_kernel, mask, axis=0)


def without_source_features(model, mask):
    for layer in (*model.encoder.forward_layers, *model.encoder.backward_layers):
        scaled(layer.cell.kernel, mask, axis=0)


def without_memory_features(model, mask):
    call = model.encoder.call
    model.encoder.call = lambda *args, **kwargs: call(*args, **kwargs) * ops.convert_to_tensor(mask)


def without_readout_features(model, mask):
    scaled(model.readout.output_matrix, mask, axis=1)


SITES = {
    "embedding_dropout": without_target_and_lexical_features,
    "encoder.dropout": without_source_features,
    "memory_dropout": without_memory_features,
    "readout.dropout": without_readout_features,
}
"""Where the model has dropout, and what a fixed mask there does to its weights or its memory."""


@pytest.mark.parametrize("site", SITES)
def test_a_mask_drops_what_its_layer_stands_for(site, rng, monkeypatch):
    """One mask at a time, the others off: as if what it drops were not in the weights that read it."""
    model = tiny_model(rng, dropout_rate=0.5, lexical_model=True, tied_embeddings="none")
    inputs, _ = padded()
    config = model.get_config()
    width = 2 * config["encoder_size"] if site == "memory_dropout" else config["embedding_size"]
    mask = (2.0 * (np.arange(width) % 3 != 1)).astype("float32")
    for name in SITES:
        layer = operator.attrgetter(name)(model)
        drawn = mask if name == site else np.float32(1)
        monkeypatch.setattr(
            layer, "call", lambda x, training, drawn=drawn: x * ops.convert_to_tensor(drawn) if training else x
        )
    plain, dropped = as_array(model(inputs)), as_array(model(inputs, training=True))
    SITES[site](model, mask)
    real = as_array(inputs["target_ids"]) != PAD_ID
    assert not np.allclose(dropped[real], plain[real], atol=1e-3)
    np.testing.assert_allclose(dropped[real], as_array(model(inputs))[real], atol=1e-5)


def test_encoder_and_decoder_have_a_recurrent_mask_each(rng):
    model = tiny_model(rng, recurrent_dropout_rate=0.5)
    inputs, _ = padded()
    first, second = (as_array(model.encode(inputs["source_ids"], training=True).memory) for _ in range(2))
    assert not np.allclose(first, second)
    encoded = model.encode(inputs["source_ids"])
    state, embedded = model.initial_state(encoded), model.target_embedding(inputs["target_ids"])
    first, second = (as_array(model.decoder(embedded, state, encoded, training=True)[0]) for _ in range(2))
    assert not np.allclose(first, second)


@pytest.mark.parametrize("variational", [False, True])
def test_every_dropout_of_the_model_is_of_the_kind_asked_for(variational, rng):
    model = tiny_model(rng, dropout_rate=0.5, variational_dropout=variational)
    for layer in (model.embedding_dropout, model.memory_dropout, model.encoder.dropout, model.readout.dropout):
        values = on_ones(layer)
        constant = (values == values[:, :1]).all()
        assert constant == variational, layer.name
        assert (values[0] != values[1]).any()  # a sentence has a mask of its own


def test_words_are_dropped_whole():
    """A position is zero, or scaled so that the mean stays: 2,400 draws of p = 1/4 are within 5 deviations."""
    layer = word_dropout(0.25, "float32", "dropout")
    values = as_array(layer(ops.ones((40, 60, 7)), training=True))
    np.testing.assert_allclose(np.unique(values), [0, 1 / 0.75], rtol=1e-6)
    assert (values == values[:, :, :1]).all()
    assert abs((values == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 2400)
    assert len(np.unique(values[:, :, 0], axis=0)) == 40  # a sentence has a mask of its own
    np.testing.assert_array_equal(as_array(layer(ops.ones((2, 3, 7)), training=False)), 1)


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_dropped_word_has_no_embedding(side, rng, monkeypatch):
    """Dropping words is the same as reading a piece whose embedding is zero, with the others scaled."""
    model = tiny_model(rng, **{f"{side}_word_dropout": 0.5}, tied_embeddings="none")
    inputs, _ = padded()
    ids = as_array(inputs[f"{side}_ids"])
    mask = rng.integers(0, 2, (*ids.shape, 1))
    assert set(mask.ravel()) == {0, 1}
    monkeypatch.setattr(
        getattr(model, f"{side}_word_dropout"),
        "call",
        lambda x, training: x * ops.convert_to_tensor((2 * mask).astype("float32")) if training else x,
    )
    dropped = as_array(model(inputs, training=True))
    # In inference: the unknown piece has no embedding, and stands wherever a word was dropped.
    embedding = getattr(model, f"{side}_embedding").embeddings
    table = 2 * as_array(embedding)
    blank = UNK_ID  # which these sentences do not have
    table[blank] = 0
    embedding.assign(table)
    replaced = {**inputs, f"{side}_ids": ops.convert_to_tensor(np.where(mask[:, :, 0], ids, blank).astype("int32"))}
    if side == "source":  # padding stays padding: the mask is made of the ids
        replaced["source_ids"] = ops.where(inputs["source_ids"] == PAD_ID, PAD_ID, replaced["source_ids"])
    real = as_array(inputs["target_ids"]) != PAD_ID
    np.testing.assert_allclose(dropped[real], as_array(model(replaced))[real], atol=1e-5)


def test_the_masks_of_words_advance_in_variables(rng):
    """What a checkpoint restores: two generators, each another mask at each call, the same again from its state."""
    model = tiny_model(rng, source_word_dropout=0.5, target_word_dropout=0.5)
    inputs, _ = padded()
    assert len(model.non_trainable_variables) == 2
    before = [as_array(variable) for variable in model.non_trainable_variables]
    first, second = (as_array(model(inputs, training=True)) for _ in range(2))
    assert not np.allclose(first, second)
    for variable, state in zip(model.non_trainable_variables, before, strict=True):
        assert (as_array(variable) != state).any()
        variable.assign(state)
    np.testing.assert_array_equal(as_array(model(inputs, training=True)), first)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_changes_training_alone(options, rng):
    model = tiny_model(rng, **options)
    without = {name: 0.0 if isinstance(value, float) else value for name, value in options.items()}
    plain = tiny_model(rng, **without)
    plain.set_weights(model.get_weights())
    inputs, _ = padded()
    expected = as_array(plain(inputs))
    np.testing.assert_allclose(as_array(model(inputs, training=False)), expected, atol=1e-6)
    first, second = (as_array(model(inputs, training=True)) for _ in range(2))
    assert not np.allclose(first, expected)
    assert not np.allclose(first, second)


def test_step_never_drops(rng):
    rates = ("dropout_rate", "recurrent_dropout_rate", "source_word_dropout", "target_word_dropout")
    model = tiny_model(rng, **dict.fromkeys(rates, 0.5))
    inputs, _ = padded()
    encoded = model.encode(inputs["source_ids"])
    logits, _, _ = model.step(inputs["target_ids"][:, 0], model.initial_state(encoded), encoded)
    np.testing.assert_allclose(as_array(logits), as_array(model(inputs))[:, 0], atol=1e-5)


@pytest.mark.parametrize("reset_after", [True, False])
def test_recurrent_mask_is_the_same_at_every_step_of_the_encoder(reset_after, rng, monkeypatch):
    layer = GRU(4, reset_after, recurrent_dropout_rate=0.5)
    xs = rng.normal(size=(1, 5, 3)).astype("float32")
    layer.build(xs.shape)
    monkeypatch.setattr(layer.recurrent_dropout, "call", drop)
    w = {weight.name: as_array(weight) for weight in layer.weights}
    states = as_array(layer(xs, training=True))
    np.testing.assert_allclose(states[0], reference.gru(xs[0], w, drop=DROP), atol=1e-5)


@pytest.mark.parametrize(
    ("decoder_type", "transitions"), [("conditional", 0), ("conditional", 2), ("input_feeding", 0)]
)
def test_recurrent_mask_is_the_same_at_every_step_of_the_decoder(decoder_type, transitions, rng, monkeypatch):
    def array(*shape):
        return ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))

    decoder = Decoder(4, 5, decoder_type, recurrent_dropout_rate=0.5, num_transitions=transitions)
    memory, embedded, hidden = array(1, 3, 6), array(1, 5, 2), array(1, 4)
    state = DecoderState(hidden, ops.zeros((1, 6)))
    mask = ops.ones((1, 3), dtype="bool")
    encoded = EncoderOutput(memory, ops.zeros((1, 3, 5)), mask, ops.zeros((1, 6)), ops.zeros((1, 3, 0)))
    decoder.build(*(ops.shape(embedded), *(tuple(map(ops.shape, leaves)) for leaves in (state, encoded))))
    encoded = encoded._replace(keys=decoder.attention.keys(memory))
    monkeypatch.setattr(decoder.recurrent_dropout, "call", drop)

    states, contexts, _ = decoder(embedded, state, encoded, training=True)
    w = {weight.path.removeprefix(f"{decoder.name}/"): as_array(weight) for weight in decoder.weights}
    expected = reference.decode(
        as_array(embedded)[0], as_array(hidden)[0], as_array(memory)[0], w, decoder_type == "conditional", DROP
    )
    np.testing.assert_allclose(as_array(states)[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(as_array(contexts)[0], expected[1], atol=1e-5)
