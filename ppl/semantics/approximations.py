"""`approximate` blocks: the variables and engines they name, attached to their models."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.catalogue.engines import ENGINES, Engine
from ppl.semantics.expressions import elaborate
from ppl.semantics.networks import network
from ppl.semantics.references import network_call
from ppl.semantics.scope import ActiveLoop, FileNames, ModelNames, Scope, backticked, plates_differ, word_span
from ppl.semantics.typed import (
    Amortisation,
    Apply,
    Approximation,
    Axis,
    Constant,
    Loop,
    NetworkCall,
    SizeOf,
    TypedModel,
    ValueType,
    Variable,
)
from ppl.semantics.types import name_shape, same_axes
from ppl.source.diagnostics import Findings, Related, did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree


@dataclass
class _Block:
    """What an approximate block has said so far."""

    blocks: list[tuple[str, ...]] = field(default_factory=list)
    separate: list[str] = field(default_factory=list)
    places: dict[str, Span] = field(default_factory=dict)  # of each variable in the factorisation
    forms: dict[str, str] = field(default_factory=dict)
    form_places: dict[str, Span] = field(default_factory=dict)
    amortised: list[Amortisation] = field(default_factory=list)
    use: tree.Use | None = None
    options: dict[str, float | bool] = field(default_factory=dict)


def attach(file: tree.File, models: dict[str, TypedModel], names: FileNames, findings: Findings) -> dict[str, TypedModel]:
    """The models with their approximations."""
    found = dict(models)
    seen: dict[tuple[str, str | None], Span] = {}
    for item in file.items:
        if not isinstance(item, tree.ApproximateDeclaration):
            continue
        label = item.label or ""
        if (item.model, label) in seen:
            what = f"labelled `{label}`" if label else "without a label"
            message = f"`{item.model}` already has an approximation {what}"
            related = (Related(seen[item.model, label], "the first"),)
            findings.error("AIM0506", message, item.model_span, f"write: approximate {item.model} as …", related=related)
            continue
        seen[item.model, label] = item.model_span
        model = found.get(item.model) or names.imported.get(item.model)
        if model is None:
            _unknown_model(item, names, findings)
            continue
        before = len(findings.errors)
        approximation = _approximation(item, model, names, findings)
        if len(findings.errors) == before:
            extended = replace(model, approximations=(*model.approximations, approximation))
            if item.model in found:
                found[item.model] = extended
            else:
                names.imported[item.model] = extended
    return found


def _unknown_model(item: tree.ApproximateDeclaration, names: FileNames, findings: Findings) -> None:
    if item.model not in names.models:
        findings.error("AIM0103", f"there is no model `{item.model}`", item.model_span, did_you_mean(item.model, names.model_names))


def _approximation(item: tree.ApproximateDeclaration, model: TypedModel, names: FileNames, findings: Findings) -> Approximation:
    said = _Block()
    for part in item.items:
        match part:
            case tree.Factorisation(blocks=blocks):
                for block in blocks:
                    _factor(block, model, said, findings)
            case tree.Form():
                _form(part, model, said, findings)
            case tree.Amortised():
                _amortised(part, model, said, names, findings)
            case tree.Use():
                _use(part, said, findings)
    engine = said.use.engine if said.use is not None else None
    return Approximation(
        item.label,
        tuple(said.blocks),
        tuple(said.separate),
        engine,
        said.options,
        span=item.span,
        engine_span=said.use.span if said.use is not None else None,
        forms=said.forms,
        amortised=tuple(said.amortised),
    )


def _factor(block: tuple[tree.Target, ...], model: TypedModel, said: _Block, findings: Findings) -> None:
    names: list[str] = []
    for target in block:
        if not _is_latent(target, model, findings):
            continue
        if target.name in said.places:
            message = f"`{target.name}` stands in two blocks"
            related = (Related(said.places[target.name], "the first"),)
            findings.error("AIM0502", message, target.span, "a variable belongs to one block", related=related)
            continue
        said.places[target.name] = target.span
        names.append(target.name)
        if target.indices:
            said.separate.append(target.name)
    if names:
        said.blocks.append(tuple(names))


def _is_latent(target: tree.Target, model: TypedModel, findings: Findings) -> bool:
    """Whether the target names a random variable of the model, with no more indices than it has plates."""
    variable = model.variables.get(target.name)
    if variable is None:
        random = [name for name, v in model.variables.items() if v.role == "random"]
        hint = did_you_mean(target.name, random) or f"its random variables are {backticked(random)}"
        findings.error("AIM0501", f"`{model.name}` has no variable `{target.name}`", target.span, hint)
        return False
    if variable.role != "random":
        what = {"parameter": "a parameter", "input": "an input", "deterministic": "computed from others"}[variable.role]
        message = f"`{target.name}` is {what}: only random variables have a posterior of their own"
        findings.error("AIM0503", message, target.span, related=(Related(variable.span, "it is defined here"),))
        return False
    if len(target.indices) > variable.plates:
        findings.error("AIM0206", plates_differ(target, variable), target.span)
        return False
    return True


def _form(part: tree.Form, model: TypedModel, said: _Block, findings: Findings) -> None:
    for target in part.targets:
        if _is_latent(target, model, findings) and _takes_form(target, said, findings):
            said.forms[target.name] = part.family
    if part.family != "point" and part.family not in DISTRIBUTIONS:
        hint = did_you_mean(part.family, ["point", *DISTRIBUTIONS]) or "write point, or the name of a distribution"
        findings.error(
            "AIM0507", f"unknown form `{part.family}`", Span(part.span.source, part.span.end - len(part.family), part.span.end), hint
        )


def _takes_form(target: tree.Target, said: _Block, findings: Findings) -> bool:
    """Whether nothing has said of what form its posterior is."""
    first = said.form_places.setdefault(target.name, target.span)
    if first is not target.span:
        findings.error("AIM0508", f"`{target.name}` is given two forms", target.span, related=(Related(first, "the first"),))
    return first is target.span


def _amortised(part: tree.Amortised, model: TypedModel, said: _Block, names: FileNames, findings: Findings) -> None:
    """`q(z[n]) by network encode(x[n]) = mlp(D, 64, L)`: the network has an output for each number of `z[n]`."""
    target = part.targets[0]
    if len(part.targets) > 1:
        findings.error("AIM0313", "a network gives the posterior of one variable", part.targets[1].span, "give each a network of its own")
    if not _is_latent(target, model, findings) or not _takes_form(target, said, findings):
        return
    variable = model.variables[target.name]
    inner = ModelNames(names, findings, sets=dict(model.sets), variables=dict(model.variables))
    loops = _member_loops(target, variable, inner)
    scope = Scope(inner, loops or ())
    found = network(part.network.function.name, part.value, scope)
    if loops is None or found is None:
        return
    inner.networks[found.name] = found
    call = network_call(part.network, scope, elaborate)
    if not isinstance(call, NetworkCall):
        return
    left = variable.type.axes[len(loops) :]
    if not same_axes(call.type.axes, left or (Axis(size=1),)):
        message = f"`{found.name}` has {name_shape(call.type.axes)} outputs, but `{target.span.text}` is {name_shape(left)}"
        findings.error("AIM0310", message, part.value.span, "the last width is the size of what the network is to tell")
        return
    said.amortised.append(Amortisation(target.name, tuple(active.loop for active in loops), found, call.argument, span=part.span))


def _member_loops(target: tree.Target, variable: Variable, inner: ModelNames) -> tuple[ActiveLoop, ...] | None:
    """The indices of the target as loops over the plates of its variable."""
    loops: list[ActiveLoop] = []
    for index, axis in zip(target.indices, variable.type.axes, strict=False):
        if not isinstance(index, tree.Name) or axis.set is None or any(index.name == active.written for active in loops):
            inner.findings.error(
                "AIM0211", f"`{index.span.text}` is no index of a plate", index.span, "write a name for each index: q(z[n])"
            )
            return None
        high = None
        if axis.extra:
            span, whole = index.span, ValueType("int")
            size = SizeOf(axis.set, span=span, type=whole)
            high = Apply("add", (size, Constant(axis.extra, span=span, type=whole)), span=span, type=whole)
        loops.append(ActiveLoop(index.name, Loop(index.name, axis.set, high=high, span=index.span)))
    return tuple(loops)


# ------------------------------------------------------------------ engines
def _use(part: tree.Use, said: _Block, findings: Findings) -> None:
    if said.use is not None:
        findings.error("AIM0509", "an approximation uses one engine", part.span, related=(Related(said.use.span, "the first"),))
        return
    said.use = part
    engine = ENGINES.get(part.engine)
    if engine is None:
        hint = did_you_mean(part.engine, ENGINES) or f"engines are {', '.join(ENGINES)}"
        findings.error("AIM0504", f"unknown engine `{part.engine}`", word_span(part.span, f" {part.engine}", 1), hint)
        return
    for argument in part.arguments:
        _option(argument, engine, said, findings)


def _option(argument: tree.Argument, engine: Engine, said: _Block, findings: Findings) -> None:
    place = argument.name_span or argument.span
    if argument.name is None or argument.name not in engine.option:
        shown, known = argument.name or argument.span.text, ", ".join(engine.option)
        hint = did_you_mean(shown, engine.option) or (f"its options are {known}" if known else "it has none")
        findings.error("AIM0505", f"`{engine.name}` has no option `{shown}`", place, hint)
        return
    if argument.name in said.options:
        findings.error("AIM0505", f"the option `{argument.name}` is given twice", place)
        return
    value = _option_value(argument.value)
    rule = engine.option[argument.name].broken(value)
    if rule is not None:
        findings.error("AIM0505", f"`{argument.name}` must be {rule}", argument.value.span)
        return
    assert value is not None
    said.options[argument.name] = value


def _option_value(written: tree.Expression) -> float | bool | None:
    match written:
        case tree.Number() | tree.Truth():
            return written.value
        case tree.Unary(operator="-", operand=tree.Number() as number):
            return -number.value
    return None
