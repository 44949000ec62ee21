"""Keras layers of the encoder-decoder; they know Keras and nothing of text or configuration."""
