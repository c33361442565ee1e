"""The location of templates and example files: inside the installed package, or in the folders of a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _folder(name: str) -> Path:
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def templates_dir() -> Path:
    """The folder with `mail/` and `web/`."""
    return _folder("templates")


def config_dir() -> Path:
    """The folder with guardian.example.toml and the systemd unit."""
    return _folder("config")


def locales_dir() -> Path:
    """The folder with the translations, one .po file a language."""
    return templates_dir() / "locales"
