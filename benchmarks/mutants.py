"""Make mutants of the modules: small changes, of which tests should notice each.

The operators are those of cosmic-ray. A mutant is chosen by a hash of its text, so a
change of one function leaves the sample in the others as it was.
"""

from __future__ import annotations

import ast
import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import parso
from cosmic_ray.ast import ast_nodes
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators import (
    binary_operator_replacement,
    boolean_replacer,
    break_continue,
    comparison_operator_replacement,
    exception_replacer,
    number_replacer,
    remove_decorator,
    unary_operator_replacement,
    zero_iteration_for_loop,
)
from cosmic_ray.operators.operator import Example, Operator

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name('equivalent.csv')

# One or two replacements for each operator: the others mostly end in a TypeError.
REPLACED = {
    'Add': 'Sub',
    'Sub': 'Add',
    'Mul': 'Div',
    'Div': 'Mul',
    'FloorDiv': 'Mul',
    'Mod': 'Mul',
    'Pow': 'Mul',
    'BitAnd': 'BitOr',
    'BitOr': 'BitAnd',
    'BitXor': 'BitAnd',
    'Lt': 'LtE GtE',
    'LtE': 'Lt Gt',
    'Gt': 'GtE LtE',
    'GtE': 'Gt Lt',
    'Eq': 'NotEq',
    'NotEq': 'Eq',
    'Is': 'IsNot',
    'IsNot': 'Is',
}
# Without these a function does the same, only slower, or only a type checker notices.
KEPT_DECORATORS = {'compiled', 'overload'}


class StatementDeletion(Operator):
    """Delete a call whose value is not used, or a change in place."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield where a statement can be deleted."""
        if node.type == 'simple_stmt' and self._does_something(node.children[0]):
            yield node.start_pos, node.children[0].end_pos

    @staticmethod
    def _does_something(statement: Any) -> bool:
        if statement.type == 'expr_stmt':
            target, sign = statement.children[:2]
            is_in_place = sign.type == 'operator' and sign.value != '='
            return is_in_place or target.type == 'atom_expr'
        return statement.type == 'atom_expr' and statement.get_code().endswith(')')

    def mutate(self, node: Any, index: int) -> Any:
        """Put `pass` in its place; all other lines keep their number."""
        first = node.get_first_leaf()
        lines = node.get_code(include_prefix=False).count('\n')
        return parso.python.tree.Name(
            'pass' + '\n' * lines, node.start_pos, first.prefix
        )

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Show what it does."""
        return (Example('x += 1\n', 'pass\n'),)


class DecoratorRemoval(remove_decorator.RemoveDecorator):
    """Delete a decorator, but neither its line nor the comment before it."""

    def mutate(self, node: Any, index: int) -> Any:
        """Leave an empty line."""
        prefix = node.get_first_leaf().prefix
        return parso.python.tree.Name('\n', node.start_pos, prefix)


def _operators() -> dict[str, type[Operator]]:
    """The operators, by name."""
    found: list[type[Operator]] = [StatementDeletion]
    for module in (binary_operator_replacement, comparison_operator_replacement):
        for operator in module.operators():
            before, after = operator.__name__.split('_')[1:]
            if after in REPLACED.get(before, '').split():
                found.append(operator)
    for operator in unary_operator_replacement.operators():
        if 'Delete' in operator.__name__:
            found.append(operator)
    found += [boolean_replacer.ReplaceTrueWithFalse, boolean_replacer.AddNot]
    found += [boolean_replacer.ReplaceFalseWithTrue, boolean_replacer.ReplaceAndWithOr]
    found += [boolean_replacer.ReplaceOrWithAnd, number_replacer.NumberReplacer]
    found += [break_continue.ReplaceBreakWithContinue]
    found += [break_continue.ReplaceContinueWithBreak]
    found += [exception_replacer.ExceptionReplacer, DecoratorRemoval]
    found += [zero_iteration_for_loop.ZeroIterationForLoop]
    return {operator.__name__: operator for operator in found}


OPERATORS = _operators()


class Mutant(NamedTuple):
    """A change of a module in one place."""

    module: str
    function: str
    """Its qualified name, or nothing for the module itself."""
    line: int
    last_line: int
    before: str
    operator: str
    occurrence: int
    """How many places of the operator come before."""
    site: str
    """A hash of the place."""
    choice: str
    """A hash of place and operator."""

    def code(self) -> str:
        """The whole module, changed."""
        changed = mutate_code(
            source_of(self.module), OPERATORS[self.operator](), self.occurrence
        )
        assert changed is not None
        return changed

    def after(self, code: str | None = None) -> str:
        """The lines that are changed, as they are then."""
        return _lines(code or self.code(), self.line, self.last_line)


@cache
def source_of(module: str) -> str:
    """What is written in a module."""
    return (ROOT / f'mf_movielens/{module}.py').read_text(encoding='utf-8')


def _lines(code: str, first: int, last: int) -> str:
    """Lines in one, without the white space between them."""
    return ' '.join(' '.join(code.split('\n')[first - 1 : last]).split())


def _excluded(node: ast.AST) -> list[ast.AST]:
    """The parts of a node that only people or type checkers read."""
    found: list[ast.AST | None] = []
    if isinstance(node, ast.arg | ast.AnnAssign):
        found = [node.annotation]
    elif isinstance(node, ast.FunctionDef):
        found = [node.returns]
    elif isinstance(node, ast.JoinedStr | ast.Raise) or _is_for_people(node):
        found = [node]
    elif isinstance(node, ast.Module):
        found = [
            child
            for child in node.body
            if isinstance(child, ast.Assign) and _is_for_checkers(child)
        ]
    return [part for part in found if part is not None]


def _is_for_people(node: ast.AST) -> bool:
    """Whether a node is a warning, or asks for a type checker."""
    if isinstance(node, ast.Call):
        return 'warn' in ast.unparse(node.func)
    return isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test)


def _is_for_checkers(node: ast.Assign) -> bool:
    """Whether an assignment is `__all__`, or a type such as `int | float`."""
    is_type = isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr)
    return is_type or '__all__' in ast.unparse(node.targets[0])


def _ranges(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Start and end of all that is not changed, as lines and columns."""
    lines = source.split('\n')

    def column(line: int, n_bytes: int) -> int:
        return len(lines[line - 1].encode()[:n_bytes].decode())

    found = []
    for node in ast.walk(ast.parse(source)):
        for part in _excluded(node):
            at: Any = part
            start = at.lineno, column(at.lineno, at.col_offset)
            found.append(
                (start, (at.end_lineno, column(at.end_lineno, at.end_col_offset)))
            )
    return found


def _functions(source: str) -> dict[int, str]:
    """The qualified name of the function or class in each line."""
    names: dict[int, str] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = f'{prefix}{child.name}'
                first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
                for line in range(first, (child.end_lineno or first) + 1):
                    names[line] = name
                visit(child, f'{name}.')

    visit(ast.parse(source), '')
    return names


def _digest(*parts: object) -> str:
    return hashlib.sha256(' '.join(map(str, parts)).encode()).hexdigest()[:16]


def _is_kept(operator: str, node: Any) -> bool:
    """Whether a decorator stays, or the star before arguments by keyword."""
    if node.parent is not None and node.parent.type == 'parameters':
        return True
    if operator != 'DecoratorRemoval':
        return False
    return (
        node.get_code(include_prefix=False).strip('@\n').partition('(')[0]
        in KEPT_DECORATORS
    )


@cache
def all_mutants(module: str, seed: int = 0) -> list[Mutant]:
    """All mutants of a module.

    Type comments, annotations, docstrings, `__all__`, the texts of errors and
    warnings, and the decorators of `KEPT_DECORATORS` stay as they are.
    """
    source = source_of(module)
    functions, ranges = _functions(source), _ranges(source)
    nodes = list(ast_nodes(parso.parse(source)))
    seen: Counter[str] = Counter()
    mutants = []
    for name, operator in OPERATORS.items():
        occurrence = -1
        for node in nodes:
            for (line, column), end in operator().mutation_positions(node):
                occurrence += 1
                start = line, column
                if any(a <= start < b for a, b in ranges) or _is_kept(name, node):
                    continue
                before = _lines(source, line, end[0])
                function = functions.get(line, '')
                offset = len(_lines(source.split('\n')[line - 1][:column], 1, 1))
                site = _digest(seed, module, function, before, offset)
                choice = _digest(site, name)
                # Equal lines of one function, or two numbers in one place.
                seen[choice] += 1
                choice = _digest(choice, seen[choice])
                found = Mutant(
                    module,
                    function,
                    line,
                    end[0],
                    before,
                    name,
                    occurrence,
                    site,
                    choice,
                )
                mutants.append(found)
    return mutants


def sample(module: str, n: int, seed: int = 0) -> list[Mutant]:
    """Draw places of a module, and one mutant for each.

    Were mutants drawn, places with many of them would come more often.
    """
    chosen: dict[str, Mutant] = {}
    for mutant in all_mutants(module, seed):
        other = chosen.get(mutant.site)
        if other is None or mutant.choice < other.choice:
            chosen[mutant.site] = mutant
    return [chosen[site] for site in sorted(chosen)[:n]]


def n_mutants(module: str) -> int:
    """How many mutants a module has."""
    return len(all_mutants(module))


def equivalent() -> dict[tuple[str, ...], str]:
    """Why a mutant does the same: by module, function, and line before and after."""
    with EQUIVALENT.open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    return {
        (row['module'], row['function'], row['before'], row['after']): row['reason']
        for row in rows
    }


def matching(key: tuple[str, ...]) -> Iterable[Mutant]:
    """Find the mutants that an entry of the list of equivalent ones means."""
    module, function, before, after = key
    return (
        mutant
        for mutant in all_mutants(module)
        if (mutant.function, mutant.before) == (function, before)
        and mutant.after() == after
    )
