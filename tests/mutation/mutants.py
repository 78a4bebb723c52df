"""Mutants: small wrong changes of a source file, one at a time; a test suite that sees none of them checks little.

Strings, annotations, decorators, ``strict=`` of ``zip`` (a guard: lengths agree) and what is for type checking stay.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_NAMES = {"any": "all", "min": "max", "amin": "amax", "argmin": "argmax", "minimum": "maximum", "floor": "ceil"}
_NAMES |= {other: name for name, other in _NAMES.items()}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_APART = (ast.stmt, ast.JoinedStr, ast.excepthandler)  # statements come by themselves, texts never
_Change = tuple[ast.AST, str, int | None, Any]  # whose field (and place in it) becomes what


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes
    ----------
    where : str
        Qualified name of the function or class, "" for the module.
    lines : range
        Of the statement that is changed, without the statements inside it.
    what : str
        Before and after.
    in_function : bool
        Whether the change is in what a call runs, not in what an import runs.
    code : CodeType
        Of the whole changed module.
    """

    where: str
    lines: range
    what: str
    in_function: bool
    code: CodeType

    @property
    def name(self) -> str:
        """The mutant, whatever line it is on."""
        return f"{self.where or 'module'}: {self.what}"


def mutants(source: str, filename: str) -> Iterator[Mutant]:
    """All mutants of a source file, in the order of its text."""
    tree = ast.parse(source)
    for statement, where, in_function in _statements(tree, "", False):
        lines = range(statement.lineno, _last_line(statement) + 1)
        for node, around, inside in _nodes(statement, in_function):
            shown = around if isinstance(node, (ast.Constant, ast.Name, ast.Attribute)) else node
            for change in _changes(node):
                yield Mutant(where, lines, *_compiled(tree, filename, shown, change, inside))


def _compiled(tree: ast.Module, filename: str, shown: ast.AST, change: _Change, inside: bool) -> tuple[Any, ...]:
    owner, field, place, new = change
    before, old = ast.unparse(shown), getattr(owner, field)
    setattr(owner, field, new if place is None else [*old[:place], new, *old[place + 1 :]])
    ast.fix_missing_locations(tree)
    try:
        return (
            f"{_short(before)} → {_short(ast.unparse(shown))}",
            inside,
            compile(tree, filename, "exec", dont_inherit=True),
        )
    finally:
        setattr(owner, field, old)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 90 else f"{line[:60]} … {line[-27:]}"


def _statements(node: ast.AST, where: str, in_function: bool) -> Iterator[tuple[ast.stmt, str, bool]]:
    """Every statement with the qualified name that it stands in."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, field, []) if not isinstance(node, ast.expr) else []:
            if isinstance(child, ast.stmt):
                if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                    continue
                yield child, where, in_function
            named = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            inner = f"{where}.{child.name}".lstrip(".") if named else where
            yield from _statements(child, inner, in_function or isinstance(child, _FUNCTIONS))


def _last_line(statement: ast.stmt) -> int:
    body = getattr(statement, "body", None)
    return max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno or statement.lineno


def _nodes(statement: ast.stmt, in_function: bool) -> Iterator[tuple[ast.AST, ast.AST, bool]]:
    """The nodes of a statement that may change, what stands around each, and whether a call runs it."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return  # docstring
    todo: list[tuple[ast.AST, ast.AST, bool]] = [(statement, statement, in_function)]
    while todo:
        node, around, inside = todo.pop(0)
        yield node, around, inside
        inside = inside or isinstance(node, ast.Lambda)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            children = value if isinstance(value, list) else [value]
            todo += [(child, node, inside) for child in children if _may_change(child)]


def _may_change(child: object) -> bool:
    if isinstance(child, ast.keyword) and child.arg == "strict":
        return False
    return isinstance(child, ast.AST) and not isinstance(child, _APART)


def _changes(node: ast.AST) -> Iterator[_Change]:
    """The wrong versions of one node."""
    match node:
        case ast.Compare(ops=operators):
            for place, operator in enumerate(operators):
                for other in _COMPARISONS[type(operator)]:
                    yield node, "ops", place, other()
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _OPERATORS:
            yield node, "op", None, _OPERATORS[type(op)]()
        case ast.BoolOp(op=op):
            yield node, "op", None, ast.Or() if isinstance(op, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, "operand", None, ast.UnaryOp(ast.Not(), operand)
        case ast.UnaryOp(op=ast.USub()):
            yield node, "op", None, ast.UAdd()
        case ast.Constant(value=bool() as value):
            yield node, "value", None, not value
        case ast.Constant(value=int() | float() as value):
            yield node, "value", None, value + 1
        case ast.Name(id=name) if name in _NAMES:
            yield node, "id", None, _NAMES[name]
        case ast.Attribute(attr=name) if name in _NAMES:
            yield node, "attr", None, _NAMES[name]
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield node, "value", None, ast.Constant(None)
        case ast.Expr(value=ast.Call()):
            yield node, "value", None, ast.Constant(None)
        case ast.If(body=[ast.Raise()]):
            yield node, "test", None, ast.Constant(False)
        case ast.IfExp(test=test) | ast.If(test=test) | ast.While(test=test):
            if not isinstance(test, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
                yield node, "test", None, ast.UnaryOp(ast.Not(), test)
        case ast.comprehension(ifs=[ast.expr()]):
            yield node, "ifs", 0, ast.Constant(True)
