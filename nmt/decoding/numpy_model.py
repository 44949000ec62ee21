"""The model's forward pass in NumPy: what translates on a CPU, without Keras.

`nmt.model.Seq2Seq` is the reference, and what trains; this is the same arithmetic, arranged for decoding. It is here
because it was measured: two cores, beam 5, 1,000 sentences of Multi30k, 4.8 million parameters, against the same search
with `keras.ops` on TensorFlow (docs/performance.md has the figures): twice the sentences a second, a third of the
memory, and a start within half a second, because nothing has to be imported, traced or compiled.

Nothing is padded. Sentences lie end to end in one array, and a step is taken for the hypotheses that live, however many
each sentence has. What depends on the source alone is multiplied once a sentence: the memory is projected into the
attention's space, the gates' and the readout's, so that a step's context is already in the two latter.

Shape letters: B sentences, S source length, N hypotheses, E embedding width, M memory width, H decoder units,
A attention units, V vocabulary size, P vocabulary with its padding, C candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nmt.decoding.numpy_cells import Cell, Floats, Integers, centred, normalize_gates, run
from nmt.decoding.search import NEVER_EMITTED, Banned, Candidates
from nmt.decoding.token_ids import check_token_ids
from nmt.decoding.workers import available_cores, single_core_products
from nmt.text.special import EOS_ID

ROWS_PER_PRODUCT = 512
"""Rows whose logits exist at a time."""

ROWS_PER_BLOCK = 32
"""Rows whose logits are gone through at a time."""

QUERIES_PER_BLOCK = 16
"""Hypotheses of a sentence that attend at a time: bounds the memory of a wide beam over a long line."""

EMBEDDED_ROWS = 16
"""Neighbours in the vocabulary that are multiplied together when one of them is first met."""

FOLDS = 16
"""Logits of a row among which the greatest is found first; the padded vocabulary is a multiple of this."""


class Encoded(NamedTuple):
    """What decoding needs of each sentence of a batch."""

    keys: list[Floats]
    """(S, A) each."""
    projected: list[Floats]
    """(S, 3H + E) each, the memory in the space of the gates and in that of the readout.

    With a lexical model (S, 3H + 2E): the embeddings in the readout's space too.
    """


class State(NamedTuple):
    """What a step hands to the next; rows are hypotheses, those of a sentence together."""

    hidden: Floats
    """(N, H)."""
    context: Floats
    """(N, 3H), the previous context in the gates' space, for input feeding."""


class NumpyModel:
    """A trained model, ready to decode.

    Args:
        weights: Weights by name, as in a model file (`nmt.model.weight_shapes`), float32.
        encoder_layers: Bidirectional layers.
        decoder: "conditional" or "input_feeding", see `nmt.layers.decoder.Decoder`.
        reset_after: Variant of the GRU, see `nmt.layers.cells.GRUCell`.
        layer_norm: Whether the GRUs' products are normalised.
        decoder_transitions: GRUs without an input that end a step of "conditional".
    """

    def __init__(
        self,
        weights: Mapping[str, Floats],
        *,
        encoder_layers: int,
        decoder: str,
        reset_after: bool,
        layer_norm: bool,
        decoder_transitions: int,
    ) -> None:
        def cell(name: str, has_input: bool = True) -> Cell:
            return Cell(weights, name, reset_after, layer_norm, has_input)

        self.weights = weights
        self.workers = available_cores()
        self.target_embedding = weights["target_embedding/embeddings"]
        self.target_vocabulary_size = len(self.target_embedding)
        self.source_embedding = weights.get("source_embedding/embeddings", self.target_embedding)
        self.encoder_cells = [
            [cell(f"encoder/layer_{layer}_{direction}/cell") for direction in ("forward", "backward")]
            for layer in range(encoder_layers)
        ]
        self.bridge = weights["bridge/dense/kernel"], weights["bridge/dense/bias"]
        self.is_conditional = decoder == "conditional"
        self.cell = cell("decoder/cell")
        self.transition_cells = [
            cell(f"decoder/transition_{number}", has_input=False) for number in range(decoder_transitions)
        ]
        self.energy_vector = weights["decoder/attention/energy_vector"][:, 0].copy()
        self.query_kernel = weights["decoder/attention/query_kernel"]
        # Where the state that attends is also the second cell's previous state, one product serves both.
        self.is_joined = self.is_conditional and reset_after
        if self.is_conditional:
            self.context_cell = cell("decoder/context_cell")
            if self.is_joined:
                self.query_kernel = _columns(self.context_cell.recurrent_kernel, self.query_kernel)
            context_kernel = self.context_cell.kernel
        else:
            context_kernel = weights["decoder/context_projection/kernel"]
            self.context_gain = weights["decoder/context_gain"] if layer_norm else None
            if layer_norm:
                context_kernel = centred(context_kernel)
        self.embedding_kernel = _columns(self.cell.kernel, weights["readout/embedding_kernel"])
        self.readout_bias = weights["readout/bias"]
        # Of all tokens, but only the rows that are written take memory.
        self._embedded = np.empty((len(self.target_embedding), self.embedding_kernel.shape[1]), "float32")
        self._is_embedded = np.zeros(-(-len(self.target_embedding) // EMBEDDED_ROWS), bool)
        self.memory_kernel = _columns(
            weights["decoder/attention/memory_kernel"], context_kernel, weights["readout/context_kernel"]
        )
        self.key_bias = weights["decoder/attention/bias"]
        self.state_kernel = weights["readout/state_kernel"]
        self.lexical_kernel = weights.get("readout/lexical_kernel")
        # Columns that pad the vocabulary are never the greatest and add nothing to a sum of exponentials.
        output = weights.get("readout/output_matrix", self.target_embedding)
        padded = -(-len(output) // FOLDS) * FOLDS
        self.output_matrix = np.zeros((output.shape[1], padded), "float32")
        self.output_matrix[:, : len(output)] = output.T
        self.output_bias = np.full(padded, -np.inf, "float32")
        self.output_bias[: len(output)] = weights["readout/output_bias"]

    def encode(self, source_ids: Sequence[Sequence[int]]) -> tuple[Encoded, State]:
        """Reads sentences that end with `EOS_ID`; returns what decoding needs, and one state a sentence.

        A sentence without even that has a summary and contexts of zeros, and attends to nothing.
        """
        check_token_ids(source_ids, len(self.source_embedding), "source")
        lengths = np.array([len(ids) for ids in source_ids])
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
        # Time-major, longest sentence first: at each position the sentences that have it are the first rows.
        starts = np.concatenate(
            [[0], np.cumsum([(lengths > t).sum() for t in range(lengths[0])], dtype=int)], dtype=int
        )
        flat = [source_ids[row][t] for t in range(lengths[0]) for row in order[: starts[t + 1] - starts[t]]]
        memory = self.source_embedding[np.array(flat, np.intp)]
        embedded = memory
        for depth, cells in enumerate(self.encoder_cells):
            states = _columns(*(run(cell, cell.project(memory), starts, reverse) for reverse, cell in enumerate(cells)))
            memory = states if depth == 0 else memory + states
        rows = [np.empty(0, np.intp)] * len(order)
        for rank, sentence in enumerate(order):
            rows[sentence] = starts[: lengths[rank]] + rank
        summary = np.stack([memory[of_sentence].sum(axis=0) / max(len(of_sentence), 1) for of_sentence in rows])
        hidden = np.tanh(summary @ self.bridge[0] + self.bridge[1])
        projected: Floats = memory @ self.memory_kernel
        split = len(self.key_bias)
        keys = projected[:, :split] + self.key_bias
        if self.lexical_kernel is not None:
            projected = _columns(projected, embedded @ self.lexical_kernel)
        encoded = Encoded([keys[one] for one in rows], [projected[one, split:] for one in rows])
        return encoded, State(hidden, np.zeros((len(rows), 3 * self.cell.units), "float32"))

    def advance(
        self, encoded: Encoded, state: State, parents: Integers, token_ids: Integers, counts: Sequence[int]
    ) -> tuple[Floats, State, Floats]:
        """Decodes one position of every hypothesis.

        Args:
            encoded: The source.
            state: The state before.
            parents: (N,), which row of `state` each hypothesis goes on from.
            token_ids: (N,), the last token of each hypothesis.
            counts: For each sentence, how many of the hypotheses are its own; they stand in the order of sentences.

        Returns:
            Readout vectors (N, E), the state after, and attention weights (N, S), S that of the longest sentence.
        """
        units = self.cell.units
        embedded = self._embed(token_ids)
        before = state.hidden[parents]
        if self.is_conditional:
            middle = self.cell.step(embedded[:, : 3 * units], before)
            products = middle @ self.query_kernel
            queries, recurrent = (products[:, 3 * units :], products) if self.is_joined else (products, None)
            weights, context = self._attend(queries, encoded, counts)
            projected = self.context_cell.from_products(context[:, : 3 * units])
            hidden = self.context_cell.step(projected, middle, recurrent)
            for transition in self.transition_cells:
                hidden = transition.step(transition.bias[None], hidden)
        else:
            fed = normalize_gates(state.context[parents], self.context_gain)
            hidden = self.cell.step(embedded[:, : 3 * units] + fed, before)
            weights, context = self._attend(hidden @ self.query_kernel, encoded, counts)
        readout = hidden @ self.state_kernel
        readout += embedded[:, 3 * units :]
        in_gates, in_readout, lexical = np.split(context, [3 * units, 3 * units + readout.shape[1]], axis=1)
        readout += in_readout
        np.tanh(readout, out=readout)
        if self.lexical_kernel is not None:
            readout += lexical
        return readout, State(hidden, in_gates), weights

    def _attend(self, queries: Floats, encoded: Encoded, counts: Sequence[int]) -> tuple[Floats, Floats]:
        """Returns the attention weights (N, S), and the contexts (N, 3H + E, or as wide as `Encoded.projected`)."""
        weights = np.full((len(queries), max(map(len, encoded.keys))), -np.inf, "float32")
        ends = np.cumsum(counts).tolist()
        for keys, count, end in zip(encoded.keys, counts, ends, strict=True):
            for first in range(end - count, end, QUERIES_PER_BLOCK):
                block = slice(first, min(first + QUERIES_PER_BLOCK, end))
                hidden = keys + queries[block, None]  # (queries, S, A)
                weights[block, : len(keys)] = np.tanh(hidden, out=hidden) @ self.energy_vector
        # The greatest is finite and the sum at least 1 wherever a position is real; where none is, all weights are 0.
        weights -= weights.max(axis=1, keepdims=True, initial=np.finfo("float32").min)
        np.exp(weights, out=weights)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1)
        contexts = np.empty((len(queries), encoded.projected[0].shape[1]), "float32")
        for projected, count, end in zip(encoded.projected, counts, ends, strict=True):
            if count:
                np.matmul(weights[end - count : end, : len(projected)], projected, out=contexts[end - count : end])
        return weights, contexts

    def _embed(self, token_ids: Integers) -> Floats:
        """Returns what the embeddings of tokens (N,) give to gates and readout (N, 3H + E), biases counted."""
        # Multiplied when a token is first met, with its neighbours, and kept. A product rounds by the place of a row
        # and by the number of cores: in blocks of their own, on one core, rows are the same whoever asks first.
        split = 3 * self.cell.units
        blocks = np.unique(token_ids // EMBEDDED_ROWS)
        new = blocks[~self._is_embedded[blocks]]
        if len(new):
            with single_core_products():
                for block in new.tolist():
                    rows = slice(block * EMBEDDED_ROWS, (block + 1) * EMBEDDED_ROWS)
                    products = self.target_embedding[rows] @ self.embedding_kernel
                    self._embedded[rows, :split] = self.cell.from_products(products[:, :split])
                    self._embedded[rows, split:] = products[:, split:] + self.readout_bias
                    self._is_embedded[block] = True
        return self._embedded[token_ids]

    def candidates(self, readout: Floats, size: int, banned: Banned | None = None) -> Candidates:
        """Returns the most probable next tokens of each hypothesis, in no order.

        Args:
            readout: (N, E), from `advance`.
            size: How many, C; fewer where the vocabulary has fewer.
            banned: Tokens of single hypotheses that may not come next.
        """
        num_rows = len(readout)
        size = min(size, len(self.output_bias))
        best = Candidates(
            np.empty((num_rows, size), np.intp), np.empty((num_rows, size), "float32"), np.empty(num_rows, "float32")
        )
        for rows, logits, scratch in self.logit_blocks(readout):
            never = logits[:, NEVER_EMITTED]
            logits[:, NEVER_EMITTED] = -np.inf
            column_maxima = fold(logits)
            highest = np.maximum(column_maxima.max(axis=1), never.max(axis=1))[:, None]
            # The normalizer, over all tokens: one that may not be emitted keeps its probability.
            total = _sum_of_exponentials(logits, highest, scratch) + np.exp(never - highest).sum(axis=1)
            normalizer = np.log(total) + highest[:, 0]
            best.eos_log_probs[rows] = logits[:, EOS_ID] - normalizer
            if banned is not None:
                here = slice(*np.searchsorted(banned.rows, [rows.start, rows.stop]))
                logits[banned.rows[here] - rows.start, banned.token_ids[here]] = -np.inf
                column_maxima = fold(logits)
            best.token_ids[rows], greatest = greatest_tokens(logits, column_maxima, size)
            best.log_probs[rows] = greatest - normalizer[:, None]
        return best

    def label_log_probs(self, readout: Floats, labels: Integers) -> Floats:
        """Returns the log-probability (N,) of each label (N,)."""
        found = np.empty(len(readout), "float32")
        for rows, logits, scratch in self.logit_blocks(readout):
            highest = logits.max(axis=1)
            normalizer = np.log(_sum_of_exponentials(logits, highest[:, None], scratch)) + highest
            found[rows] = logits[np.arange(len(logits)), labels[rows]] - normalizer
        return found

    def logit_blocks(self, readout: Floats) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yields some rows at a time, their logits (n, P), and as much room for what is made of them."""
        # A product reorders the whole output matrix before it begins, so it is made for many rows; what follows goes
        # over a row several times, so it is done for as few as a core's cache holds. One after the other for 64 rows
        # took 36 us a row, so 32 (200 rows, 256 x 8,000, one core).
        most = min(ROWS_PER_PRODUCT, len(readout))
        products = np.empty((most, len(self.output_bias)), "float32")
        scratch = np.empty((min(ROWS_PER_BLOCK, most), len(self.output_bias)), "float32")
        for first in range(0, len(readout), ROWS_PER_PRODUCT):
            here = readout[first : first + ROWS_PER_PRODUCT]
            logits = np.matmul(here, self.output_matrix, out=products[: len(here)])
            for start in range(0, len(here), ROWS_PER_BLOCK):
                block = logits[start : start + ROWS_PER_BLOCK]
                block += self.output_bias
                yield slice(first + start, first + start + len(block)), block, scratch[: len(block)]


def _columns(*arrays: Floats) -> Floats:
    return np.concatenate(arrays, axis=1)


def fold(logits: Floats) -> Floats:
    """Returns the maxima (n, P / FOLDS) of every P / FOLDS-th logit: column j is that of j, j + P / FOLDS and so on."""
    for _ in range(FOLDS.bit_length() - 1):
        half = logits.shape[1] // 2
        logits = np.maximum(logits[:, :half], logits[:, half:])
    return logits


def greatest_tokens(values: Floats, column_maxima: Floats, size: int) -> tuple[Integers, Floats]:
    """Returns the tokens (n, C) with the greatest values, in no order, and these values.

    Args:
        values: (n, P), of all tokens.
        column_maxima: What `fold` makes of them.
        size: How many, C.
    """
    # The C greatest are in the C columns with the greatest maxima.
    columns = _greatest(column_maxima, size)
    token_ids = (columns[:, :, None] + column_maxima.shape[1] * np.arange(FOLDS)).reshape(len(values), -1)
    found = np.take_along_axis(values, token_ids, axis=1)
    chosen = _greatest(found, size)
    return np.take_along_axis(token_ids, chosen, axis=1), np.take_along_axis(found, chosen, axis=1)


def _sum_of_exponentials(logits: Floats, highest: Floats, scratch: Floats) -> Floats:
    """Returns the sum over a row of exp(logit - highest), (n,)."""
    np.subtract(logits, highest, out=scratch)
    total: Floats = np.exp(scratch, out=scratch).sum(axis=1)
    return total


def _greatest(values: Floats, size: int) -> Integers:
    """Returns where the `size` greatest values of each row are, in no order; all of them where there are fewer."""
    if size >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, values.shape[1] - size, axis=1)[:, -size:]
