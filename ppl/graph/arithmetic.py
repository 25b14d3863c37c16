"""Arithmetic on the syntax of test blocks and `fit` lines: numbers, lists, functions, and names that a caller gives meaning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated
from ppl.graph.functions import apply_known
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.syntax import tree

OPERATORS = {
    "+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "remainder", "@": "matmul", "^": "power", "==": "equal",
    "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "and": "and", "or": "or",
}  # fmt: skip

Lookup = Callable[[tree.Expression], Any]


def compute(e: tree.Expression, lookup: Lookup, folder: Path | None = None) -> Any:
    """The value: a NumPy array, or a (nested) list of words where it names members. `lookup` is asked first about names, calls,
    attributes and indices; it returns None where it has no meaning for one."""
    meant = lookup(e) if isinstance(e, tree.Name | tree.Call | tree.Attribute | tree.Index) else None
    if meant is not None:
        return meant
    match e:
        case tree.Number(value=value) | tree.Truth(value=value):
            return np.asarray(value)
        case tree.Text(value=value):
            return value
        case tree.Name(name=name):
            return name
        case tree.Unary(operator=operator, operand=operand):
            return _apply("negate" if operator == "-" else "not", [compute(operand, lookup, folder)], e)
        case tree.Binary(operator=operator, left=left, right=right):
            return _apply(OPERATORS[operator], [compute(left, lookup, folder), compute(right, lookup, folder)], e)
        case tree.Conditional(condition=condition, then=then, otherwise=otherwise):
            return compute(then if np.all(compute(condition, lookup, folder)) else otherwise, lookup, folder)
        case tree.ListLiteral(items=items):
            return _listed([compute(i, lookup, folder) for i in items], e)
        case tree.Index(base=base, indices=indices):
            return _entry(compute(base, lookup, folder), [compute(i, lookup, folder) for i in indices], e)
        case tree.Call(function=tree.Name(name="csv"), arguments=arguments):
            return read_column([a.value for a in arguments], folder, e)
        case tree.Call(function=function, arguments=arguments):
            return _apply(function.name, [compute(a.value, lookup, folder) for a in arguments], e)
    raise AimError([Diagnostic("AIM0801", "this expression has no value here", e.span)])


def named(e: tree.Expression) -> tuple[str | None, tuple[tree.Expression, ...]]:
    """The name of a variable (dotted for one of a submodel, with primes for a derivative) and its indices."""
    if isinstance(e, tree.Index):
        name, indices = named(e.base)
        return name, (*indices, *e.indices)
    if isinstance(e, tree.Attribute):
        name, indices = named(e.base)
        return (f"{name}.{e.name}" if name else None), indices
    return (e.name + "'" * e.primes, ()) if isinstance(e, tree.Name) else (None, ())


def _apply(name: str, values: list[Any], e: tree.Expression) -> np.ndarray:
    _refuse_words(values, e)
    try:
        return apply_known(name, [Plated((), np.asarray(v)) for v in values]).data
    except KeyError:
        raise AimError([Diagnostic("AIM0801", f"unknown function `{name}`", e.span)]) from None
    except (TypeError, ValueError) as error:
        raise AimError([Diagnostic("AIM0801", f"`{name}` cannot be computed of these values: {error}", e.span)]) from None


def _entry(of: Any, places: list[Any], e: tree.Expression) -> np.ndarray:
    _refuse_words([of, *places], e)
    value = np.asarray(of)
    if len(places) > value.ndim or any(np.ndim(i) or not 0 <= i < n or i % 1 for i, n in zip(places, value.shape, strict=False)):
        text = f"there is no entry `{e.span.text}`: what is before the brackets has the shape {list(value.shape)}"
        raise AimError([Diagnostic("AIM0801", text, e.span, "indices start at 0")])
    return value[tuple(int(i) for i in places)]


def _refuse_words(values: list[Any], e: tree.Expression) -> None:
    words = [v for v in values if isinstance(v, str)]
    if words:
        raise AimError([Diagnostic("AIM0801", f"`{words[0]}` is no number here", e.span, f"of a belief write mean({words[0]})")])


def _listed(items: list[Any], e: tree.Expression) -> Any:
    if any(isinstance(i, str | list) for i in items):
        return items
    if len({np.shape(i) for i in items}) > 1:
        raise AimError([Diagnostic("AIM0801", "the items of this list have different shapes", e.span)])
    return np.stack(items) if items else np.zeros(0)


def read_column(arguments: list[tree.Expression], folder: Path | None, e: tree.Expression) -> Any:
    """`csv("file.csv", "column")` is a column, `csv("file.csv")` the whole table of numbers; the file lies beside the program."""
    from ppl.graph.readers import read

    words = [a.value for a in arguments if isinstance(a, tree.Text)]
    if len(words) != len(arguments) or len(words) not in (1, 2):
        raise AimError([Diagnostic("AIM0801", '`csv` takes the name of a file and of a column: `csv("data.csv", "y")`', e.span)])
    path = (folder or Path()) / words[0]
    table = read(path).values
    if len(words) == 2:
        if words[1] not in table:
            raise AimError([Diagnostic("AIM0801", f"{words[0]} has no column `{words[1]}`", e.span, "columns: " + ", ".join(table))])
        return table[words[1]]
    return np.stack([np.asarray(column, float) for column in table.values()], axis=-1)
