"""From a syntax tree to checked models: the names of the file first, then each model, then what is said about models."""

from __future__ import annotations

from ppl.semantics import approximations, imports, lines
from ppl.semantics.imports import Importing, LoadImport
from ppl.semantics.models import check_model
from ppl.semantics.scope import FileNames, FunctionEntry, walk, word_span
from ppl.semantics.sets import set_from_type
from ppl.semantics.typed import TypedFile, TypedModel
from ppl.source.diagnostics import Findings, Related, did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree


def check(file: tree.File, findings: Findings, *, load_import: LoadImport | None = None) -> TypedFile:
    """The checked file. Everything found is added to `findings`; a model with errors is left out."""
    return check_names(file, FileNames(findings), Importing(load_import or (lambda module: None)))


def check_names(file: tree.File, names: FileNames, importing: Importing) -> TypedFile:
    """The same for a file that may itself be imported; `names` then hold what it defines."""
    findings = names.findings
    imports.bring_in(file, names, importing)
    _define(file, names)
    models = _check_models(names, findings)
    models = approximations.attach(file, models, names, findings)
    lines.check_lines(file, models | names.imported, names, findings)
    return TypedFile(
        models,
        tuple(item for item in file.items if isinstance(item, tree.TestDeclaration)),
        tuple(item for item in file.items if isinstance(item, tree.FitLine)),
        tuple(item for item in file.items if isinstance(item, tree.RunLine)),
        names.imported,
        findings.warnings,
    )


def _define(file: tree.File, names: FileNames) -> None:
    """Enter the types, functions and models of the file; a name stands for one thing."""
    places: dict[str, Span] = {}
    for item in file.items:
        if not isinstance(item, tree.TypeDeclaration | tree.FunctionDeclaration | tree.ModelDeclaration):
            continue
        place = item.name_span if isinstance(item, tree.ModelDeclaration) else word_span(item.span, f" {item.name}", 1)
        if item.name in places:
            related = (Related(places[item.name], f"`{item.name}` is defined here first"),)
            names.findings.error("AIM0102", f"`{item.name}` is already defined in this file", place, related=related)
            continue
        if item.name in (*names.types, *names.functions, *names.imported):
            names.findings.error("AIM0102", f"`{item.name}` is imported from another file already", place, "give it another name")
            continue
        places[item.name] = place
        if isinstance(item, tree.ModelDeclaration):
            names.models[item.name] = item
        elif isinstance(item, tree.FunctionDeclaration):
            names.functions[item.name] = FunctionEntry(item, names)
        else:
            index_set = set_from_type(item, names.findings)
            if index_set is not None:
                names.types[item.name] = index_set
    for entry in names.functions.values():
        _check_function(entry, names)


def _check_function(entry: FunctionEntry, names: FileNames) -> None:
    """The names in a function's body, which are its parameters, members and sets of the file, and indices of its sums."""
    if entry.home is not names:
        return
    declaration = entry.declaration
    for place, parameter in enumerate(declaration.parameters):
        if parameter in declaration.parameters[:place]:
            names.findings.error(
                "AIM0102", f"`{declaration.name}` has two parameters `{parameter}`", word_span(declaration.span, f" {declaration.name}", 1)
            )
    indices = [node.name for node in walk(declaration.value) if isinstance(node, tree.Binder)]
    members = [member for index_set in names.types.values() for member in index_set.members or ()]
    known = [*declaration.parameters, *indices, *members, *names.types]
    functions = {id(node.function) for node in walk(declaration.value) if isinstance(node, tree.Call | tree.Comprehension)}
    for node in walk(declaration.value):
        if isinstance(node, tree.Name) and id(node) not in functions and node.name not in known:
            names.findings.error("AIM0104", f"unknown name `{node.name}`", node.span, did_you_mean(node.name, known))


def _check_models(names: FileNames, findings: Findings) -> dict[str, TypedModel]:
    """Each model once, those it uses first."""
    done: dict[str, TypedModel | None] = {}
    under_way: list[str] = []

    def typed_model(name: str) -> TypedModel | None:
        if name in done:
            return done[name]
        declaration = names.models.get(name)
        if declaration is None:
            return None
        if name in under_way:
            way = ", which uses ".join(f"`{other}`" for other in (*under_way[under_way.index(name) + 1 :], name))
            direct = under_way[-1] == name
            message = f"the model `{name}` uses itself" if direct else f"the model `{name}` uses itself: it uses {way}"
            findings.error("AIM0115", message, declaration.name_span)
            return None
        under_way.append(name)
        done[name] = check_model(declaration, names, findings)
        under_way.remove(name)
        return done[name]

    names.typed_model = typed_model
    found = {name: typed_model(name) for name in names.models}
    return {name: model for name, model in found.items() if model is not None}
