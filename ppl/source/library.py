"""The standard library of models: `models/` in a checkout, a copy of it in an installed package."""

from __future__ import annotations

from pathlib import Path

PLACES = (Path(__file__).parents[1] / "_data" / "models", Path(__file__).parents[2] / "models")


def library_folder() -> Path:
    """The folder that holds the standard library; it may be lacking in a damaged installation."""
    return next((place for place in PLACES if place.is_dir()), PLACES[-1])


def library_files() -> list[Path]:
    """All files of the library, in the order of their paths."""
    return sorted(library_folder().rglob("*.aim"))


def find_file(written: str) -> Path:
    """The file that a user means: theirs, or where there is none the library's (without `models/` and `.aim` if they like)."""
    path = Path(written)
    if path.exists():
        return path
    inside = written.removeprefix("models/")
    for candidate in (library_folder() / inside, library_folder() / f"{inside}.aim"):
        if candidate.is_file() and not path.is_absolute():
            return candidate
    return path
