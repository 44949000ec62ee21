"""The readout: contract, and its output matrix of its own or tied."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from nmt.layers.readout import Readout
from tests.gradients import as_array
from tests.layer_contract import check_layer

BATCH, TARGET, UNITS, MEMORY, EMBEDDING, VOCABULARY = 2, 5, 4, 6, 3, 11


@pytest.fixture
def inputs(rng):
    sizes = {"states": UNITS, "contexts": MEMORY, "embedded": EMBEDDING}
    return {name: rng.uniform(-1, 1, size=(BATCH, TARGET, size)).astype("float32") for name, size in sizes.items()}


@pytest.fixture
def lexical_input(rng):
    return {"lexical": rng.uniform(-1, 1, size=(BATCH, TARGET, EMBEDDING)).astype("float32")}


@pytest.mark.parametrize("lexical", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_contract(tied, lexical, inputs, lexical_input, tmp_path):
    check_layer(
        Readout,
        {"vocabulary_size": VOCABULARY, "units": EMBEDDING, "tied": tied, "dropout_rate": 0.3, "lexical": lexical},
        inputs | (lexical_input if lexical else {}),
        output_shapes=(BATCH, TARGET, EMBEDDING),
        weight_shapes={
            "state_kernel": (UNITS, EMBEDDING),
            "context_kernel": (MEMORY, EMBEDDING),
            "embedding_kernel": (EMBEDDING, EMBEDDING),
            "bias": (EMBEDDING,),
            "output_bias": (VOCABULARY,),
        }
        | ({} if tied else {"output_matrix": (VOCABULARY, EMBEDDING)})
        | ({"lexical_kernel": (EMBEDDING, EMBEDDING)} if lexical else {}),
        unknown_sizes={BATCH, TARGET},
        folder=tmp_path,
    )


@pytest.mark.parametrize("tied", [True, False])
def test_formula(tied, inputs, rng):
    readout = Readout(VOCABULARY, EMBEDDING, tied)
    hidden = readout(**inputs)
    readout.set_weights([rng.normal(size=weight.shape) for weight in readout.weights])
    hidden = readout(**inputs)
    embeddings = rng.normal(size=(VOCABULARY, EMBEDDING)).astype("float32")

    w = {weight.name: as_array(weight) for weight in readout.weights}
    expected = np.tanh(
        inputs["states"] @ w["state_kernel"]
        + inputs["contexts"] @ w["context_kernel"]
        + inputs["embedded"] @ w["embedding_kernel"]
        + w["bias"]
    )
    np.testing.assert_allclose(as_array(hidden), expected, atol=1e-5)
    logits = expected @ (embeddings if tied else w["output_matrix"]).T + w["output_bias"]
    np.testing.assert_allclose(as_array(readout.logits(hidden, embeddings)), logits, atol=1e-4)


def test_lexical_model_adds_a_linear_term(inputs, lexical_input, rng):
    readout = Readout(VOCABULARY, EMBEDDING, lexical=True)
    readout(**inputs, **lexical_input)
    readout.set_weights([rng.normal(size=weight.shape) for weight in readout.weights])
    without = Readout(VOCABULARY, EMBEDDING)
    without(**inputs)
    source = lexical_input["lexical"]
    expected = source @ as_array(readout.lexical_kernel)
    np.testing.assert_allclose(as_array(readout.translate_words(source)), expected, atol=1e-5)
    without.set_weights([as_array(weight) for weight in readout.weights if weight.name != "lexical_kernel"])
    expected = as_array(without(**inputs)) + lexical_input["lexical"]
    np.testing.assert_allclose(as_array(readout(**inputs, **lexical_input)), expected, atol=1e-5)


def test_one_position_is_as_good_as_many(inputs):
    readout = Readout(VOCABULARY, EMBEDDING)
    hidden = as_array(readout(**inputs))
    alone = readout(**{name: ops.convert_to_tensor(x[:, 2]) for name, x in inputs.items()})
    np.testing.assert_allclose(as_array(alone), hidden[:, 2], atol=1e-6)
