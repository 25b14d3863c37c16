"""The options of a block as numbers, once the sizes and parameters that they may depend on are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.graph.evaluate import Evaluator
from ppl.semantics.motion_options import DEFAULTS, broken_option
from ppl.semantics.typed import TypedMotion
from ppl.source.diagnostics import AimError, Diagnostic


@dataclass(frozen=True)
class MotionOptions:
    """`dt` is the length of a bin in units of time, `smoothness` that of the noise in bins."""

    dt: float
    order: int
    order_causes: int
    order_observed: int
    smoothness: float


def options_of(motion: TypedMotion, sizes: Mapping[str, int], values: Mapping[str, Any]) -> MotionOptions:
    """Raises AimError where a value does not fit."""
    found: dict[str, Any] = {}
    for name, expression in motion.options.items():
        value = np.asarray(Evaluator(sizes, values).evaluate(expression, {}).data).item()
        whole = name.startswith("order") and float(value).is_integer()
        found[name] = int(value) if whole else value
        rule = broken_option(name, found[name])
        if rule:
            raise AimError([Diagnostic("AIM0711", f"`{name}` is {value:g} here, and must be {rule}", expression.span)])
    order = found.get("order", DEFAULTS["order"])
    causes = found.get("order_causes", min(DEFAULTS["order_causes"], order))
    observed = found.get("order_observed", order)
    for name, value in (("order_causes", causes), ("order_observed", observed)):
        if value > order:
            text = f"`{name}` is {value} here, above `order`, which is {order}"
            raise AimError([Diagnostic("AIM0711", text, motion.options[name].span, f"raise `order`, or lower `{name}`")])
    smoothness = float(found.get("smoothness", DEFAULTS["smoothness"]))
    return MotionOptions(float(found.get("dt", DEFAULTS["dt"])), order, causes, observed, smoothness)
