"""Which names of an exception are kept: those that the app's author gave, and none that a client can shape."""

import functools
import importlib
import json
import sys

import pytest

from tracker.error_text import reason_phrase
from tracker.event import Failure
from tracker.tracebacks import class_name, frames_of, kind_of, location_of

# Where an exception was raised


def raised(function, *arguments):
    try:
        function(*arguments)
    except BaseException as error:
        return error


def fails(secret):
    raise LookupError(f"no such thing: {secret}")


def descends(depth):
    if depth:
        descends(depth - 1)
    json.loads("{")


def line_of(function, offset):
    return function.__code__.co_firstlineno + offset


def here():
    """How this file is named: by its module, as far as pytest tells it."""
    return (__name__.replace(".", "/") + ".py") if "." in __name__ else "test_tracebacks.py"


def failure_of_exception(error):
    return Failure(kind_of(error), reason_phrase(500), location_of(frames_of(error)))


def test_an_exception_is_its_class_and_the_lines_it_came_by_and_never_its_message():
    failure = failure_of_exception(raised(fails, "hunter2"))
    assert failure == Failure(
        "LookupError",
        "Internal Server Error",
        f"{here()}:{line_of(raised, 2)} raised\n{here()}:{line_of(fails, 1)} fails",
    )


def test_only_the_apps_own_frames_are_told_and_the_innermost_twenty_of_them():
    lines = failure_of_exception(raised(descends, 500)).location.splitlines()
    assert len(lines) == 20
    assert lines[-1] == f"{here()}:{line_of(descends, 3)} descends"
    assert "json" not in "".join(lines)


def test_an_exception_that_no_frame_of_the_app_saw_is_where_it_was_raised():
    error = raised(json.loads, "{")
    error.__traceback__ = error.__traceback__.tb_next
    assert failure_of_exception(error).location.startswith("json/decoder.py:")


def test_an_exception_that_was_never_raised_has_no_place():
    assert failure_of_exception(KeyError("secret")) == Failure("KeyError", "Internal Server Error", "")


def test_a_group_of_one_stands_for_the_one_that_it_holds():
    inner = raised(fails, "hunter2")
    group = raised(lambda: (_ for _ in ()).throw(ExceptionGroup("tasks", [ExceptionGroup("more", [inner])])))
    assert failure_of_exception(group) == failure_of_exception(inner)
    both = ExceptionGroup("tasks", [inner, KeyError("x")])
    assert failure_of_exception(both).kind == "ExceptionGroup"


# Names that a client can shape


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Writes a module of an app in a folder whose name is nobody's business, and imports it."""
    monkeypatch.syspath_prepend(tmp_path)

    def imported(name, text="def run(): raise KeyError('x')\n"):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()
        for each in [name[:at] for at, letter in enumerate(name + ".") if letter == "."]:
            monkeypatch.delitem(sys.modules, each, raising=False)
        return importlib.import_module(name)

    return imported


@pytest.mark.parametrize("name", ["chatting", "shop_app.chatting", "shop_app.deep.er.chatting"])
def test_a_file_is_named_by_its_module_and_never_by_where_it_lies(app, name, tmp_path):
    location = failure_of_exception(raised(app(name).run)).location
    assert location.splitlines()[-1] == f"{name.replace('.', '/')}.py:1 run"
    assert tmp_path.name not in location


def test_a_package_is_named_by_its_file(app):
    assert failure_of_exception(raised(app("shop_pack.__init__").run)).location.endswith("__init__.py:1 run")


@pytest.mark.parametrize(
    "names", [{}, {"__name__": 3}, {"__name__": "shop_here"}, {"__name__": ["hunter2"]}, {"__name__": "json"}]
)
@pytest.mark.parametrize("file", ["<string>", "hunter2", "/srv/hunter2.py", "/srv/hunter2.html", "json/__init__.py"])
def test_code_that_was_made_while_running_has_no_line(app, names, file):
    module = app("shop_here", "def run(make): make()\n")
    names = dict(names)
    exec(compile("def hunter2(): raise KeyError('x')", file, "exec"), names)
    location = failure_of_exception(raised(module.run, names["hunter2"])).location
    assert location.splitlines()[-1] == "shop_here.py:1 run"
    assert "hunter2" not in location


def test_code_that_was_made_while_running_under_the_name_of_a_file_has_no_name(app):
    module = app("shop_made")
    exec(compile("def hunter2(): raise KeyError('x')", module.__file__, "exec"), vars(module))
    assert failure_of_exception(raised(module.hunter2)).location.splitlines()[-1] == "shop_made.py:1 (unknown)"
    renamed = module.run.__code__.replace(co_name="hunter2")
    error = raised(type(module.run)(renamed, vars(module)))
    assert failure_of_exception(error).location.splitlines()[-1] == "shop_made.py:1 (unknown)"


def test_an_exception_that_only_made_up_code_saw_has_no_place():
    names = {}
    exec("def hunter2(): raise KeyError('x')", names)
    error = raised(names["hunter2"])
    error.__traceback__ = error.__traceback__.tb_next
    assert failure_of_exception(error).location == ""


class Known(LookupError):
    class Within(ValueError):
        pass


class Answers(type):
    """Says what it likes of its classes."""

    __name__ = property(lambda cls: "hunter2")
    __module__ = property(lambda cls: "hunter2")
    __mro__ = property(lambda cls: [])

    def __getattribute__(cls, name):
        raise RuntimeError("hunter2")


class Text(str):
    def __str__(self):
        return "hunter2"

    def __getitem__(self, key):
        return "hunter2"

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


def made(name="hunter2", bases=(Known,), metaclass=type, **more):
    return metaclass(name, bases, more)


def renamed(**names):
    kind = type("Known", (Known,), {})
    for name, value in names.items():
        type.__setattr__(kind, name, value)
    return kind


def local():
    class Hunter2(Known):
        pass

    return Hunter2


MADE_UP = {
    "by type()": made(),
    "with the module of another": made(__module__="json"),
    "with a module that is there, and its own name": made(__module__=__name__),
    "with the name of another class of the module": made("Known", __module__=__name__),
    "with a module that is no text": made(__module__=3),
    "with a module that cannot be a key": made(__module__=["hunter2"]),
    "with a property as module": made(__module__=property(lambda self: "hunter2")),
    "with a text of its own class as module": made("Known", __module__=Text(__name__)),
    "with a qualified name of its own": made(__qualname__="Known.hunter2", __module__=__name__),
    "with the qualified name of another": renamed(__qualname__="Known", __module__=__name__),
    "with an empty name": made("", __module__=__name__),
    "with dots for a name": renamed(__qualname__="...", __module__=__name__),
    "with a surrogate for a name": renamed(__qualname__="\udcff", __module__=__name__),
    "by a metaclass": made(metaclass=Answers),
    "in a function": local(),
    "by exec": (exec("class hunter2(Known): pass", names := {"Known": Known, "__name__": "json"}), names["hunter2"])[1],
    "twice": made(bases=(made(), KeyError)),
}  # fmt: skip


@pytest.mark.parametrize("how", MADE_UP)
def test_a_class_that_its_module_does_not_have_is_its_nearest_base_that_has(how):
    assert class_name(MADE_UP[how]) == "Known"
    assert kind_of(MADE_UP[how]("hunter2")) == "Known"


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Known, "Known"), (Known.Within, "Within"), (json.JSONDecodeError, "JSONDecodeError"), (OSError, "OSError"),
     (type("X", (Exception,), {}), "Exception"), (type("X", (), {}), "object"), (functools.partial, "partial")],
)  # fmt: skip
def test_a_class_that_its_module_has_keeps_its_name(kind, name):
    assert class_name(kind) == name


class Renamed(Exception):
    pass


Renamed.__name__ = "hunter2"


def test_a_class_keeps_the_name_that_its_module_has_it_under():
    assert class_name(Renamed) == "Renamed"


def test_an_exception_that_lies_about_itself_is_told_all_the_same():
    class Lies(ExceptionGroup):
        exceptions = property(lambda self: 1 / 0)
        __traceback__ = property(lambda self: 1 / 0)
        __class__ = property(lambda self: 1 / 0)

    error = Lies("hunter2", [Known("hunter2")])
    assert (kind_of(error), frames_of(error)) == ("Known", ())
