"""The whole model against the NumPy reference: logits, attention, loss, and gradients by finite differences.

The reference sees one sentence at a time and no padding; the model sees all of them in one padded batch.
"""

from __future__ import annotations

import numpy as np
import pytest

from nmt.training.objective import Objective
from tests.gradients import as_array, value_and_gradients
from tests.numerics import reference
from tests.numerics.tiny import ARCHITECTURES, padded, reference_weights, rows, tiny_model

LABEL_SMOOTHING = 0.1


@pytest.fixture(params=ARCHITECTURES)
def architecture(request):
    return ARCHITECTURES[request.param]


def test_logits_and_attention(architecture, rng):
    model = tiny_model(rng, **architecture)
    weights = reference_weights(model)
    inputs, _ = padded()
    hidden, attention = model.teacher_force(**inputs)
    logits = as_array(model.readout.logits(hidden, model.target_embedding.embeddings))
    for b, (source_ids, target_ids, _) in enumerate(rows()):
        expected_logits, expected_attention = reference.translate_forced(
            source_ids, target_ids, weights, architecture["decoder"] == "conditional"
        )
        num_steps, source_length = expected_attention.shape
        np.testing.assert_allclose(logits[b, :num_steps], expected_logits, atol=1e-4)
        np.testing.assert_allclose(as_array(attention)[b, :num_steps, :source_length], expected_attention, atol=1e-5)
        np.testing.assert_array_equal(as_array(attention)[b, :, source_length:], 0)


def test_loss_and_gradients(architecture, rng):
    """Every weight's gradient along a random direction, in which all of its numbers take part.

    The differences are the reference's, in float64, with errors of about 1e-9: the tolerance is that of float32.
    """
    model = tiny_model(rng, **architecture)
    objective = Objective(model, LABEL_SMOOTHING)
    inputs, labels = padded()
    names, variables = zip(*model.named_weights().items(), strict=True)
    num_tokens = sum(len(row) for _, _, row in rows())
    loss, gradients = value_and_gradients(
        lambda: objective(**inputs, labels=labels, training=True).loss / num_tokens, variables
    )

    weights = reference_weights(model)

    def reference_loss() -> float:
        return reference.mean_loss(rows(), weights, architecture["decoder"] == "conditional", LABEL_SMOOTHING)[0]

    np.testing.assert_allclose(loss, reference_loss(), rtol=1e-5)
    for name, gradient in zip(names, gradients, strict=True):
        value, step = weights[name], 1e-5
        direction = rng.normal(size=value.shape)
        weights[name] = value + step * direction
        above = reference_loss()
        weights[name] = value - step * direction
        below = reference_loss()
        weights[name] = value
        np.testing.assert_allclose(
            np.sum(gradient * direction), (above - below) / (2 * step), rtol=1e-3, atol=2e-5, err_msg=name
        )
