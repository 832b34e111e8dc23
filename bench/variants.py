"""Variants of a frozen configuration, by name: `scratch+heads=1`, `matched+beta_end=0.2+optimisation.schedule=step`.

A name says what was changed and to what, so a record, a folder and a table need nothing more.
"""

import tomllib
from collections.abc import Container
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

from bench.errors import BadInput, known

Frozen = TypeVar("Frozen")


def split_name(name: str) -> tuple[str, dict[str, str]]:
    """What a name starts from, and its `field=value` changes; BadInput if one field is changed twice.

    Of `scratch+tau+heads=1` the first part is `scratch+tau`: a change without a value belongs to the name.
    """
    base, *more = name.split("+")
    while more and "=" not in more[0]:
        base += f"+{more.pop(0)}"
    changes = [part.partition("=")[::2] for part in more]
    if len(dict(changes)) < len(changes) or not all(field and value for field, value in changes):
        raise BadInput(f"'{name}' is no variant: write name+field=value, each field once")
    return base, dict(changes)


def variant_name(base: str, changes: dict[str, Any]) -> str:
    """The name of a variant; `changes` may hold tables of changes, as a TOML file writes them."""
    return "+".join([base, *(f"{field}={written(value)}" for field, value in flat(changes).items())])


def flat(changes: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables in tables as one, with dotted names."""
    found: dict[str, Any] = {}
    for name, value in changes.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def written(value: Any) -> str:
    """A value as it stands in a name, from which `read` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f"[{','.join(map(written, value))}]" if isinstance(value, list | tuple) else str(value)
    return text.replace("e+", "e")  # a plus begins the next change


def read(text: str) -> Any:
    """`1`, `0.5`, `true` and `[1,2]` as what they are, `none` as None, and everything else as text."""
    if text == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def changed_values(base: Any, changes: dict[str, str], what: str, fixed: Container[str] = ()) -> dict[str, Any]:
    """The changes as keyword arguments of `dataclasses.replace`; BadInput for an unknown field, or a value of a wrong
    kind. What is `fixed` is no field that can be changed.
    """
    from pydantic import TypeAdapter, ValidationError  # where a variant is asked for: `--help` does not wait for it

    hints, values = get_type_hints(type(base), include_extras=True), dict[str, Any]()
    for path, text in changes.items():
        field, _, inner = path.partition(".")
        known(field, [each.name for each in fields(base) if each.name not in fixed], f"field of {what}")
        now = values.get(field, getattr(base, field))
        if inner and not is_dataclass(now):
            raise BadInput(f"{what}: '{field}' has no fields of its own: write {field}={text}")
        if is_dataclass(now) and not isinstance(now, type):
            values[field] = replace(now, **changed_values(now, {inner: text}, f"{what}'s {field}"))
            continue
        try:
            values[field] = TypeAdapter(hints[field]).validate_python(read(text))
        except ValidationError as error:
            why = error.errors(include_url=False)[0]["msg"]
            raise BadInput(f"{what}: {field}={text} ({why})") from error
    return values


def varied(base: Frozen, changes: dict[str, str], what: str, fixed: Container[str] = ()) -> Frozen:
    """The configuration with these changes, which `what` names in an error."""
    return replace(base, **changed_values(base, changes, what, fixed))  # type: ignore[type-var]
