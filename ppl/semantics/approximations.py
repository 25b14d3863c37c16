"""`approximate` blocks: the variables and engines they name, attached to their models."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.semantics import unsupported
from ppl.semantics.scope import FileNames, ModelNames, Scope, backticked, plates_differ, word_span
from ppl.semantics.submodels import mlp_axes
from ppl.semantics.typed import Approximation, TypedModel
from ppl.source.diagnostics import Diagnostic, Findings, Related, did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree

_COMMON = ("seed", "progress")
_ITERATED = (*_COMMON, "iterations", "tolerance", "restarts")
ENGINE_OPTIONS: dict[str, tuple[str, ...]] = {
    "exact": _COMMON,
    "vmp": (*_ITERATED, "damping"),
    "laplace": _ITERATED,
    "svi": (*_ITERATED, "steps", "batch", "learning_rate", "delay", "forgetting", "draws", "guide"),
    "nuts": (*_COMMON, "draws", "warmup", "chains", "target_accept", "max_tree_depth"),
    "gibbs": (*_COMMON, "draws", "warmup", "chains", "thin"),
}
RUNNING_ENGINES = ("exact", "vmp")


@dataclass
class _Block:
    """What an approximate block has said so far."""

    blocks: list[tuple[str, ...]] = field(default_factory=list)
    separate: list[str] = field(default_factory=list)
    places: dict[str, Span] = field(default_factory=dict)  # of each variable in the factorisation
    forms: dict[str, Span] = field(default_factory=dict)
    use: tree.Use | None = None
    options: dict[str, float | bool | str] = field(default_factory=dict)
    unsupported: list[Diagnostic] = field(default_factory=list)


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
        approximation, missing = _approximation(item, model, names, findings)
        if len(findings.errors) == before:
            extended = replace(model, approximations=(*model.approximations, approximation), unsupported=(*model.unsupported, *missing))
            if item.model in found:
                found[item.model] = extended
            else:
                names.imported[item.model] = extended
    return found


def _unknown_model(item: tree.ApproximateDeclaration, names: FileNames, findings: Findings) -> None:
    if item.model not in names.models:
        findings.error("AIM0103", f"there is no model `{item.model}`", item.model_span, did_you_mean(item.model, names.model_names))


def _approximation(
    item: tree.ApproximateDeclaration, model: TypedModel, names: FileNames, findings: Findings
) -> tuple[Approximation, list[Diagnostic]]:
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
    approximation = Approximation(
        item.label,
        tuple(said.blocks),
        tuple(said.separate),
        engine,
        said.options,
        span=item.span,
        engine_span=said.use.span if said.use is not None else None,
    )
    return approximation, said.unsupported


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
        if not _is_latent(target, model, findings):
            continue
        if target.name in said.forms:
            related = (Related(said.forms[target.name], "the first"),)
            findings.error("AIM0508", f"`{target.name}` is given two forms", target.span, related=related)
        said.forms[target.name] = target.span
    if part.family != "point" and part.family not in DISTRIBUTIONS:
        hint = did_you_mean(part.family, ["point", *DISTRIBUTIONS]) or "write point, or the name of a distribution"
        findings.error(
            "AIM0507", f"unknown form `{part.family}`", Span(part.span.source, part.span.end - len(part.family), part.span.end), hint
        )
    said.unsupported.append(unsupported.form(part))


def _amortised(part: tree.Amortised, model: TypedModel, said: _Block, names: FileNames, findings: Findings) -> None:
    for target in part.targets:
        _is_latent(target, model, findings)
    scope = Scope(ModelNames(names, findings, sets=dict(model.sets), variables=dict(model.variables)))
    mlp_axes(part.value, scope)
    said.unsupported.append(unsupported.amortised(part))


# ------------------------------------------------------------------ engines
def _use(part: tree.Use, said: _Block, findings: Findings) -> None:
    if said.use is not None:
        findings.error("AIM0509", "an approximation uses one engine", part.span, related=(Related(said.use.span, "the first"),))
        return
    said.use = part
    known = ENGINE_OPTIONS.get(part.engine)
    if known is None:
        hint = did_you_mean(part.engine, ENGINE_OPTIONS) or f"engines are {', '.join(ENGINE_OPTIONS)}"
        findings.error("AIM0504", f"unknown engine `{part.engine}`", word_span(part.span, f" {part.engine}", 1), hint)
        return
    for argument in part.arguments:
        _option(argument, part, known, said, findings)
    if part.engine not in RUNNING_ENGINES:
        said.unsupported.append(unsupported.engine(part))


def _option(argument: tree.Argument, part: tree.Use, known: tuple[str, ...], said: _Block, findings: Findings) -> None:
    place = argument.name_span or argument.span
    if argument.name is None or argument.name not in known:
        shown = argument.name or argument.span.text
        hint = did_you_mean(shown, known) or f"its options are {', '.join(known)}"
        findings.error("AIM0505", f"`{part.engine}` has no option `{shown}`", place, hint)
        return
    if argument.name in said.options:
        findings.error("AIM0505", f"the option `{argument.name}` is given twice", place)
        return
    value = _option_value(argument.value)
    rule = _broken_option(argument.name, value)
    if rule is not None:
        findings.error("AIM0505", f"`{argument.name}` must be {rule}", argument.value.span)
        return
    assert value is not None
    said.options[argument.name] = value


def _option_value(written: tree.Expression) -> float | bool | str | None:
    match written:
        case tree.Number() | tree.Truth() | tree.Text():
            return written.value
        case tree.Name(name=name):
            return name
        case tree.Unary(operator="-", operand=tree.Number() as number):
            return -number.value
    return None


_COUNTS = ("restarts", "iterations", "steps", "batch", "draws", "warmup", "chains", "thin", "max_tree_depth")


def _broken_option(name: str, value: float | bool | str | None) -> str | None:
    """What the value of an option must be, where this one is not."""
    if name == "guide":
        return None if isinstance(value, str) else "a name"
    if name == "progress":
        return None if isinstance(value, bool) else "true or false"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a number"
    if name in _COUNTS and (value < 1 or not isinstance(value, int)):
        return "a whole number, 1 or more"
    if name == "damping" and not 0 <= value < 1:
        return "0 or more, and less than 1"
    if name == "seed" and (value < 0 or not isinstance(value, int)):
        return "a whole number, 0 or more"
    return "0 or positive" if value < 0 else None
