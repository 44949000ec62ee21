"""The section `model` of the configuration: what a run trains, and what a model folder says of its weights."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from nmt.config_corpora import Section


class ModelConfig(Section):
    """Sizes and variants of the encoder-decoder."""

    embedding_size: int = Field(256, ge=1, le=8192, description="Width of the embeddings.")
    encoder_size: int = Field(256, ge=1, le=8192, description="Units of each direction of the encoder.")
    encoder_layers: int = Field(1, ge=1, le=16, description="Bidirectional layers, residual from the second on.")
    decoder: Literal["input_feeding", "conditional"] = Field(
        "conditional",
        description="`input_feeding`: one GRU, fed the last context. `conditional`: one before, one after attention.",
    )
    decoder_size: int = Field(512, ge=1, le=8192, description="Units of the decoder.")
    attention_size: int = Field(256, ge=1, le=8192, description="Units of the attention's hidden layer.")
    tied_embeddings: Literal["none", "target", "all"] = Field(
        "all", description="`target`: target embedding = output matrix. `all`: source embedding too (joint vocabulary)."
    )
    reset_after: bool = Field(
        True, description="GRU variant: apply the reset gate after the recurrent product (cuDNN, faster) or before it."
    )
    dropout_rate: float = Field(0.3, ge=0, lt=1, description="Dropout on embeddings, memory and readout.")
    variational_dropout: bool = Field(False, description="Draw one dropout mask a sentence instead of one a position.")
    recurrent_dropout_rate: float = Field(
        0.0, ge=0, lt=1, description="Variational dropout on the recurrent state, one mask a sentence."
    )
    source_word_dropout: float = Field(
        0.0, ge=0, lt=1, description="Chance in training that a source piece's whole embedding is zero."
    )
    target_word_dropout: float = Field(
        0.0, ge=0, lt=1, description="The same of the target pieces that the decoder reads, not of those to predict."
    )
    lexical_model: bool = Field(
        False, description="Add a direct path from the attended source pieces to the output, meant for rare words."
    )
    layer_norm: bool = Field(False, description="Layer normalisation in all GRUs; slower.")
    decoder_transitions: int = Field(
        0, ge=0, le=8, description="Deep transition: further GRU cells that end each step of `conditional`."
    )

    def decoder_problem(self) -> str | None:
        """Returns what about the decoder does not go together, beginning with the key's name, or None."""
        if self.decoder_transitions and self.decoder != "conditional":
            return (
                f"decoder_transitions: must be 0 with the decoder `{self.decoder}`. "
                f"Received: {self.decoder_transitions}. Set it to 0, or the decoder to `conditional`."
            )
        return None

    def architecture(self) -> dict[str, Any]:
        """Returns what decides the weights, without dropout, which training alone knows."""
        return {name: value for name, value in self.model_dump().items() if "dropout" not in name}

    def has_dropout(self) -> bool:
        """Returns whether training draws anything at random in the model."""
        return any((self.dropout_rate, self.recurrent_dropout_rate, self.source_word_dropout, self.target_word_dropout))
