"""Files of the language are UTF-8 text; what is not there or cannot be read is a diagnostic."""

from __future__ import annotations

from pathlib import Path

from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean
from ppl.source.text import SourceText


def read_source(path: Path) -> SourceText:
    """The text of a file under the name that the user gave. Raises AimError (AIM0886)."""
    try:
        return SourceText(str(path), path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"byte {error.start + 1} is not UTF-8", "save it as UTF-8") from error
    except FileNotFoundError as error:
        near = [str(other) for other in path.parent.glob("*.aim")] if path.parent.is_dir() else []
        raise _unreadable(path, "there is no such file", did_you_mean(str(path), near)) from error
    except OSError as error:
        raise _unreadable(path, (error.strerror or str(error)).lower(), "") from error


def _unreadable(path: Path, reason: str, hint: str) -> AimError:
    return AimError([Diagnostic("AIM0886", f"cannot read `{path}`: {reason}", hint=hint)])
