from __future__ import annotations

import itertools

import pytest

from nmt.config_model import ModelConfig
from nmt.training.flops import Work, decoding_work, training_work
from nmt.weight_shapes import weight_shapes

VOCABULARY = 11


def config(**changes: object) -> ModelConfig:
    sizes = {"embedding_size": 2, "encoder_size": 3, "decoder_size": 5, "attention_size": 7}
    return ModelConfig(**{**sizes, "decoder": "input_feeding", "tied_embeddings": "none", **changes})


def test_one_pair_by_hand() -> None:
    # E = 2, H = 3, M = 6, D = 5, A = 7, V = 11; S = 4 source tokens, T = 3 target tokens; each term is n k m.
    source_token = 2 * (2 * 9 + 3 * 9) + 6 * 7  # two GRUs: input and state to three gates; the keys
    decoder_step = (2 * 15 + 5 * 15 + 6 * 15) + 5 * 7  # GRU: embedding, state, context to three gates; the query
    readout = (5 + 6 + 2) * 2 + 2 * 11
    meetings = 4 * 3 * (7 + 6)  # energy and context
    bridge = 6 * 5
    forward = 2 * (4 * source_token + 3 * (decoder_step + readout) + meetings + bridge)
    assert forward == 2 * (528 + 834 + 156 + 30)
    assert training_work(config(), VOCABULARY, [(4, 3)]) == Work(3 * forward, 3 * 4 * 3 * 7)
    assert decoding_work(config(), VOCABULARY, [(4, 3)], beam_size=1) == Work(forward, 4 * 3 * 7)


@pytest.mark.parametrize(
    ("decoder", "layers", "tied"), list(itertools.product(("input_feeding", "conditional"), (1, 3), ("none", "target")))
)
def test_a_pair_of_one_token_meets_each_weight_once(decoder: str, layers: int, tied: str) -> None:
    model = config(decoder=decoder, encoder_layers=layers, tied_embeddings=tied)
    sizes = model.architecture()
    shapes = weight_shapes(source_vocabulary_size=13, target_vocabulary_size=VOCABULARY, **sizes)
    looked_up = {"source_embedding/embeddings"} | ({"target_embedding/embeddings"} if tied == "none" else set())
    kernels = [shape for name, shape in shapes.items() if len(shape) == 2 and name not in looked_up]
    terms = sum(rows * columns for rows, columns in kernels) + 2 * model.encoder_size  # the memory has no weight
    assert decoding_work(model, VOCABULARY, [(1, 1)], beam_size=1).matrix_products == 2 * terms


def test_transitions_meet_their_weights_once_a_step() -> None:
    plain, deep = (config(decoder="conditional", decoder_transitions=number) for number in (0, 2))
    works = [decoding_work(model, VOCABULARY, [(4, 3)], beam_size=1).matrix_products for model in (plain, deep)]
    assert works[1] - works[0] == 2 * 3 * 2 * 5 * 15  # multiply and add; 3 steps of 2 cells, state to three gates


def test_a_lexical_model_has_a_product_a_source_token_and_sums_them_each_step() -> None:
    plain, lexical = (config(lexical_model=chosen) for chosen in (False, True))
    works = [decoding_work(model, VOCABULARY, [(4, 3)], beam_size=1).matrix_products for model in (plain, lexical)]
    width = plain.embedding_size
    assert works[1] - works[0] == 2 * (4 * 3 * width + 4 * width * width)  # multiply and add


def test_pairs_add_up() -> None:
    pairs = [(4, 3), (1, 9), (20, 1)]
    parts = [training_work(config(), VOCABULARY, [pair]) for pair in pairs]
    whole = training_work(config(), VOCABULARY, pairs)
    assert whole.matrix_products == sum(part.matrix_products for part in parts)
    assert whole.attention_tanh == sum(part.attention_tanh for part in parts)
    assert training_work(config(), VOCABULARY, []) == Work(0, 0)


def test_a_beam_multiplies_the_steps_and_not_the_source() -> None:
    works = [decoding_work(config(), VOCABULARY, [(4, 3)], beam_size=size) for size in (1, 2, 5)]
    by_hypothesis = works[1].matrix_products - works[0].matrix_products
    assert works[2].matrix_products - works[0].matrix_products == 4 * by_hypothesis
    assert works[0].matrix_products > by_hypothesis
    assert [work.attention_tanh for work in works] == [84, 168, 420]
