"""What every Keras layer of this package promises, whatever it computes.

A layer's own test adds what is particular to it; its arithmetic is checked in `tests/numerics/`.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import tree

from tests.gradients import as_array

BFLOAT16_TOLERANCE = 0.05
"""bfloat16 keeps 8 bits of a number: a few roundings of values around 1."""

FLOAT32_TOLERANCE = 1e-5
"""The same computed in another order: a hundred roundings of values around 1 in float32, which keeps 24 bits."""


def check_layer(
    layer_class: type[keras.layers.Layer],
    arguments: dict[str, Any],
    inputs: dict[str, Any],
    *,
    output_shapes: Any,
    weight_shapes: dict[str, tuple[int, ...]],
    unknown_sizes: set[int],
    folder: Path,
) -> None:
    """Holds a layer to the Keras contract.

    Args:
        layer_class: The layer.
        arguments: Arguments of its constructor.
        inputs: Arguments of its call by name: arrays, or (named) tuples of them. At most one array is boolean: the
            mask, in which something must be masked.
        output_shapes: Shapes of what the call returns, in its structure.
        weight_shapes: Every weight's shape, by its path inside the layer.
        unknown_sizes: Sizes of axes, such as the batch's and the source's, that a symbolic call must not need to know.
        folder: Where a model may be saved.
    """
    layer = _check_config(layer_class, arguments)
    outputs = _check_build(layer, inputs, weight_shapes)
    assert tree.map_structure(lambda x: tuple(x.shape), outputs) == output_shapes
    _check_mask(layer, inputs, outputs)
    _check_mixed_precision(layer, layer_class, arguments, inputs, outputs)
    _check_symbolic_call_and_file(layer, inputs, outputs, output_shapes, unknown_sizes, folder)


def _check_config(layer_class: type[keras.layers.Layer], arguments: dict[str, Any]) -> keras.layers.Layer:
    layer = layer_class(**arguments, name="some_name")
    config = layer.get_config()
    for name, parameter in inspect.signature(layer_class.__init__).parameters.items():
        if name == "self" or parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        value = arguments.get(name, parameter.default)
        assert getattr(layer, name) == value, f"attribute {name}"
        assert config[name] == value, f"get_config()[{name!r}]"

    assert layer_class.from_config(config).get_config() == config
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    revived = keras.saving.deserialize_keras_object(serialized)  # registered: no custom_objects
    assert type(revived) is layer_class
    assert revived.get_config() == config
    return layer


def _check_build(layer: keras.layers.Layer, inputs: dict[str, Any], weight_shapes: dict[str, tuple[int, ...]]) -> Any:
    assert not layer.built
    assert layer.weights == []
    outputs = layer(**inputs)  # Keras builds it from the shapes of the call
    assert layer.built
    assert {w.path.removeprefix("some_name/"): tuple(w.shape) for w in layer.weights} == weight_shapes
    assert layer.non_trainable_weights == []
    return outputs


def _check_mask(layer: keras.layers.Layer, inputs: dict[str, Any], outputs: Any) -> None:
    """What stands at masked positions of the inputs changes nothing at the real positions of the outputs."""
    mask = next((x for x in tree.flatten(inputs) if x.dtype == bool), None)
    if mask is None:
        return
    assert not mask.all(), "the check needs a masked position"

    def disturbed(x: np.ndarray) -> np.ndarray:
        return np.where(mask[..., None], x, 7.5).astype(x.dtype) if x.shape[:2] == mask.shape and x.ndim > 2 else x

    changed = layer(**tree.map_structure(disturbed, inputs))
    for before, after in zip(tree.flatten(outputs), tree.flatten(changed), strict=True):
        before, after = as_array(before), as_array(after)
        if before.shape[:2] == mask.shape and before.ndim > 2:
            before, after = before[mask], after[mask]
        np.testing.assert_allclose(after, before, atol=1e-6)


def _check_mixed_precision(
    layer: keras.layers.Layer,
    layer_class: type[keras.layers.Layer],
    arguments: dict[str, Any],
    inputs: dict[str, Any],
    outputs: Any,
) -> None:
    """Weights stay float32, outputs are bfloat16 and about as they were.

    The second layer is built as Keras builds what it reads from a file.
    """
    assert {keras.backend.standardize_dtype(x.dtype) for x in tree.flatten(outputs)} == {"float32"}
    mixed = layer_class(**arguments, dtype="mixed_bfloat16")
    mixed.build_from_config(json.loads(json.dumps(layer.get_build_config())))
    mixed.set_weights(layer.get_weights())
    mixed_outputs = mixed(**inputs)
    assert {w.dtype for w in mixed.weights} == {"float32"}
    for expected, actual in zip(tree.flatten(outputs), tree.flatten(mixed_outputs), strict=True):
        assert keras.backend.standardize_dtype(actual.dtype) == "bfloat16"
        assert_near(as_array(actual), as_array(expected), BFLOAT16_TOLERANCE, getattr(layer, "layer_norm", False))


def _check_symbolic_call_and_file(
    layer: keras.layers.Layer,
    inputs: dict[str, Any],
    outputs: Any,
    output_shapes: Any,
    unknown_sizes: set[int],
    folder: Path,
) -> None:
    """In a functional model with unknown sizes, written to a file and read again, the layer computes the same."""

    def unknown(shape: tuple[int, ...]) -> tuple[int | None, ...]:
        return tuple(None if size in unknown_sizes else size for size in shape)

    symbols = tree.map_structure(lambda x: keras.Input(batch_shape=unknown(x.shape), dtype=x.dtype.name), inputs)
    symbolic = layer(**symbols)
    known = tree.map_structure(lambda x: tuple(x.shape), symbolic)
    assert known == tree.map_shape_structure(unknown, output_shapes)

    keras.Model(tree.flatten(symbols), tree.flatten(symbolic)).save(folder / "layer.keras")
    loaded = keras.saving.load_model(folder / "layer.keras")
    predicted = loaded.predict_on_batch(tree.flatten(inputs))
    for expected, actual in zip(tree.flatten(outputs), tree.flatten(predicted), strict=True):
        assert_near(as_array(actual), as_array(expected), FLOAT32_TOLERANCE, getattr(layer, "layer_norm", False))


def assert_near(actual: np.ndarray, expected: np.ndarray, tolerance: float, is_normalised: bool) -> None:
    """Compares two arrays number by number; with layer normalisation all together, by the root mean square.

    Single ones may be far off where products are normalised: the rounding of a vector is divided by its size, and a
    recurrence does so anew at every position. In bfloat16, against float64, the worst numbers of 3,000 random decoders
    with a normalised transition, emulated in NumPy, differed by 0.4, where the root mean squares were 0.005 by median
    and at most 0.05; those of other layers by 0.005.
    """
    if not is_normalised:
        np.testing.assert_allclose(actual, expected, rtol=0.0, atol=tolerance)
        return
    assert actual.shape == expected.shape
    difference = np.sqrt(np.mean(np.square(actual - expected)))
    assert difference <= tolerance  # false of NaN too
