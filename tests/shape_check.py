"""What checks shapes and types in the tests: beartype, taking an int for a float as PEP 484 does."""

import inspect
from collections.abc import Iterator
from types import FunctionType, ModuleType

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def leave_out(*modules: ModuleType) -> None:
    """Check no more those functions of these modules that neither take nor return an array.

    An evaluation calls such small functions of whole numbers a thousand times: checking them took three
    quarters of the time of the tests that paint.
    """
    for module in modules:
        for function in _functions(module):
            if not any(_is_array(annotation) for annotation in inspect.get_annotations(function).values()):
                function.__no_type_check__ = True  # type: ignore[attr-defined]  # jaxtyping looks for it at each call


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """The module's own, and its classes' methods and properties."""
    classes = [value for value in vars(module).values() if inspect.isclass(value)]
    for holder in [module, *(value for value in classes if value.__module__ == module.__name__)]:
        for value in vars(holder).values():
            function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                yield function


def _is_array(annotation: object) -> bool:
    return type(annotation).__module__.startswith("jaxtyping")
