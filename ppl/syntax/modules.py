"""The texts of imported files: found beside the file that names them first, then in the standard library."""

from __future__ import annotations

from pathlib import Path

from ppl.source.library import library_folder
from ppl.source.reading import read_source
from ppl.source.text import SourceText
from ppl.syntax import tree
from ppl.syntax.parser import parse


def find_import(module: str, folder: Path | None) -> SourceText | None:
    """The text of another file: beside this one first, then in the standard library."""
    relative = Path(*module.split(".")).with_suffix(".aim")
    library = library_folder()
    beside = [] if folder is None else [folder / relative]
    inside = [library / relative, *sorted(library.glob(f"*/{relative}"))]
    for candidate in [*beside, *inside]:
        if candidate.is_file():
            return read_source(candidate)
    return None


def texts_of(source: SourceText, folder: Path | None) -> dict[str, str]:
    """The text of a file under the name "", and those of the modules that it imports, and that these import, under theirs."""
    texts, queue = {"": source.text}, [source]
    while queue:
        for item in parse(queue.pop())[0].items:
            imported = find_import(item.module, folder) if isinstance(item, tree.Import) and item.module not in texts else None
            if imported is not None and isinstance(item, tree.Import):
                texts[item.module] = imported.text
                queue.append(imported)
    return texts
