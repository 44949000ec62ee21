"""The model's own `keras.ops` as the search wants them: what translates on a GPU, on any backend.

A GPU wants few shapes and large products, so hypotheses lie in a grid, the same number of places for each sentence of a
batch; places without a hypothesis are computed and thrown away. On a CPU `nmt.decoding.numpy_model` is faster.

Shape letters: B sentences, Q places a sentence, N hypotheses, S source length, E embedding width, V vocabulary size,
C candidates.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops, tree
from numpy.typing import NDArray

from nmt.backend import Tensor, compiled
from nmt.data.batching import pad, round_up
from nmt.decoding.ensemble import Choose
from nmt.decoding.search import NEVER_EMITTED, Banned, Candidates
from nmt.decoding.token_ids import check_token_ids
from nmt.layers.decoder import DecoderState
from nmt.layers.encoder import EncoderOutput
from nmt.model import Seq2Seq
from nmt.text.special import EOS_ID, PAD_ID

PAD_MULTIPLE = 8
"""Source lengths are padded to a multiple of this, so that few shapes occur: JAX compiles anew for each."""

BATCH_MULTIPLE = 16
"""Batches are filled up to a multiple of this, for the same reason."""


class Grid(NamedTuple):
    """Something of every place of the grid, and which places are hypotheses."""

    values: Any
    """(B x Q, ...), a tensor or a structure of them."""
    places: NDArray[np.intp]
    """(N,), the place of each hypothesis."""


class KerasModel:
    """A model in `keras.ops`, ready to decode.

    Args:
        model: A float32 model; its weights are read at each call.
    """

    workers = 1

    def __init__(self, model: Seq2Seq) -> None:
        self.model = model
        config = model.get_config()
        self.source_vocabulary_size: int = config["source_vocabulary_size"]
        self.target_vocabulary_size: int = config["target_vocabulary_size"]
        weights = list(model.named_weights().values())
        self._encode = compiled(self._encode_tensors, weights)
        self._advance = compiled(self._advance_tensors, weights)
        self._label = compiled(_label, [])
        self._best: dict[int, Any] = {}

    @property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The weights by name, as in a model file."""
        return {name: ops.convert_to_numpy(weight) for name, weight in self.model.named_weights().items()}

    def encode(self, source_ids: Sequence[Sequence[int]]) -> tuple[EncoderOutput, Grid]:
        """Reads sentences that end with `EOS_ID`; returns what decoding needs, and one state a sentence."""
        check_token_ids(source_ids, self.source_vocabulary_size, "source")
        num_spare = int(round_up(len(source_ids), BATCH_MULTIPLE)) - len(source_ids)
        padded = pad([*source_ids, *([EOS_ID],) * num_spare], PAD_MULTIPLE)
        encoded, state = self._encode(ops.convert_to_tensor(padded))
        return encoded, Grid(state, np.arange(len(source_ids)))

    def advance(
        self,
        encoded: EncoderOutput,
        state: Grid,
        parents: NDArray[np.intp],
        token_ids: NDArray[np.integer[Any]],
        counts: Sequence[int],
    ) -> tuple[Grid, Grid, NDArray[np.float32]]:
        """Decodes one position of every hypothesis; see `nmt.decoding.search.StepModel`."""
        num_sentences = encoded.mask.shape[0]  # those that fill up the batch have no hypotheses
        # Once wide, the grid stays so: every width is a shape to compile.
        width = max(len(tree.flatten(state.values)[0]) // num_sentences, *counts)
        places = np.flatnonzero(np.arange(width) < np.array(counts)[:, None])
        from_places, last = np.zeros(num_sentences * width, "int32"), np.full(num_sentences * width, PAD_ID, "int32")
        from_places[places], last[places] = state.places[parents], token_ids
        log_probs, after, attention = self._advance(
            encoded, state.values, ops.convert_to_tensor(from_places), ops.convert_to_tensor(last)
        )
        return Grid(log_probs, places), Grid(after, places), ops.convert_to_numpy(attention)[places]

    def candidates(self, readout: Grid, size: int, banned: Banned | None = None) -> Candidates:
        """Returns the most probable next tokens of each hypothesis; see `nmt.decoding.search.StepModel`."""
        if size not in self._best:
            self._best[size] = compiled(functools.partial(_best, size=size), [])
        rows, token_ids = (np.empty(0, "int32"),) * 2 if banned is None else banned
        # What may never be emitted fills up the list, so that its length has few values: powers of two.
        spare = max(64, 1 << len(rows).bit_length()) - len(rows)
        at = np.stack([readout.places[rows], token_ids], axis=1).astype("int32")
        at = np.concatenate([at, np.tile(np.array([[0, PAD_ID]], "int32"), (spare, 1))])
        found = self._best[size](readout.values, ops.convert_to_tensor(at))
        best, log_probs, eos_log_probs = (ops.convert_to_numpy(one)[readout.places] for one in found)
        return Candidates(best, log_probs, eos_log_probs)

    def label_log_probs(self, readout: Grid, labels: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Returns the log-probability (N,) of each label (N,)."""
        everywhere = np.full(len(readout.values), PAD_ID, "int32")
        everywhere[readout.places] = labels
        found = self._label(readout.values, ops.convert_to_tensor(everywhere))
        return np.asarray(ops.convert_to_numpy(found)[readout.places], "float32")

    def _encode_tensors(self, source_ids: Tensor) -> tuple[EncoderOutput, DecoderState]:
        encoded = self.model.encode(source_ids)
        return encoded, self.model.initial_state(encoded)

    def _advance_tensors(
        self, encoded: EncoderOutput, state: DecoderState, parents: Tensor, token_ids: Tensor
    ) -> tuple[Tensor, DecoderState, Tensor]:
        state = tree.map_structure(lambda leaf: ops.take(leaf, parents, axis=0), state)
        logits, state, attention = self.model.step(token_ids, state, encoded)
        return ops.log_softmax(ops.cast(logits, "float32")), state, attention


def keras_candidates(models: Sequence[KerasModel]) -> Choose:
    """Returns what finds the candidates of the mean of these models, on their device; see `nmt.decoding.ensemble`."""
    mean = compiled(_log_mean, [])

    def choose(readouts: Sequence[Grid], size: int, banned: Banned | None) -> Candidates:
        log_probs = mean([readout.values for readout in readouts])
        return models[0].candidates(Grid(log_probs, readouts[0].places), size, banned)

    return choose


def _log_mean(log_probs: list[Tensor]) -> Tensor:
    return ops.logsumexp(ops.stack(log_probs), axis=0) - math.log(len(log_probs))


def _best(log_probs: Tensor, banned: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    eos_log_probs = log_probs[:, EOS_ID]
    never = np.zeros(log_probs.shape[-1], bool)
    never[NEVER_EMITTED] = True
    log_probs = ops.where(never, -np.inf, log_probs)
    log_probs = ops.scatter_update(log_probs, banned, ops.full((ops.shape(banned)[0],), -np.inf))
    best, token_ids = ops.top_k(log_probs, min(size, log_probs.shape[-1]), sorted=False)
    return token_ids, best, eos_log_probs


def _label(log_probs: Tensor, labels: Tensor) -> Tensor:
    return ops.squeeze(ops.take_along_axis(log_probs, ops.expand_dims(labels, 1), axis=1), 1)
