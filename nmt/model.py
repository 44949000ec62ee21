"""The sequence-to-sequence model: embeddings, encoder, bridge, decoder, readout.

`Seq2Seq.step` is the one seam between model and search; `call` is the same arithmetic with all positions of a known
target at once (teacher forcing). This module knows nothing of text, configuration or files.

Shape letters: B batch, Q hypotheses a sentence, S source length, T target length, V target vocabulary, E embedding
width, M memory width, H decoder units.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from nmt.backend import Tensor
from nmt.layers.bridge import Bridge
from nmt.layers.decoder import Decoder, DecoderState, DecoderType
from nmt.layers.dropout import dropout, word_dropout
from nmt.layers.encoder import Encoder, EncoderOutput, mean_over_tokens
from nmt.layers.readout import Readout
from nmt.text.special import PAD_ID

TiedEmbeddings = Literal["none", "target", "all"]


@keras.saving.register_keras_serializable(package="nmt")
class Seq2Seq(keras.Model):
    """Bidirectional GRU encoder and GRU decoder with Bahdanau attention.

    Args:
        source_vocabulary_size: Pieces of the source vocabulary.
        target_vocabulary_size: Pieces V of the target vocabulary.
        embedding_size: Width E of the embeddings.
        encoder_size: Units of each direction of the encoder; the memory is twice as wide.
        encoder_layers: Bidirectional layers.
        decoder: "input_feeding" or "conditional", see `Decoder`.
        decoder_size: Units H of the decoder.
        attention_size: Units of the attention's hidden layer.
        tied_embeddings: "none", "target" (target embedding = output matrix) or "all" (= source embedding too; the two
            vocabularies must then be one).
        reset_after: Variant of the GRU, see `GRUCell`.
        dropout_rate: Dropout on embeddings, memory and readout.
        variational_dropout: Whether dropout draws one mask a sentence instead of one a position.
        recurrent_dropout_rate: Variational dropout on the recurrent states.
        source_word_dropout: Chance that the whole embedding of a source position is zero, see `word_dropout`.
        target_word_dropout: Likewise of a position that the decoder reads; the labels stay whole.
        lexical_model: Whether the readout reads the source embeddings that are attended to, see `Readout`.
        layer_norm: Whether the GRUs' products are normalised, see `GRUCell`.
        decoder_transitions: GRUs without an input that end a step of "conditional", see `Decoder`.

    Raises:
        ValueError: `tied_embeddings="all"` with vocabularies of different size.

    Example:
        >>> import numpy as np
        >>> model = Seq2Seq(source_vocabulary_size=20, target_vocabulary_size=20, embedding_size=8, encoder_size=8,
        ...                 decoder_size=8, attention_size=8)
        >>> ids = np.array([[5, 6, 3], [7, 3, 0]])
        >>> tuple(model({"source_ids": ids, "target_ids": ids}).shape)
        (2, 3, 20)
    """

    def __init__(
        self,
        *,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        embedding_size: int = 256,
        encoder_size: int = 256,
        encoder_layers: int = 1,
        decoder: DecoderType = "conditional",
        decoder_size: int = 512,
        attention_size: int = 256,
        tied_embeddings: TiedEmbeddings = "all",
        reset_after: bool = True,
        dropout_rate: float = 0.0,
        variational_dropout: bool = False,
        recurrent_dropout_rate: float = 0.0,
        source_word_dropout: float = 0.0,
        target_word_dropout: float = 0.0,
        lexical_model: bool = False,
        layer_norm: bool = False,
        decoder_transitions: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if tied_embeddings == "all" and source_vocabulary_size != target_vocabulary_size:
            raise ValueError(
                "`tied_embeddings='all'` needs one vocabulary. Received: "
                f"source_vocabulary_size={source_vocabulary_size}, target_vocabulary_size={target_vocabulary_size}"
            )
        self._config = {
            "source_vocabulary_size": source_vocabulary_size,
            "target_vocabulary_size": target_vocabulary_size,
            "embedding_size": embedding_size,
            "encoder_size": encoder_size,
            "encoder_layers": encoder_layers,
            "decoder": decoder,
            "decoder_size": decoder_size,
            "attention_size": attention_size,
            "tied_embeddings": tied_embeddings,
            "reset_after": reset_after,
            "dropout_rate": dropout_rate,
            "variational_dropout": variational_dropout,
            "recurrent_dropout_rate": recurrent_dropout_rate,
            "source_word_dropout": source_word_dropout,
            "target_word_dropout": target_word_dropout,
            "lexical_model": lexical_model,
            "layer_norm": layer_norm,
            "decoder_transitions": decoder_transitions,
        }
        policy = self.dtype_policy

        def embedding(vocabulary_size: int, name: str) -> keras.layers.Embedding:
            initializer = keras.initializers.RandomNormal(stddev=embedding_size**-0.5)
            return keras.layers.Embedding(vocabulary_size, embedding_size, initializer, dtype=policy, name=name)

        self.target_embedding = embedding(target_vocabulary_size, "target_embedding")
        shared = tied_embeddings == "all"
        self.source_embedding = (
            self.target_embedding if shared else embedding(source_vocabulary_size, "source_embedding")
        )
        self.source_word_dropout = word_dropout(source_word_dropout, policy, "source_word_dropout")
        self.target_word_dropout = word_dropout(target_word_dropout, policy, "target_word_dropout")
        self.embedding_dropout = dropout(dropout_rate, variational_dropout, policy, "embedding_dropout")
        self.memory_dropout = dropout(dropout_rate, variational_dropout, policy, "memory_dropout")
        self.encoder = Encoder(
            encoder_size,
            encoder_layers,
            reset_after=reset_after,
            dropout_rate=dropout_rate,
            variational_dropout=variational_dropout,
            recurrent_dropout_rate=recurrent_dropout_rate,
            layer_norm=layer_norm,
            dtype=policy,
            name="encoder",
        )
        self.bridge = Bridge(decoder_size, dtype=policy, name="bridge")
        self.decoder = Decoder(
            decoder_size,
            attention_size,
            decoder,
            reset_after=reset_after,
            recurrent_dropout_rate=recurrent_dropout_rate,
            layer_norm=layer_norm,
            num_transitions=decoder_transitions,
            dtype=policy,
            name="decoder",
        )
        self.readout = Readout(
            target_vocabulary_size,
            embedding_size,
            tied=tied_embeddings != "none",
            dropout_rate=dropout_rate,
            variational_dropout=variational_dropout,
            lexical=lexical_model,
            dtype=policy,
            name="readout",
        )
        self._build_parts(embedding_size, 2 * encoder_size, decoder_size)

    def _build_parts(self, embedding_size: int, memory_size: int, decoder_size: int) -> None:
        # Every shape is known from the arguments, so the weights exist before the first batch.
        embedded, memory, summary = (None, None, embedding_size), (None, None, memory_size), (None, memory_size)
        lexical = (None, None, embedding_size if self.readout.lexical else 0)
        self.target_embedding.build((None, None))
        self.source_embedding.build((None, None))
        self.encoder.build(embedded)
        self.bridge.build(summary)
        self.decoder.build(
            embedded,
            DecoderState((None, decoder_size), summary),
            EncoderOutput(memory, (None, None, self.decoder.attention_units), (None, None), summary, lexical),
        )
        self.readout.build((None, None, decoder_size), memory, embedded)
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Does nothing: the weights are made by the constructor."""

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Returns logits (B, T, V) of every target position, given the true tokens before it.

        Args:
            inputs: "source_ids" (B, S), pieces then end of sentence, padded; "target_ids" (B, T), beginning of sentence
                then pieces, padded. Integers.
            training: Whether dropout is applied.
        """
        hidden, _ = self.teacher_force(inputs["source_ids"], inputs["target_ids"], training)
        return self.readout.logits(hidden, self.target_embedding.embeddings)

    def teacher_force(self, source_ids: Tensor, target_ids: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Runs every position of a known target at once.

        Returns:
            Readout vectors (B, T, E), from which `readout` makes the logits, and attention weights (B, T, S).
        """
        encoded = self.encode(source_ids, training)
        embedded = self.target_word_dropout(self.target_embedding(target_ids), training=training)
        embedded = self.embedding_dropout(embedded, training=training)
        states, contexts, weights = self.decoder(embedded, self.initial_state(encoded), encoded, training=training)
        lexical = self._lexical(weights, encoded)
        return self.readout(states, contexts, embedded, lexical, training=training), weights

    def encode(self, source_ids: Tensor, training: bool = False) -> EncoderOutput:
        """Returns all that decoding needs of the source.

        Args:
            source_ids: (B, S) integers, right-padded with `PAD_ID`.
            training: Whether dropout is applied.
        """
        mask = ops.not_equal(source_ids, PAD_ID)
        embedded = self.source_word_dropout(self.source_embedding(source_ids), training=training)
        memory = self.encoder(embedded, mask=mask, training=training)
        memory = self.memory_dropout(memory, training=training)
        keys, summary = self.decoder.attention.keys(memory), mean_over_tokens(memory, mask)
        lexical = memory[..., :0]
        if self.readout.lexical:
            lexical = self.readout.translate_words(self.embedding_dropout(embedded, training=training))
        return EncoderOutput(memory, keys, mask, summary, lexical)

    def initial_state(self, encoded: EncoderOutput) -> DecoderState:
        """Returns the decoder's state before the first token: leaves of shape (B, ...)."""
        hidden = self.bridge(encoded.summary)
        return DecoderState(hidden, ops.zeros_like(encoded.summary))

    def step(
        self, token_ids: Tensor, state: DecoderState, encoded: EncoderOutput
    ) -> tuple[Tensor, DecoderState, Tensor]:
        """Decodes one position of every hypothesis.

        Args:
            token_ids: (B * Q,), the previous token of each hypothesis; a sentence's Q hypotheses stand together.
            state: The state before, leaves of shape (B * Q, ...).
            encoded: The source, once a sentence: leaves of shape (B, ...).

        Returns:
            Logits (B * Q, V), the state after, and attention weights (B * Q, S).
        """
        embedded = self.target_embedding(token_ids)
        state, weights = self.decoder.step(embedded, state, encoded)
        lexical = self._lexical(weights, encoded)
        if lexical is not None:
            lexical = ops.reshape(lexical, (-1, lexical.shape[-1]))
        hidden = self.readout(state.hidden, state.context, embedded, lexical)
        return self.readout.logits(hidden, self.target_embedding.embeddings), state, weights

    def _lexical(self, weights: Tensor, encoded: EncoderOutput) -> Tensor | None:
        """Returns the lexical model's terms (B, Q, E) of Q positions or hypotheses a sentence, if there is one.

        Args:
            weights: (B, Q, S) or (B * Q, S).
            encoded: The source.
        """
        if not self.readout.lexical:
            return None
        batch_size, source_length, _ = ops.shape(encoded.lexical)
        return ops.matmul(ops.reshape(weights, (batch_size, -1, source_length)), encoded.lexical)

    def named_weights(self) -> dict[str, keras.Variable]:
        """Returns every weight under a name that depends on the architecture alone, such as "encoder/.../kernel"."""
        return {weight.path: weight for weight in self.weights}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._config}
