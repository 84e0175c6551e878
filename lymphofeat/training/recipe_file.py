"""Recipe files: found by name or path, read with all their mistakes at once."""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..errors import InputError
from ..wording import did_you_mean
from .recipe import Recipe, mistakes_of

__all__ = ["change_recipe", "find_recipe", "list_recipes", "read_recipe", "recipe_from_dict", "recipe_names"]

_SUFFIX = ".toml"
_PACKAGED = files(__package__) / "recipes"
_TOP = ("title", "base")


def recipe_names() -> list[str]:
    """The recipes that come with the package, `default` first, then by name."""
    names = sorted(
        entry.name.removesuffix(_SUFFIX) for entry in _PACKAGED.iterdir() if _is_recipe(entry.name)
    )
    return sorted(names, key=lambda name: name != "default")


def list_recipes() -> list[Recipe]:
    """Every packaged recipe, in the order of `recipe_names`."""
    return [find_recipe(name) for name in recipe_names()]


def find_recipe(name: str) -> Recipe:
    """A packaged recipe by name, or the recipe file at a path that ends in .toml.

    Raises:
        InputError: there is none; the sentence names the nearest. Or as `read_recipe`.
    """
    if name.endswith(_SUFFIX):
        return read_recipe(Path(name))
    if name not in recipe_names():
        hint = did_you_mean(name, recipe_names())
        raise InputError(
            f"There is no recipe {name!r}{hint}; `lymphofeat recipes` lists them, and a file of your own is named with "
            f"its ending {_SUFFIX}."
        )
    text = (_PACKAGED / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    return _parsed(text, name, f"recipe {name}")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file. Its name is the recipe's; what it leaves out comes from its `base`, else the defaults.

    Raises:
        InputError: unreadable, not TOML, or with unknown keys, wrong types, values out of range, or settings that
            contradict each other: one line for each.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{path}: the recipe cannot be read ({reason}); check the path.") from error
    return _parsed(text, path.stem, str(path))


def change_recipe(recipe: Recipe, changes: Mapping[str, Mapping[str, Any]], where: str) -> Recipe:
    """The recipe with some settings changed, checked as a whole.

    Args:
        recipe: the recipe.
        changes: section → setting → value, as in a file.
        where: names the changes' origin in an error.

    Raises:
        InputError: one line for every mistake.
    """
    changed, mistakes = _applied(recipe, changes)
    mistakes += mistakes_of(changed)
    if mistakes:
        raise InputError(f"{where} cannot be used:\n  " + "\n  ".join(f"{m}." for m in mistakes))
    return changed


def recipe_from_dict(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe that `Recipe.to_dict` wrote down, without its title.

    Raises:
        InputError: of another version of the program, with one line for every mistake.
    """
    sections = {key: value for key, value in values.items() if key != "name"}
    return change_recipe(Recipe(str(values["name"])), sections, where)


def _is_recipe(name: str) -> bool:
    return name.endswith(_SUFFIX)


def _parsed(text: str, name: str, where: str) -> Recipe:
    try:
        document = tomllib.loads(text)
    except RecursionError as error:
        raise InputError(f"{where} nests its values too deep to be read; see docs/recipes.md.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where} is not a TOML file ({error}); see docs/recipes.md.") from error
    base = document.pop("base", None)
    if base is not None and (not isinstance(base, str) or base not in recipe_names() or base == name):
        hint = did_you_mean(str(base), recipe_names())
        raise InputError(
            f"{where}: base is {base!r}{hint}; it must name a recipe that comes with the package."
        )
    start = dataclasses.replace(find_recipe(base), name=name) if base else Recipe(name)
    title = document.pop("title", "")
    if not isinstance(title, str):
        raise InputError(f"{where}: title is {title!r}; it must be a text.")
    return change_recipe(dataclasses.replace(start, title=title), document, where)


def _applied(recipe: Recipe, changes: Mapping[str, Any]) -> tuple[Recipe, list[str]]:
    sections, mistakes = Recipe.sections(), []
    changed: dict[str, Any] = {}
    for section, values in changes.items():
        if section not in sections:
            mistakes.append(f"{section} is not a section{did_you_mean(section, [*sections, *_TOP])}")
        elif not isinstance(values, Mapping):
            mistakes.append(f"{section} must be a section ([{section}]) with settings, not {values!r}")
        else:
            changed[section], found = _section(getattr(recipe, section), section, values)
            mistakes += found
    return dataclasses.replace(recipe, **changed), mistakes


def _section(current: Any, section: str, values: Mapping[str, Any]) -> tuple[Any, list[str]]:
    hints, mistakes = get_type_hints(type(current)), []
    good: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            mistakes.append(f"[{section}] {key} is not a setting{did_you_mean(key, list(hints))}")
            continue
        converted, wanted = _converted(value, hints[key])
        if wanted:
            mistakes.append(f"[{section}] {key} is {value!r}; it must be {wanted}")
        else:
            good[key] = converted
    try:
        return dataclasses.replace(current, **good), mistakes
    except InputError as error:  # a section that checks itself when it is made
        return current, [*mistakes, f"[{section}] {str(error).rstrip('.')}"]


def _converted(value: Any, hint: Any) -> tuple[Any, str]:
    """The value as the type of its setting, and "" or what it should have been."""
    if get_origin(hint) is tuple:
        kind = get_args(hint)[0]
        if not isinstance(value, list | tuple):
            return None, f"a list of {_NAMES[kind]}s"
        parts = [_converted(element, kind) for element in value]
        wrong = any(wanted for _, wanted in parts)
        return (None, f"a list of {_NAMES[kind]}s") if wrong else (tuple(part for part, _ in parts), "")
    kind = hint if isinstance(hint, type) else str  # a Literal is a text whose choices are checked later
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value), ""
    if isinstance(value, float) and not math.isfinite(value):
        return None, "a finite number"
    return (value, "") if type(value) is kind else (None, _ARTICLES[kind])


_NAMES = {str: "text", int: "whole number", float: "number", bool: "truth value"}
_ARTICLES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
