"""What the pages say of the language is read from the code itself: grammar, catalogues, codes, options, help.

A line `<!-- from the code: distributions -->` in a page stands for what the function of that name gives when the site is built, so that no
table of the reference can fall behind.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from ppl.agents.options import DEFAULTS
from ppl.catalogue.distributions import DISTRIBUTIONS, Distribution, ParameterSignature
from ppl.catalogue.engines import ENGINES
from ppl.catalogue.functions import COMPREHENSIONS, FUNCTIONS, NAMED_FUNCTIONS, Function
from ppl.compiler.rewrites import RULES
from ppl.semantics import motion_options as motion
from ppl.semantics.agents import EFE_OPTIONS
from ppl.source.codes import CODES
from ppl.tools.command_line import COMMANDS, commands

ROOT = Path(__file__).parent.parent
BAD = ROOT / "tests" / "golden" / "bad"
WIDTH = 110  # of what is shown of a terminal
PLACE = re.compile(r"^<!-- from the code: (\w+) -->$", re.MULTILINE)


def filled(page: str) -> str:
    """The page with what its places stand for."""
    return PLACE.sub(lambda place: PARTS[place[1]](), page)


def without_folders(page: str, folder: Path) -> str:
    """Links to folders lead somewhere in the repository alone: here their text stays."""
    return re.sub(r"\[([^\]]+)\]\(([^)#:]+)\)", lambda link: link[1] if (folder / link[2]).is_dir() else link[0], page)


def as_restructured(line: str) -> str:
    """A line of a docstring, in which single backticks stand around code and a star is a star."""
    parts = re.split(r"`([^`]*)`", line)
    return "".join(f"``{part}``" if k % 2 else re.sub(r"([*|])", r"\\\1", part) for k, part in enumerate(parts))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"


def fence(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


# ------------------------------------------------------------------ grammar
def grammar() -> str:
    """The grammar, section by section."""
    text = (ROOT / "grammar" / "aim.lark").read_text(encoding="utf-8")
    parts = re.split(r"^// -{10,} (.+)$", text, flags=re.MULTILINE)
    titled = zip(parts[1::2], parts[2::2], strict=True)
    return "\n".join(f"## {title.strip().capitalize()}\n\n{fence('text', body.strip())}" for title, body in titled)


# ------------------------------------------------------------------ distributions
def distributions() -> str:
    rows = ([f"`{d.name}`", _slots(d), _support(d), TREATMENT[treatment(d)], d.remark] for d in DISTRIBUTIONS.values())
    return table(["distribution", "parameters", "support", "message passing", "remark"], rows)


TREATMENT = {
    "message": "a message",
    "rewritten": "rewritten",
    "none": "none: NumPyro",
}


def treatment(distribution: Distribution) -> str:
    """How a statement with this distribution is served where its parameters are latent: by a message, by a rewriting, or not."""
    if distribution.name in RULES:
        return "rewritten"
    return "message" if distribution.implementation is not None else "none"


def _slots(distribution: Distribution) -> str:
    return ", ".join(" / ".join(_parameter(one) for one in slot) for slot in distribution.slots)


def _parameter(one: ParameterSignature) -> str:
    axes = f"[{', '.join(one.axes)}]" if one.axes else ""
    return f"`{one.name}`: {one.support.replace('_', ' ')}{axes}" + (" (may be left out)" if one.optional else "")


def _support(distribution: Distribution) -> str:
    axes = f"[{', '.join(distribution.axes)}]" if distribution.axes else ""
    return {"any": "that of what is inside"}.get(distribution.support, distribution.support) + axes


# ------------------------------------------------------------------ functions
SHAPES = {
    "elementwise": "element by element; shapes are equal, or one is a scalar",
    "reduce": "of one array a number; of several arguments element by element",
    "vector": "a vector to a vector over the same set",
    "fill": "arguments are sizes: `ones(K)`, `zeros(N, D)`",
    "eye": "the unit matrix over a set",
    "onehot": "`onehot(k, K)`: a vector over `K`",
    "dot": "two vectors to a number",
    "outer": "two vectors to a matrix",
    "diag": "a vector to a diagonal matrix, a matrix to its diagonal",
    "transpose": "turns the axes of a matrix",
    "square": "a square matrix to one over the same set",
    "square_to_number": "a square matrix to a number",
    "stack": "values of one shape along a new axis",
    "concat": "vectors one after the other",
    "length": "the length of the first axis",
    "file": '`csv("file.csv", "column")`: a column, or without its name the whole table; the path is relative to the file',
}


def functions() -> str:
    def row(shape: str) -> list[str]:
        names = [name for name in NAMED_FUNCTIONS if FUNCTIONS[name].shape == shape]
        return [", ".join(f"`{name}`{_arguments(FUNCTIONS[name])}" for name in names), SHAPES[shape]]

    shapes = dict.fromkeys(FUNCTIONS[name].shape for name in NAMED_FUNCTIONS)
    over = ", ".join(f"`{name}`" for name in NAMED_FUNCTIONS if name in COMPREHENSIONS)
    return table(["functions", "shape"], map(row, shapes)) + f"\nBefore `… for k in K` may stand {over}.\n"


def _arguments(function: Function) -> str:
    if function.least == function.most:
        return "" if function.least == 1 else f" ({function.least})"
    return f" ({function.least} or more)" if function.most is None else f" ({function.least} or {function.most})"


# ------------------------------------------------------------------ options
def engines() -> str:
    return "\n".join(_engine(name) for name in ENGINES)


def _engine(name: str) -> str:
    engine = ENGINES[name]
    rows = [[f"`{o.name}`", str(o.default).lower(), o.rule, o.meaning] for o in engine.options]
    told = table(["option", "default", "must be", "meaning"], rows) if rows else "No options.\n"
    return f"### {name}\n\n{engine.summary[0].upper()}{engine.summary[1:]}.\n\n{told}"


PLANNING = {
    "horizon": ("1", "steps that are looked ahead"),
    "discount": ("", "by which each further step counts less"),
    "precision": ("", "inverse temperature of the choice; may have a Gamma prior"),
    "epistemic": ("", "weight of what would come to be known of states"),
    "pragmatic": ("", "weight of what is preferred"),
    "novelty": ("", "weight of what would be learnt of tables"),
    "sophisticated": ("false", "whether later actions are chosen for each outcome that may be seen"),
    "policies": ("all", "the sequences of actions that are considered: `[[cue, left], [left, left]]`"),
}


def planning() -> str:
    rows = [[f"`{name}`", PLANNING[name][0] or f"{DEFAULTS[name]:g}", PLANNING[name][1]] for name in EFE_OPTIONS]
    return table(["option", "default", "meaning"], rows)


GENERALIZED = {
    "dt": "time between two bins",
    "order": "derivatives that a state carries",
    "order_causes": "derivatives that a hidden cause carries",
    "order_observed": "derivatives into which data are embedded",
    "smoothness": "width of the noise's autocorrelation, in bins: `ρ(h) = exp(-h² / (4 s²))`",
    "scheme": "what the belief at a bin is: " + "; ".join(f"`{name}`, {told}" for name, told in motion.SCHEMES.items()),
}


def generalized() -> str:
    defaults = {"order_observed": "`order`", "scheme": f"`{next(iter(motion.SCHEMES))}`"}
    defaults |= {k: f"{v:g}" for k, v in motion.DEFAULTS.items()}
    return table(["option", "default", "meaning"], ([f"`{name}`", defaults[name], GENERALIZED[name]] for name in motion.OPTIONS))


# ------------------------------------------------------------------ diagnostics
GROUPS = {
    "0": "Writing",
    "1": "Names",
    "2": "Index sets, shapes and types",
    "3": "Distributions and functions",
    "4": "Agents",
    "5": "Approximations",
    "6": "Data",
    "7": "Inference",
    "8": "Results and files",
    "9": "The program itself",
}


def diagnostics() -> str:
    """Every code under its group, with a program that raises it where a golden one does."""
    return "\n".join(
        f"## {title}\n\n" + "\n".join(_code(code) for code in CODES if code.startswith(f"AIM0{group}")) for group, title in GROUPS.items()
    )


def _code(code: str) -> str:
    shown = "\n".join(_example(code))
    return f"({code.lower()})=\n### {code}: {CODES[code]}\n\n{shown}"


def _example(code: str) -> Iterator[str]:
    program = next(iter(sorted(BAD.glob(f"{code}_*.aim"))), None)
    if program is None:
        return
    yield fence("aim", program.read_text(encoding="utf-8"))
    for data in (path for ending in (".json", ".csv") if (path := program.with_suffix(ending)).exists()):
        yield f"with `{data.name}`:\n\n" + fence("text", data.read_text(encoding="utf-8"))
    yield fence("text", program.with_suffix(".txt").read_text(encoding="utf-8"))


# ------------------------------------------------------------------ command line
def command_line() -> str:
    context = click.Context(commands, info_name="ppl", terminal_width=WIDTH)
    told = [fence("text", commands.get_help(context))]
    for name, module in COMMANDS.items():
        command = getattr(importlib.import_module(module), name)
        shown = command.get_help(click.Context(command, info_name=name, parent=context, terminal_width=WIDTH))
        told.append(f"## ppl {name}\n\n{fence('text', shown)}")
    return "\n".join(told)


# ------------------------------------------------------------------ limits
LIMITS = {
    (
        "ppl.compiler.plan",
        "FEW_BRANCHES",
    ): "joint discrete states that are summed over without being asked, where the rest is exact given each",
    ("ppl.compiler.plan", "MOST_BRANCHES"): "the same with `use exact`",
    ("ppl.compiler.discrete_blocks", "LARGEST_TABLE"): "entries of a table in which discrete variables are believed jointly",
    (
        "ppl.compiler.discrete_networks",
        "LARGEST_ELIMINATED",
    ): "entries of a table on the way, where a tree or grid of discrete variables is summed out",
    ("ppl.compiler.blocks", "LARGEST_DENSE"): "numbers of one joint Normal that is no chain",
    ("ppl.compiler.chains", "LONGEST_LAG"): "steps that a Gaussian recursion may reach back",
    ("ppl.engines.routing", "MOST_SAMPLED"): "latent numbers that are sampled without being asked; beyond, `svi`",
    ("ppl.results.pareto", "GOOD"): "k-hat above which a warning is due",
    ("ppl.engines.gibbs", "LARGEST_RHAT"): "R-hat above which a sampler has not converged",
    ("ppl.agents.clusters", "MOST_JOINT_STATES"): "joint states of an agent that are believed exactly; beyond, mean field",
    ("ppl.agents.policies", "MOST_POLICIES"): "policies that an agent values",
}


def limits() -> str:
    return table(["limit", "of what"], ([f"{getattr(importlib.import_module(m), n):,}", what] for (m, n), what in LIMITS.items()))


PARTS = {
    part.__name__: part for part in (grammar, distributions, functions, engines, planning, generalized, diagnostics, command_line, limits)
}
