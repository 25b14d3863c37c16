"""`test`, `fit` and `run`: the models, arguments, data and posteriors that they name."""

from __future__ import annotations

from dataclasses import replace

from ppl.catalogue.functions import NAMED_FUNCTIONS
from ppl.semantics.constants import fold
from ppl.semantics.distributions import catalogue_distribution
from ppl.semantics.expressions import elaborate
from ppl.semantics.references import dotted_name, root_of
from ppl.semantics.scope import FileNames, ModelNames, Scope, backticked, walk
from ppl.semantics.submodels import has_default, parameter_order
from ppl.semantics.typed import IndexSet, TypedModel, Variable
from ppl.source.diagnostics import Findings, did_you_mean
from ppl.syntax import tree

WORDS = ("exact", "converged", "log_evidence", "elbo", "free_energy", "iterations", "status", "G")
POSTERIOR_FUNCTIONS = ("mean", "sd", "var", "mode", "median", "quantile", "probability")


def check_lines(file: tree.File, models: dict[str, TypedModel], names: FileNames, findings: Findings) -> None:
    """Check every `fit`, `run` and `test` of the file."""
    for item in file.items:
        match item:
            case tree.FitLine():
                _fit(item, models, names, findings)
            case tree.RunLine():
                _run(item, models, names, findings)
            case tree.TestDeclaration():
                _test(item, models, names, findings)


def _test(test: tree.TestDeclaration, models: dict[str, TypedModel], names: FileNames, findings: Findings) -> None:
    model: TypedModel | None = None
    started = False
    for item in test.items:
        match item:
            case tree.FitLine():
                model, started = _fit(item, models, names, findings), True
            case tree.RunLine():
                model, started = _run(item, models, names, findings), True
            case tree.Expect() if not started:
                findings.error(
                    "AIM0121", "nothing has been fitted yet to expect something of", item.span, "write a `fit` or `run` line above"
                )
            case tree.Expect() if model is not None:
                _expect(item, model, names, findings)


def _known_model(name: tree.Name, models: dict[str, TypedModel], names: FileNames, findings: Findings) -> TypedModel | None:
    """The model, or an error where the file has none of that name; one that has errors of its own is passed over."""
    if name.name not in models and name.name not in names.models:
        findings.error("AIM0103", f"there is no model `{name.name}`", name.span, did_you_mean(name.name, names.model_names))
    return models.get(name.name)


def scope_of(model: TypedModel, names: FileNames, findings: Findings) -> Scope:
    """Where the values of data and arguments are read: the sets and members of the model, and no variables."""
    inner = ModelNames(names, findings, sets={**names.types, **model.sets})
    for index_set in (*model.sets.values(), *names.types.values()):
        inner.add_members(index_set)
    return Scope(inner)


# ------------------------------------------------------------------ fit and run
def _fit(line: tree.FitLine, models: dict[str, TypedModel], names: FileNames, findings: Findings) -> TypedModel | None:
    model = _known_model(line.model, models, names, findings)
    if model is None:
        return None
    scope = scope_of(model, names, findings)
    given = _arguments(line.arguments, model, scope) | _assignments(line.data, model, scope)
    missing = [name for name in parameter_order(model) if name not in model.sizes and name not in given and not has_default(model, name)]
    if missing:
        findings.error("AIM0305", f"`{model.name}` needs {backticked(missing)}", line.model.span, "give a value in brackets")
    return model


def _run(line: tree.RunLine, models: dict[str, TypedModel], names: FileNames, findings: Findings) -> TypedModel | None:
    model = _known_model(line.model, models, names, findings)
    if model is None:
        return None
    if model.kind != "agent":
        text = f"`{model.name}` is a model, and only an agent runs"
        findings.error("AIM0103", text, line.model.span, f"write fit {model.name} to …")
        return model
    scope = scope_of(model, names, findings)
    _arguments(line.arguments, model, scope)
    steps = elaborate(line.steps, scope)
    count = fold(steps, {}) if steps is not None else None
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        findings.error("AIM0122", "the number of steps is a whole number, 1 or more", line.steps.span)
    _assignments(line.where, model, scope)
    return model


def _arguments(arguments: tuple[tree.Argument, ...], model: TypedModel, scope: Scope) -> set[str]:
    """The parameters that are given, each once and by a name that the model has."""
    order = parameter_order(model)
    given: set[str] = set()
    for place, argument in enumerate(arguments):
        name = argument.name or (order[place] if place < len(order) else None)
        if name is None:
            message = f"`{model.name}` takes {len(order)} argument{'s' if len(order) != 1 else ''}, here are {len(arguments)}"
            scope.findings.error("AIM0303", message, argument.span, f"it takes {', '.join(order)}" if order else "")
            return given
        if name not in order:
            hint = did_you_mean(name, order) or (f"it takes {', '.join(order)}" if order else "it takes none")
            scope.findings.error("AIM0302", f"`{model.name}` has no parameter `{name}`", argument.name_span or argument.span, hint)
        elif name in given:
            scope.findings.error("AIM0304", f"`{name}` of `{model.name}` is given twice", argument.span)
        given.add(name)
        elaborate(argument.value, scope, _members(name, model))
    return given


def _members(name: str, model: TypedModel) -> IndexSet | None:
    variable = model.variables.get(name)
    return variable.type.member_of if variable is not None else None


def _assignments(assignments: tuple[tree.Assignment, ...], model: TypedModel, scope: Scope) -> set[str]:
    """The names that get data; each is a variable or a size of the model and no computed one."""
    given: set[str] = set()
    for assignment in assignments:
        target = assignment.target
        name = dotted_name(target)
        expected = _members(name, model)
        variable = model.variables.get(name)
        if variable is None and name not in model.sizes and name not in model.sets:
            known = [v.name for v in model.variables.values() if v.role != "deterministic"] + list(model.sizes)
            hint = did_you_mean(name, known) or f"it has {backticked(known)}"
            scope.findings.error("AIM0118", f"`{model.name}` has no variable `{name}`", target.span, hint)
        elif variable is not None and variable.role == "deterministic":
            scope.findings.error("AIM0118", f"`{name}` is computed from others: it cannot be given", target.span)
        elif variable is not None and isinstance(target, tree.Index):
            _index_count(target, variable, scope)
        if isinstance(target, tree.Name | tree.Attribute) and name in given:
            scope.findings.error("AIM0304", f"`{name}` is given twice", target.span)
        given.add(name)
        elaborate(assignment.value, scope, expected)
    return given


def _index_count(target: tree.Index, variable: Variable, scope: Scope) -> None:
    if len(target.indices) > len(variable.type.axes):
        message = f"`{variable.name}` has {len(variable.type.axes) or 'no'} axes, here are {len(target.indices)} indices"
        scope.findings.error("AIM0206", message, target.span)


# ------------------------------------------------------------------ expect
def _expect(expect: tree.Expect, model: TypedModel, names: FileNames, findings: Findings) -> None:
    if model.motion is not None:
        model = replace(model, variables={**model.variables, **model.motion.happening})
    scope = scope_of(model, names, findings)
    _subject(expect.subject, model, scope)
    subject = next((n.name for n in walk(expect.subject) if isinstance(n, tree.Name) and n.name in model.variables), "")
    expected = _members(subject, model)
    if expect.relation == "~" and expect.value is not None:
        if not isinstance(expect.subject, tree.Name | tree.Attribute | tree.Index):
            hint = "write `expect theta ~ Beta(4, 2)`"
            findings.error("AIM0123", "before `~` stands a variable of the model", expect.subject.span, hint)
        catalogue_distribution(expect.value, scope, expected)
    elif expect.value is not None and not _names_variables(expect.value, model):
        elaborate(expect.value, scope, expected)
    if expect.within is not None:
        tolerance = elaborate(expect.within, scope)
        value = fold(tolerance, {}) if tolerance is not None else None
        if value is not None and (isinstance(value, tuple) or value < 0):
            findings.error("AIM0122", "a tolerance is a number, 0 or more", expect.within.span)


def _names_variables(value: tree.Expression, model: TypedModel) -> bool:
    """`expect mean(a) = mean(b)`: the right side is computed from the posterior too."""
    return any(isinstance(node, tree.Name) and (node.name in model.variables or node.name in WORDS) for node in walk(value))


def _subject(subject: tree.Expression, model: TypedModel, scope: Scope) -> None:
    """The names in what is expected: variables, words such as `log_evidence`, members, and functions of beliefs."""
    functions = {id(node.function) for node in walk(subject) if isinstance(node, tree.Call | tree.Comprehension)}
    indices = {node.name for node in walk(subject) if isinstance(node, tree.Binder)}
    parts = {id(root): node for node in reversed(list(walk(subject))) if isinstance(node, tree.Attribute) and (root := root_of(node))}
    known = [*model.variables, *WORDS, *indices, *scope.model.members, *model.sets]
    for node in walk(subject):
        if not isinstance(node, tree.Name):
            continue
        if id(node) in functions:
            callable_names = [*POSTERIOR_FUNCTIONS, *NAMED_FUNCTIONS, *scope.file.functions]
            if node.name not in callable_names:
                scope.findings.error("AIM0308", f"unknown function `{node.name}`", node.span, did_you_mean(node.name, callable_names))
        elif id(node) in parts:
            _part(parts[id(node)], model, scope)
        elif node.name not in known:
            hint = did_you_mean(node.name, [*model.variables, *WORDS])
            scope.findings.error("AIM0104", f"unknown name `{node.name}`", node.span, hint)


def _part(written: tree.Attribute, model: TypedModel, scope: Scope) -> None:
    whole = dotted_name(written)
    if whole not in model.variables:
        hint = did_you_mean(whole, model.variables)
        scope.findings.error("AIM0112", f"`{model.name}` has no variable `{whole}`", written.span, hint)
