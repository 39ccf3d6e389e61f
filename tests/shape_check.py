"""Checks types (beartype) and the shapes of arrays (jaxtyping) of every call while the tests run.

The option `--jaxtyping-packages` in pyproject.toml puts `jaxtyping.jaxtyped` around every function of the
package. Each call then binds the sizes B, H, W, … anew and checks all arguments twice. Only functions that
take or return arrays need this. For the others, beartype alone makes the same checks, many times faster.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, ForwardRef, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))
"""Accepts an int for a float, as PEP 484 does. Its errors are TypeErrors, as Python's and jaxtyping's are."""

_with_shapes = jaxtyping.jaxtyped


def _jaxtyped(*, typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    """Replaces the decorator of jaxtyping that the option applies."""

    def decorate(decorated: Any) -> Any:
        is_class = inspect.isclass(decorated)
        if is_class and not dataclasses.is_dataclass(decorated):
            return decorated  # its methods are decorated one by one
        function = decorated.__init__ if is_class else decorated
        if any(map(_may_hold_arrays, inspect.get_annotations(function).values())):
            return _with_shapes(decorated, typechecker=typechecker)
        if is_class:
            decorated.__init__ = typechecker(function)
            return decorated
        return typechecker(function)

    return decorate


def _may_hold_arrays(annotation: Any) -> bool:
    """Whether an annotation contains an array type, or is a string that may name one."""
    if isinstance(annotation, (str, ForwardRef)):
        return True
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(map(_may_hold_arrays, get_args(annotation)))


jaxtyping.jaxtyped = _jaxtyped
