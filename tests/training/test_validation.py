"""What a validation measures, against the model's logits and NumPy, and sacreBLEU's own functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sacrebleu
from keras import ops

from nmt.config_decoding import DecodingConfig
from nmt.config_model import ModelConfig
from nmt.decoding.translator import Translator
from nmt.evaluation.metrics import MetricScore
from nmt.loading import numpy_model
from nmt.model import Seq2Seq
from nmt.text.corpus import SentencePair
from nmt.text.special import BOS_ID, EOS_ID
from nmt.training.optimizers import averaged_weights, build_optimizer
from nmt.training.validation import Validation, inference_weights, validate
from tests.gradients import as_array

VOCABULARY_SIZE = 12
PAIRS = [
    SentencePair("w4 w5 w6", "w7 w8"),
    SentencePair("w9", "w10 w4 w11 w5 w6"),
    SentencePair("w11 w4 w4 w8 w5", "w9"),
    SentencePair("w5 w7", "w7 w5"),
]


class WordTokenizer:
    """`w7` is the piece 7."""

    vocabulary_size = VOCABULARY_SIZE

    def encode(self, lines):
        return [[int(word[1:]) for word in line.split()] for line in lines]

    def decode(self, rows):
        return [" ".join(f"w{piece}" for piece in row) for row in rows]

    def pieces(self, row):
        return [f"\u2581w{piece}" for piece in row]


def make_model(dtype="float32"):
    return Seq2Seq(
        source_vocabulary_size=VOCABULARY_SIZE,
        target_vocabulary_size=VOCABULARY_SIZE,
        embedding_size=6,
        encoder_size=5,
        decoder_size=7,
        attention_size=4,
        tied_embeddings="target",
        dropout_rate=0.5,
        dtype=dtype,
    )


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def translator(model):
    tokenizer = WordTokenizer()
    options = DecodingConfig(beam_size=2, batch_size=3, max_length_ratio=1.0)
    weights = {name: as_array(weight.value) for name, weight in model.named_weights().items()}
    decoding = numpy_model(ModelConfig(), weights)
    return Translator(decoding, tokenizer, tokenizer, "aa", "bb", options)


def log_likelihood(model, pair):
    """One pair at a time, no padding, softmax in NumPy."""
    source, target = WordTokenizer().encode(pair)
    inputs = {"source_ids": np.array([[*source, EOS_ID]]), "target_ids": np.array([[BOS_ID, *target]])}
    logits = as_array(model(inputs))[0]
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return sum(log_probs[position, piece] for position, piece in enumerate([*target, EOS_ID]))


def test_loss_is_the_mean_over_tokens(translator, model):
    """Over all tokens of the corpus, so a long sentence weighs more; without dropout or label smoothing."""
    found = validate(translator, PAIRS, with_translations=False)
    num_tokens = sum(len(pair.target.split()) + 1 for pair in PAIRS)
    expected = -sum(log_likelihood(model, pair) for pair in PAIRS) / num_tokens
    assert found.loss == pytest.approx(expected, rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(expected), rel=1e-5)
    assert (found.scores, found.translations) == ({}, [])


def test_translations_are_scored_against_the_references(translator):
    found = validate(translator, PAIRS, with_translations=True)
    sources, references = (list(side) for side in zip(*PAIRS, strict=True))
    assert found.translations == [one.text for one in translator.translate(sources)]
    assert found.scores.keys() == {"bleu", "chrf"}
    assert found.scores["bleu"].score == pytest.approx(
        sacrebleu.corpus_bleu(found.translations, [references], force=True).score
    )
    assert found.scores["chrf"].score == pytest.approx(sacrebleu.corpus_chrf(found.translations, [references]).score)
    assert found.scores["chrf"].confidence is None  # no time for resampling here
    assert found.loss == validate(translator, PAIRS, with_translations=False).loss


def test_values_are_better_the_higher_they_are():
    scores = {name: MetricScore(name, name, score, "") for name, score in (("bleu", 30.5), ("chrf", 55.0))}
    found = Validation(2.5, scores, [])
    assert [found.value(metric) for metric in ("bleu", "chrf", "loss")] == [30.5, 55.0, -2.5]


@pytest.mark.parametrize(("loss", "perplexity"), [(0.0, 1.0), (math.log(5), 5.0), (800.0, math.inf)])
def test_perplexity(loss, perplexity):
    assert Validation(loss, {}, []).perplexity == pytest.approx(perplexity)


def trained(model, ema_decay, rng):
    """Returns an optimizer that has moved the weights thrice."""
    optimizer = build_optimizer("adam", 0.1, ema_decay=ema_decay)
    variables = model.trainable_variables
    optimizer.build(variables)
    for _ in range(3):
        gradients = [ops.convert_to_tensor(rng.normal(size=v.shape).astype("float32")) for v in variables]
        optimizer.apply(gradients, variables)
    return optimizer


def test_the_weights_are_taken(rng):
    model = make_model()
    taken = inference_weights(model, trained(model, None, rng))
    for name, weight in model.named_weights().items():
        np.testing.assert_array_equal(taken[name], as_array(weight.value), err_msg=name)


def test_the_averages_are_taken_where_such_are_kept(rng):
    """And the weights in training stay as they are."""
    model = make_model()
    optimizer = trained(model, 0.9, rng)
    weights = model.named_weights()
    before = {name: as_array(weight.value) for name, weight in weights.items()}
    taken = inference_weights(model, optimizer)
    averages = averaged_weights(optimizer)
    for name, weight in weights.items():
        np.testing.assert_array_equal(taken[name], as_array(averages[id(weight)].value), err_msg=name)
        np.testing.assert_array_equal(as_array(weight.value), before[name], err_msg=name)
        assert not np.array_equal(taken[name], before[name]), name


def test_what_is_taken_is_a_copy(rng):
    model = make_model()
    taken = inference_weights(model, trained(model, None, rng))
    for name, weight in model.named_weights().items():
        before = taken[name].copy()
        weight.assign(weight + 1.0)
        np.testing.assert_array_equal(taken[name], before, err_msg=name)


def test_weights_of_a_model_in_mixed_precision_are_exact(rng):
    """They are float32; only its arithmetic is not."""
    model = make_model("mixed_bfloat16")
    taken = inference_weights(model, trained(model, None, rng))
    for name, weight in model.named_weights().items():
        assert taken[name].dtype == np.float32
        np.testing.assert_array_equal(taken[name], as_array(weight.value), err_msg=name)
