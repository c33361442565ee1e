"""Imports an app for inspection, and turns every possible failure into one sentence."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tracker
from tracker import UsageTrackingMiddleware

_TARGET = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<path>[^\W\d]\w*(\.[^\W\d]\w*)*)(?P<call>\(\))?")


class AppError(ValueError):
    """The app cannot be inspected; the text is one sentence with the cure."""


@dataclass
class Noted:
    """The middleware created while `noting` was open, with the arguments of each."""

    made: list[tuple[UsageTrackingMiddleware, dict[str, Any]]] = field(default_factory=list)
    before: frozenset[str] = field(default_factory=lambda: frozenset(sys.modules))

    def arguments(self, middleware: UsageTrackingMiddleware) -> Mapping[str, Any] | None:
        """The arguments of this middleware; None if it was created before."""
        return next((arguments for each, arguments in self.made if each is middleware), None)

    def imported(self, name: str) -> bool:
        """Whether a newly imported module, so one of the app's, uses this function of the tracker."""
        function = getattr(tracker, name, None)
        wanted = (function, tracker)  # `import tracker; tracker.note_user(…)` too
        new = [module for key, module in list(sys.modules.items()) if key not in self.before]
        # Not getattr, which may trigger lazy loading in a module.
        held = (list(getattr(module, "__dict__", {}).values()) for module in new)
        return function is not None and any(value is each for values in held for value in values for each in wanted)


@contextlib.contextmanager
def noting() -> Iterator[Noted]:
    """Record the arguments of each UsageTrackingMiddleware created while the context is open, since the middleware does
    not keep them.
    """
    noted, init = Noted(), UsageTrackingMiddleware.__init__
    signature = inspect.signature(init)

    @functools.wraps(init)
    def noting_init(self: UsageTrackingMiddleware, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        known = {name: value for name, value in kwargs.items() if name in signature.parameters}
        bound = signature.bind(self, *args[:2], **known).arguments
        noted.made.append((self, {name: value for name, value in bound.items() if name not in ("self", "app")}))

    UsageTrackingMiddleware.__init__ = noting_init  # type: ignore[method-assign]
    try:
        with _no_fetch():
            yield noted
    finally:
        UsageTrackingMiddleware.__init__ = init  # type: ignore[method-assign]


@contextlib.contextmanager
def _no_fetch() -> Iterator[None]:
    """Prevent fetching of key sets: inspecting an app must not make requests."""
    try:
        from tracker.jwks import KeySet
    except ImportError:  # without PyJWT there are none
        yield
        return
    refresh = KeySet._refresh
    KeySet._refresh = lambda self, after: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        KeySet._refresh = refresh  # type: ignore[method-assign]


def load_app(target: str, *, factory: bool = False) -> Any:
    """The ASGI app that `module:app` names, imported with the current folder first on the path.

    `module:create_app()` and, with `factory`, `module:create_app` are called without arguments. Nothing is started, and
    no compiled files are left behind. What the module prints goes to stderr. Raises AppError with one sentence.
    """
    match = _TARGET.fullmatch(target.strip())
    if match is None:
        raise AppError(_misspelt(target.strip()))
    with _importing():
        module = _attempt(target, lambda: importlib.import_module(match["module"]), match["module"])
        found = module
        for name in match["path"].split("."):
            found = _attribute(target, found, name)
        if match["call"] or factory:
            if not callable(found):
                raise AppError(f"{target}: {match['path']} is not a function: write {match['module']}:{match['path']}")
            found = _attempt(target, found, None)
    _refuse_no_app(target, found, match)
    return found


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    before, compiled = list(sys.path), sys.dont_write_bytecode
    sys.path.insert(0, os.getcwd())
    sys.dont_write_bytecode = True
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = before
        sys.dont_write_bytecode = compiled


def _misspelt(target: str) -> str:
    path, _, name = target.partition(":")
    if path.endswith(".py") or "/" in path or os.sep in path:
        relative = os.path.relpath(path) if os.path.isabs(path) else os.path.normpath(path)
        path = re.sub(r"\.py$", "", relative).replace(os.sep, ".").strip(".")
    guess = f"{path or 'main'}:{name or 'app'}"
    if not _TARGET.fullmatch(guess):
        guess = "main:app"
    return f"--app {target!r} is not the name of an app: write it as {guess}"


def _attempt(target: str, call: Callable[[], Any], module: str | None) -> Any:
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if module is not None and error.name and f"{module}.".startswith(f"{error.name}."):
            cure = "run the command in the folder from which the app is started"
            raise AppError(f"{target}: there is no module {error.name} in {os.getcwd()}: {cure}") from None
        raise AppError(_failed(target, error)) from error
    except BaseException as error:  # a module may also end the process: SystemExit
        raise AppError(_failed(target, error)) from error


def _failed(target: str, error: BaseException) -> str:
    said = (str(error).splitlines() or [""])[0].strip()
    if isinstance(error, SyntaxError):
        file, line = error.filename, error.lineno
        said = error.msg
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
        frames = [f for f in frames if not f.filename.startswith("<") and f.filename != importlib.__file__]
        own = [f for f in frames if Path(f.filename).is_relative_to(os.getcwd()) and "site-packages" not in f.filename]
        last = next(reversed(own or frames), None)
        file, line = (last.filename, last.lineno) if last else (None, None)
    place = (
        f" ({os.path.relpath(file) if Path(file).is_relative_to(os.getcwd()) else file} line {line})" if file else ""
    )
    why = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"{target} cannot be imported: {why}{place}"


def _attribute(target: str, owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        names = [each for each in vars(owner) if not each.startswith("_")] if hasattr(owner, "__dict__") else []
        apps = [each for each in names if _looks_like_an_app(vars(owner)[each])]
        near = difflib.get_close_matches(name, apps or names, n=1, cutoff=0.5) or apps[:1]
    what = getattr(owner, "__name__", type(owner).__name__)
    raise AppError(f"{target}: {what} has no {name}" + (f": did you mean {near[0]}?" if near else ""))


def _looks_like_an_app(value: Any) -> bool:
    return not isinstance(value, type) and callable(value) and (hasattr(value, "routes") or hasattr(value, "asgi_app"))


def _refuse_no_app(target: str, found: Any, match: re.Match[str]) -> None:
    if inspect.iscoroutine(found):
        found.close()
        raise AppError(f"{target}: this factory is a coroutine function: name one that gives the app itself")
    if (hasattr(found, "wsgi_app") and not hasattr(found, "asgi_app")) or type(found).__name__ == "WSGIHandler":
        raise AppError(f"{target} is a WSGI app, and the tracker's middleware is for ASGI: name the ASGI app")
    if isinstance(found, type) or not callable(found):
        raise AppError(f"{target} is no ASGI app but {_described(found)}: name the variable that the server gets")
    if inspect.isroutine(found) and not _takes_three(found):
        called = f"{match['module']}:{match['path']}()"
        raise AppError(f"{target} is a function that is no ASGI app: if it makes the app, write {called}")


def _described(found: Any) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else f"of the type {type(found).__name__}"


def _takes_three(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True
