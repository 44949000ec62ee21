"""Padding and company change nothing: extra columns, other sentences in the batch, a row without any token."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from nmt.layers.encoder import Encoder
from nmt.text.special import PAD_ID
from nmt.training.objective import Objective
from tests.gradients import as_array, gradient_function, value_and_gradients
from tests.numerics.tiny import (
    ARCHITECTURES,
    NOTHING,
    SENTENCES,
    SOURCE_LENGTH,
    TARGET_LENGTH,
    padded,
    tiny_model,
)


@pytest.fixture(scope="module", params=["conditional-after-all", "input_feeding-before-none-2"])
def model(request):
    return tiny_model(np.random.default_rng(request.config.option.seed), **ARCHITECTURES[request.param])


@pytest.fixture(scope="module")
def loss_and_gradients(model):
    """Takes inputs and labels. One for all tests: JAX compiles it for seconds at each new shape."""
    objective = Objective(model, 0.1)
    return gradient_function(
        lambda inputs, labels: objective(**inputs, labels=labels, training=True).loss, model.weights
    )


def test_extra_columns_change_neither_logits_nor_gradients(model, loss_and_gradients):
    tight, wide = padded(), padded(source_length=SOURCE_LENGTH + 3, target_length=TARGET_LENGTH + 2)
    is_real = as_array(tight[1]) != PAD_ID
    logits, wide_logits = as_array(model(tight[0])), as_array(model(wide[0]))
    np.testing.assert_allclose(wide_logits[:, :TARGET_LENGTH][is_real], logits[is_real], atol=1e-5)

    loss, gradients = loss_and_gradients(*tight)
    wide_loss, wide_gradients = loss_and_gradients(*wide)
    np.testing.assert_allclose(wide_loss, loss, rtol=1e-5)
    for wide_gradient, gradient in zip(wide_gradients, gradients, strict=True):
        np.testing.assert_allclose(wide_gradient, gradient, atol=2e-5)


def test_batch_is_single(model):
    alone = padded([SENTENCES[1]], source_length=2)
    np.testing.assert_allclose(as_array(model(alone[0]))[0], as_array(model(padded()[0]))[1], atol=1e-5)


def test_loss_of_a_batch_is_the_sum_over_its_sentences(loss_and_gradients):
    """A sentence among rows of padding is as good as alone: finite, and the batch is the sum of its sentences."""
    alone = [loss_and_gradients(*padded([sentence, NOTHING, NOTHING])) for sentence in SENTENCES]
    loss, gradients = loss_and_gradients(*padded())
    np.testing.assert_allclose(loss, sum(loss for loss, _ in alone), rtol=1e-5)
    for together, *apart in zip(gradients, *(gradients for _, gradients in alone), strict=True):
        np.testing.assert_allclose(together, sum(apart), atol=2e-5)

    loss, gradients = loss_and_gradients(*padded([NOTHING] * 3))
    assert loss == 0
    assert not any(gradient.any() for gradient in gradients)


def test_row_of_padding_is_finite_and_attends_to_nothing(model):
    hidden, attention = model.teacher_force(**padded([*SENTENCES, NOTHING])[0])
    assert np.isfinite(as_array(hidden)).all()
    np.testing.assert_array_equal(as_array(attention)[-1], 0)


@pytest.mark.parametrize("model", ["input_feeding-before-none-2"], indirect=True)
def test_no_gradient_at_padding(model, loss_and_gradients):
    """With embeddings of its own, the model meets the padding's row as padding alone, and not in the softmax."""
    _, gradients = loss_and_gradients(*padded())
    by_name = dict(zip(model.named_weights(), gradients, strict=True))
    for side, used in (("source", {3, 4, 5, 6, 7, 8, 9, 10}), ("target", {2, 4, 5, 6, 7, 8, 9, 10})):
        gradient = by_name[f"{side}_embedding/embeddings"]
        assert {row for row in range(len(gradient)) if gradient[row].any()} == used


def test_padding_embedding_is_never_seen(model):
    inputs, labels = padded()
    is_real = as_array(labels) != PAD_ID
    before, saved = as_array(model(inputs))[is_real], model.get_weights()
    for embedding in {model.source_embedding, model.target_embedding}:
        table = as_array(embedding.embeddings)
        table[PAD_ID] = 100.0
        embedding.embeddings.assign(table)
    after = as_array(model(inputs))[is_real]
    model.set_weights(saved)
    tied = model.readout.tied  # then the padding's own logit is, rightly, another
    np.testing.assert_allclose(after[:, tied:], before[:, tied:], atol=1e-5)


def test_encoder_passes_no_gradient_to_padding(rng):
    encoder = Encoder(2, num_layers=2)
    embedded = keras.Variable(rng.normal(size=(2, 4, 3)).astype("float32"))
    mask = np.array([[True] * 4, [True, True, False, False]])
    encoder.build(embedded.shape)
    _, (gradient,) = value_and_gradients(
        lambda: ops.sum(encoder(embedded.value, mask=ops.convert_to_tensor(mask)) ** 2), [embedded]
    )
    np.testing.assert_array_equal(gradient[~mask], 0)
    assert (gradient[mask] != 0).all()
