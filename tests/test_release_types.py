"""Public definitions of `contrast` say the type of each argument and of what they return."""

import ast
import typing
from pathlib import Path

import pytest

import contrast

pytestmark = pytest.mark.once

PACKAGE = Path(contrast.__file__).resolve().parent
# `backend` and `distribution` are called by the library alone; the two modules hold their tensors untyped
UNTYPED = ("backend/", "distribution/", "models/base.py", "ops/tiled.py", "ops/tiles.py")
SPECIAL = ("__init__", "__call__", "__len__", "__getitem__", "__iter__", "__contains__")


def modules():
    paths = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
    return {name: path for name, path in paths.items() if not name.startswith(UNTYPED)}


def public_functions(body, prefix=""):
    """Names and syntax trees of functions and methods without a leading underscore, and special ones."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and (node.name in SPECIAL or not node.name.startswith("_")):
            yield prefix + node.name, node


def untyped(source):
    """What lacks a type, as `function.argument` or `function -> ?`."""
    found = []
    for name, function in public_functions(ast.parse(source).body):
        every = function.args
        arguments = [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]
        if "." in name and not any(getattr(d, "id", "") == "staticmethod" for d in function.decorator_list):
            arguments = arguments[1:]  # self or cls
        found += [f"{name}.{a.arg}" for a in arguments if a is not None and a.annotation is None]
        found += [f"{name} -> ?"] * (function.returns is None)
    return found


def test_every_public_definition_is_typed():
    found = {name: untyped(path.read_text(encoding="utf-8")) for name, path in modules().items()}
    assert len(found) > 150
    assert {name: lacking for name, lacking in found.items() if lacking} == {}


def test_what_is_not_typed_is_found():
    source = "class A:\n    def f(self, x, *rest: int, y: int = 0, **options): ...\ndef _g(x): ...\n"
    assert untyped(source) == ["A.f.x", "A.f.options", "A.f -> ?"]


def test_the_types_can_be_read_at_run_time():
    read = 0
    for package_name in contrast.__all__:
        package = getattr(contrast, package_name)
        for name in package.__all__:
            thing = getattr(package, name)
            module = getattr(thing, "__module__", "").removeprefix("contrast.").replace(".", "/")
            if not callable(thing) or f"{module}.py".startswith(UNTYPED):
                continue
            function = vars(thing).get("__init__", thing) if isinstance(thing, type) else thing
            hints = typing.get_type_hints(function)  # raises for a name that is not there
            assert isinstance(thing, type) or "return" in hints, name
            read += 1
    assert read > 150
