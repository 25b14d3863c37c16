"""What each function and operator of the language is, before anything computes: how many arguments, what shape, what kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ShapeRule = Literal[
    "elementwise",  # equal shapes and scalars
    "reduce",  # one array to a number; of several arguments elementwise
    "vector",  # one vector to a vector over the same axis
    "fill",  # the arguments are sizes: ones(K), zeros(N, D)
    "eye",
    "onehot",
    "dot",
    "outer",
    "matmul",
    "diag",
    "transpose",
    "square",  # a square matrix to one over the same axes
    "square_to_number",
    "stack",
    "concat",
    "length",
    "file",
]
KindRule = Literal[
    "real", "int", "bool", "positive", "unit", "simplex", "posdef", "same", "sum", "product", "difference", "quotient", "power"
]


@dataclass(frozen=True)
class Function:
    """`most` None: any number of arguments. `kind` "same" is that of the argument; "sum" … say how operators combine kinds."""

    name: str
    least: int
    most: int | None
    shape: ShapeRule
    kind: KindRule
    operator: str = ""  # as written, where it is one

    @property
    def elementwise(self) -> bool:
        return self.shape == "elementwise"


def _functions(names: str, least: int, most: int | None, shape: ShapeRule, kind: KindRule) -> list[Function]:
    return [Function(name, least, most, shape, kind) for name in names.split()]


def _operators(names: dict[str, str], kind: KindRule, arguments: int = 2) -> list[Function]:
    return [Function(name, arguments, arguments, "elementwise", kind, operator) for name, operator in names.items()]


_TABLE = (
    *_functions("exp", 1, 1, "elementwise", "positive"),
    *_functions("log log1p sin cos tan tanh logit probit lgamma digamma", 1, 1, "elementwise", "real"),
    *_functions("sqrt", 1, 1, "elementwise", "positive"),
    *_functions("abs", 1, 1, "elementwise", "positive"),
    *_functions("floor round", 1, 1, "elementwise", "int"),
    *_functions("sigmoid normal_cdf", 1, 1, "elementwise", "unit"),
    *_functions("softmax normalize", 1, 1, "vector", "simplex"),
    *_functions("cumsum reverse", 1, 1, "vector", "same"),
    *_functions("min max", 1, None, "reduce", "same"),
    *_functions("sum mean prod", 1, 1, "reduce", "same"),
    *_functions("logsumexp", 1, 1, "reduce", "real"),
    *_functions("lbeta", 1, 2, "reduce", "real"),
    *_functions("dot", 2, 2, "dot", "real"),
    *_functions("outer", 2, 2, "outer", "real"),
    *_functions("diag", 1, 1, "diag", "same"),
    *_functions("eye", 1, 1, "eye", "posdef"),
    *_functions("zeros", 1, None, "fill", "real"),
    *_functions("ones", 1, None, "fill", "positive"),
    *_functions("onehot", 2, 2, "onehot", "simplex"),
    *_functions("transpose", 1, 1, "transpose", "same"),
    *_functions("inverse", 1, 1, "square", "same"),
    *_functions("cholesky", 1, 1, "square", "real"),
    *_functions("logdet trace", 1, 1, "square_to_number", "real"),
    *_functions("stack", 1, None, "stack", "real"),
    *_functions("concat", 1, None, "concat", "real"),
    *_functions("len", 1, 1, "length", "int"),
    *_functions("csv", 1, 2, "file", "real"),
    *_operators({"add": "+"}, "sum"),
    *_operators({"subtract": "-"}, "difference"),
    *_operators({"multiply": "*"}, "product"),
    *_operators({"divide": "/"}, "quotient"),
    *_operators({"power": "^"}, "power"),
    *_operators({"remainder": "%"}, "sum"),
    *_operators({"negate": "-"}, "difference", arguments=1),
    *_operators({"equal": "==", "not_equal": "!=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}, "bool"),
    *_operators({"and": "and", "or": "or"}, "bool"),
    *_operators({"not": "not"}, "bool", arguments=1),
    Function("matmul", 2, 2, "matmul", "real", "@"),
    Function("if", 3, 3, "elementwise", "same", "if"),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _TABLE}

OPERATORS: dict[str, str] = {f.operator: f.name for f in _TABLE if f.operator and f.least == 2}
"""From a binary operator as written to the name of its function."""

NAMED_FUNCTIONS: tuple[str, ...] = tuple(f.name for f in _TABLE if not f.operator)
"""The functions that a file may call by name."""

COMPREHENSIONS: frozenset[str] = frozenset({"sum", "prod", "mean", "min", "max", "logsumexp"})
"""The functions that may stand before `… for k in K`."""
