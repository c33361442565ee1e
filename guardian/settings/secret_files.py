"""Secrets that stand in files of their own, and who may read them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydantic import SecretStr


def others_may_read(path: Path) -> bool:
    """Whether the file's mode lets others than its owner read it, write it or run it.

    False on Windows, which has no such modes: there os.stat makes them up (0666), and access lists say who may read.
    Raises OSError where there is no file.
    """
    return sys.platform != "win32" and bool(path.stat().st_mode & 0o077)


def read_secret(path: Path) -> SecretStr:
    """What the file holds, without white space around it. Raises ValueError where others may read it too."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        exposed = others_may_read(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ValueError(f"{path} cannot be read: {reason}") from None
    # systemd hands credentials over in a folder that only the service may enter (systemd.exec(5), CREDENTIALS).
    guarded = os.environ.get("CREDENTIALS_DIRECTORY")
    if exposed and not (guarded and path.is_relative_to(guarded)):
        raise ValueError(f"others than its owner may read {path}, which holds a secret: run 'chmod 600 {path}'")
    if not text:
        raise ValueError(f"{path} is empty: write the secret into it")
    return SecretStr(text)
