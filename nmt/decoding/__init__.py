"""From a model and text to translations: scoring, search and the translator."""
