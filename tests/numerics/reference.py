"""The model once more, in plain NumPy and float64, one sentence and one position at a time.

Written from the papers' formulas, as slow and as plain as they read. There is no batch, so there is no padding and no
mask: where the package must ignore padding, this never sees any. Weights have the names of `Seq2Seq.named_weights`.

Shape letters: S source length, T target length, E embedding width, M memory width, H decoder units, V vocabulary size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Weights = dict[str, np.ndarray]


def part(weights: Weights, prefix: str) -> Weights:
    """Returns the weights under a prefix, without it."""
    return {name.removeprefix(prefix + "/"): w for name, w in weights.items() if name.startswith(prefix + "/")}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max())
    return exponentials / exponentials.sum()


def gru_step(
    x: np.ndarray,
    h: np.ndarray,
    weights: Weights,
    dropped_h: np.ndarray | None = None,
    fed: tuple[np.ndarray, Weights] | None = None,
) -> np.ndarray:
    """Cho et al. 2014, equations 5 to 8; with "candidate_bias", the variant that resets after the product.

    `dropped_h` stands for h wherever h is multiplied by a matrix. `fed` is a second input with its kernel, and its gain
    where products are normalised.
    """
    if "recurrent_gain" in weights:
        return normalized_gru_step(x, h, weights, dropped_h, fed)
    kernel = weights["kernel"]
    if fed is not None:
        x, kernel = np.concatenate([x, fed[0]]), np.concatenate([kernel, fed[1]["kernel"]])
    w_z, w_r, w_c = np.split(kernel, 3, axis=1)
    u_z, u_r, u_c = np.split(weights["recurrent_kernel"], 3, axis=1)
    b_z, b_r, b_c = np.split(weights["bias"], 3)
    d = h if dropped_h is None else dropped_h
    z = sigmoid(x @ w_z + d @ u_z + b_z)
    r = sigmoid(x @ w_r + d @ u_r + b_r)
    if "candidate_bias" in weights:
        c = np.tanh(x @ w_c + b_c + r * (d @ u_c + weights["candidate_bias"]))
    else:
        c = np.tanh(x @ w_c + b_c + (r * d) @ u_c)
    return z * h + (1 - z) * c


def layer_norm(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Ba et al. 2016, equation 4; the variance has 1e-5 added."""
    return gain * (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def normalized_gru_step(
    x: np.ndarray,
    h: np.ndarray,
    weights: Weights,
    dropped_h: np.ndarray | None,
    fed: tuple[np.ndarray, Weights] | None,
) -> np.ndarray:
    """Ba et al. 2016, supplementary material: both gates are one layer, the candidate is another."""
    units = len(h)
    of_gates, of_c = slice(0, 2 * units), slice(2 * units, 3 * units)
    u = weights["recurrent_kernel"]
    d = h if dropped_h is None else dropped_h

    def from_inputs(part: slice) -> np.ndarray:
        total = weights["bias"][part]
        for one, w in [(x, weights)] + ([] if fed is None else [fed]):
            total = total + layer_norm(one @ w["kernel"][:, part], w["gain"][part])
        return total

    def from_state(state: np.ndarray, part: slice) -> np.ndarray:
        return layer_norm(state @ u[:, part], weights["recurrent_gain"][part])

    z, r = np.split(sigmoid(from_inputs(of_gates) + from_state(d, of_gates)), 2)
    if "candidate_bias" in weights:
        c = np.tanh(from_inputs(of_c) + r * (from_state(d, of_c) + weights["candidate_bias"]))
    else:
        c = np.tanh(from_inputs(of_c) + from_state(r * d, of_c))
    return z * h + (1 - z) * c


def transition_step(h: np.ndarray, weights: Weights, dropped_h: np.ndarray | None = None) -> np.ndarray:
    """Miceli Barone et al. 2017, section 2.3: a GRU whose input is nothing, so that of W x + b the bias is left."""
    nothing = {"kernel": np.zeros((1, 3 * len(h))), "gain": np.ones(3 * len(h))}
    return gru_step(np.zeros(1), h, weights | nothing, dropped_h)


def gru(xs: np.ndarray, w: Weights, reverse: bool = False, drop: np.ndarray | None = None) -> np.ndarray:
    """Returns the states (S, units) of a sentence read in one direction, each at its position.

    `drop` multiplies the state of every step where it meets a matrix (Gal and Ghahramani 2016).
    """
    h = np.zeros(w["recurrent_kernel"].shape[0])
    states = np.zeros((len(xs), len(h)))
    for position in reversed(range(len(xs))) if reverse else range(len(xs)):
        states[position] = h = gru_step(xs[position], h, w, None if drop is None else h * drop)
    return states


def encode(xs: np.ndarray, w: Weights) -> np.ndarray:
    """Returns the memory (S, M) of embedded tokens; layers above the first add to what they are given."""
    memory = xs
    depth = 0
    while any(name.startswith(f"layer_{depth}_") for name in w):
        forward = gru(memory, part(w, f"layer_{depth}_forward/cell"))
        backward = gru(memory, part(w, f"layer_{depth}_backward/cell"), reverse=True)
        states = np.concatenate([forward, backward], axis=1)
        memory = states if depth == 0 else memory + states
        depth += 1
    return memory


def attend(query: np.ndarray, memory: np.ndarray, w: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Bahdanau et al. 2015, appendix A.1.2: the context (M,) and the weights (S,)."""
    v = w["energy_vector"][:, 0]
    energies = [v @ np.tanh(query @ w["query_kernel"] + m @ w["memory_kernel"] + w["bias"]) for m in memory]
    weights = softmax(np.array(energies))
    return sum(weight * m for weight, m in zip(weights, memory, strict=True)), weights


def decode(
    embedded: np.ndarray,
    hidden: np.ndarray,
    memory: np.ndarray,
    w: Weights,
    conditional: bool,
    drop: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns states (T, H), contexts (T, M) and attention weights (T, S)."""
    attention = part(w, "attention")
    context = np.zeros(memory.shape[1])
    steps = []
    for y in embedded:
        if conditional:
            query = gru_step(y, hidden, part(w, "cell"), hidden * drop)
            context, weights = attend(query, memory, attention)
            hidden = gru_step(context, query, part(w, "context_cell"), query * drop)
            number = 0
            while transition := part(w, f"transition_{number}"):
                hidden = transition_step(hidden, transition, hidden * drop)
                number += 1
        else:
            feeding = {"kernel": w["context_projection/kernel"], "gain": w.get("context_gain")}
            hidden = gru_step(y, hidden, part(w, "cell"), hidden * drop, (context, feeding))
            context, weights = attend(hidden, memory, attention)
        steps.append((hidden, context, weights))
    states, contexts, attention_weights = (np.stack(column) for column in zip(*steps, strict=True))
    return states, contexts, attention_weights


def translate_forced(
    source_ids: Sequence[int], target_ids: Sequence[int], weights: Weights, conditional: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits (T, V) and attention weights (T, S) of one sentence, given its target, without padding."""
    target_table = weights["target_embedding/embeddings"]
    source_table = weights.get("source_embedding/embeddings", target_table)
    memory = encode(source_table[list(source_ids)], part(weights, "encoder"))
    bridge = part(weights, "bridge/dense")
    hidden = np.tanh(memory.mean(axis=0) @ bridge["kernel"] + bridge["bias"])
    sources, embedded = source_table[list(source_ids)], target_table[list(target_ids)]
    states, contexts, attention = decode(embedded, hidden, memory, part(weights, "decoder"), conditional)
    w = part(weights, "readout")
    t = np.tanh(
        states @ w["state_kernel"] + contexts @ w["context_kernel"] + embedded @ w["embedding_kernel"] + w["bias"]
    )
    if "lexical_kernel" in w:
        t = np.stack(
            [
                row + sum(share * (x @ w["lexical_kernel"]) for share, x in zip(shares, sources, strict=True))
                for row, shares in zip(t, attention, strict=True)
            ]
        )
    return t @ w.get("output_matrix", target_table).T + w["output_bias"], attention


def token_losses(labels: Sequence[int], logits: np.ndarray, label_smoothing: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns smoothed loss and negative log-likelihood of each token: - sum over v of q(v) log p(v), q written out."""
    smoothed, nll = [], []
    for label, row in zip(labels, logits, strict=True):
        log_p = np.log(softmax(row))
        q = np.full(len(row), label_smoothing / len(row))
        q[label] += 1 - label_smoothing
        smoothed.append(-(q @ log_p))
        nll.append(-log_p[label])
    return np.array(smoothed), np.array(nll)


def mean_loss(
    batch: Sequence[tuple[Sequence[int], Sequence[int], Sequence[int]]],
    weights: Weights,
    conditional: bool,
    label_smoothing: float = 0.0,
) -> tuple[float, float]:
    """Returns smoothed loss and negative log-likelihood, averaged over the tokens of all sentences.

    Args:
        batch: Source ids, target ids and labels of each sentence.
    """
    losses: list[Any] = []
    for source_ids, target_ids, labels in batch:
        logits, _ = translate_forced(source_ids, target_ids, weights, conditional)
        losses.append(token_losses(labels, logits, label_smoothing))
    smoothed, nll = (np.concatenate(column) for column in zip(*losses, strict=True))
    return float(smoothed.mean()), float(nll.mean())
