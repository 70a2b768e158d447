"""The options of a factory, which are its keyword-only parameters: read, checked, completed and passed to it.

The annotation of a parameter is the schema of its option. Values are JSON-like, as they come from a command line, a
TOML file or a checkpoint. They are checked strictly: "3" is not an int; 3 is a float; a list is a tuple.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import json
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_jsonable_python

from aaeframe.components.registry import InstalledComponent, Kind
from aaeframe.errors import AaeframeError, BrokenComponent, CheckpointError, OptionError
from aaeframe.storage.problems import sentence

REQUIRED = inspect.Parameter.empty
"""The `default` of an option that must be given."""

_GIVEN: Mapping[Kind, tuple[str, ...]] = {
    "encoder": ("network", "blocks"),
    "prior": (),
    "discriminator": ("block", "num_classes"),
    "network": ("data", "code_size"),
    "recipe": ("model", "optimizers", "shared"),
    "data-set": (),
    "preset": (),
    "metric": (),
    "observer": (),
    "benchmark": (),
}
"""The arguments of a factory that the run passes by position."""

_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "min_length": "length >=", "max_length": "length <="}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a factory."""

    name: str
    type: str
    """Its type and range in words, such as "float (> 0)"."""
    default: Any
    doc: str
    annotation: Any = field(repr=False, default=Any)

    def __str__(self) -> str:
        default = "" if self.default is REQUIRED else f" = {self.default!r}"
        return f"{self.name}: {self.type}{default}"


def parse(options: Iterable[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON-like values of all these options, as the types that the factory asks for.

    Raises:
        ValidationError: A value has the wrong type or is out of range.
        TypeError, ValueError: A value is not JSON-like.
        PydanticUserError: The annotation of an option is not one that pydantic can check, and keep to be read again.
    """

    def collected(**values: Any) -> dict[str, Any]:
        return values

    asked = [inspect.Parameter(it.name, inspect.Parameter.KEYWORD_ONLY, annotation=it.annotation) for it in options]
    collected.__annotations__ = {it.name: it.annotation for it in asked}
    collected.__signature__ = inspect.Signature(asked)  # type: ignore[attr-defined]  # pydantic reads it
    schema: TypeAdapter[dict[str, Any]] = TypeAdapter(collected)  # type: ignore[arg-type]  # a function is a schema
    values = schema.validate_json(json.dumps(given, allow_nan=False), strict=True)
    for it in asked:
        if _has_iterator(values.get(it.name)):  # which is not checked yet, and empty for a second component
            raise PydanticUserError("it can be read only once; annotate it as a Sequence", code=None)
    return values


def _has_iterator(value: Any) -> bool:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple | set) else ()
    return isinstance(value, Iterator) or any(map(_has_iterator, parts))


def unbound(factory: Any) -> Any:
    """The class or function behind a `functools.partial`, or behind several; anything else as it is."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    return factory


def options_of(factory: Callable[..., Any]) -> tuple[Option, ...]:
    """The options of a factory, in the order of its signature.

    NameError if an annotation does not exist. TypeError if a default is a Field of pydantic, which nothing reads there,
    or a Field gives an option a second name.
    """
    parameters = inspect.signature(factory).parameters.values()
    named = {it.name: it for it in parameters if it.kind is it.KEYWORD_ONLY}
    for name, it in named.items():
        if isinstance(it.default, FieldInfo):
            raise TypeError(
                f"the default of {name} is a Field of pydantic: write {name}: Annotated[TYPE, Field(...)] = DEFAULT"
            )
    written = {name: it.annotation for name, it in named.items() if it.annotation is not it.empty}
    # Positional parameters are left out: their types may be imported only for the type checker.
    plain: dict[str, Any] = {}
    schema: dict[str, Any] = {}
    for name, annotation in written.items():
        carrier, namespace = SimpleNamespace(__annotations__={name: annotation}), _namespace(factory, name)
        plain |= typing.get_type_hints(carrier, globalns=namespace)
        schema |= typing.get_type_hints(carrier, globalns=namespace, include_extras=True)
    options = tuple(_option(it, plain.get(name, Any), schema.get(name, Any)) for name, it in named.items())
    for option in options:
        for other in (note.alias or note.validation_alias for note in _fields(option.annotation)):
            if other not in (None, option.name):
                raise TypeError(
                    f"{option.name} has the alias {other!r}, where an option has the name of its parameter: name the "
                    f"parameter {other!r}, or leave the alias out"
                )
    return options


def misplaced_options(offer: InstalledComponent) -> tuple[str, ...]:
    """Parameters of the factory that look like options but are not keyword-only."""
    parameters = list(inspect.signature(offer.factory()).parameters.values())[len(_GIVEN[offer.kind]) :]
    return tuple(it.name for it in parameters if it.kind is it.POSITIONAL_OR_KEYWORD)


def put_star(names: Sequence[str]) -> str:
    """Advice for the plugin's author on misplaced options."""
    one, first = len(names) == 1, names[0]
    subject = f"parameter {first} is" if one else f"parameters {', '.join(names)} are"
    what = "an option" if one else "options"
    return f"its {subject} not keyword-only and so not {what}: put * before {first} (in a dataclass, _: KW_ONLY)"


def options_for(offer: InstalledComponent) -> tuple[Option, ...]:
    """The options of an installed component. BrokenComponent if its factory cannot be imported or inspected."""
    factory = offer.factory()
    try:
        return options_of(factory)
    except (NameError, TypeError, ValueError) as error:
        raise BrokenComponent(f"the options of {offer} cannot be read: {error}") from error


@dataclass(frozen=True)
class ResolvedComponent:
    """A component with its factory and all its options, checked: ready to be built, any number of times."""

    offer: InstalledComponent
    factory: Callable[..., Any]
    options: Mapping[str, Any]
    """Every option, as the type that the factory asks for."""
    given: Mapping[str, Any]
    """The options that were given, JSON-like."""

    def stored(self) -> dict[str, Any]:
        """Every option, JSON-like. Paths are made absolute, so that they are found from any folder.

        Raises OptionError for a path that does not exist. Raises BrokenComponent for a value that is not JSON-like.
        """
        try:
            return {name: storable_value(value) for name, value in self.options.items()}
        except RuntimeError as error:  # raised by pathlib for a home folder that does not exist
            raise OptionError(f"{self.offer} has a path that cannot be resolved: {error}") from error
        except PydanticSerializationError as error:
            raise BrokenComponent(f"{self.offer} has an option whose value is not JSON-like: {error}") from error

    def build(self, *positional: Any) -> Any:
        """Call the factory with the arguments of the run by position and with the options.

        Raises OptionError if the factory refuses the options (ValueError, TypeError), and BrokenComponent for any
        other failure of the factory.
        """
        return self._call(self.factory, positional, self.offer.kind, *_GIVEN[self.offer.kind])

    @property
    def from_state(self) -> Callable[..., Any] | None:
        """The factory's `from_state`, if it has one; a `functools.partial` has that of its function."""
        return getattr(unbound(self.factory), "from_state", None)

    def restore(self, state: Mapping[str, Any], *positional: Any) -> Any:
        """Build with the tensors of a checkpoint by the factory's `from_state` if it has one, else as `build` does."""
        if self.from_state is None:
            return self.build(*positional)
        try:
            return self._call(self.from_state, (state, *positional), "from_state", "state", *_GIVEN[self.offer.kind])
        except BrokenComponent as error:
            match error.__cause__:
                case KeyError(args=(str(name),)) if name not in state:
                    raise CheckpointError(
                        f"the checkpoint lacks {name!r} of {self.offer}; restore it, or train anew"
                    ) from error
            raise

    def with_defaults(self) -> Callable[..., Any]:
        """The factory with the given options as its defaults."""
        return functools.partial(self.factory, **{name: self.options[name] for name in self.given})

    def _call(self, factory: Callable[..., Any], positional: tuple[Any, ...], name: str, *given: str) -> Any:
        try:
            inspect.signature(factory).bind(*positional, **self.options)
        except TypeError as error:
            raise BrokenComponent(f"{self.offer} cannot be called as {name}({', '.join(given)}): {error}") from error
        from aaeframe.global_state import restoring  # which imports torch, as what is built here does

        try:
            with restoring(str(self.offer)):
                return factory(*positional, **self.options)
        except AaeframeError:
            raise
        except (ValueError, TypeError) as error:
            raise OptionError(f"{self.offer} refuses its options {json.dumps(dict(self.given))}: {error}") from error
        except (Exception, SystemExit) as error:
            raise BrokenComponent(f"{self.offer} fails: {type(error).__name__}: {error}") from error


def resolve_component(offer: InstalledComponent, given: Mapping[str, Any]) -> ResolvedComponent:
    """The component with these options, checked, and its defaults.

    Raises OptionError for an option that is unknown, missing, of the wrong type or out of range. Raises
    BrokenComponent if the factory cannot be imported or inspected.
    """
    return ResolvedComponent(offer, offer.factory(), _checked(offer, given), dict(given))


def _checked(offer: InstalledComponent, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of the factory: given values as the types it asks for, defaults as they are."""
    options = {option.name: option for option in options_for(offer)}
    for name, value in given.items():
        if name not in options:
            raise OptionError(_unknown(offer, name, options))
        if not is_json(value):
            raise _misfit(offer, options[name], value, "an option is made of finite numbers, strings, lists and tables")
    checked = [options[name] for name in given]
    try:
        values = parse(checked, given)
    except ValidationError as error:
        found = error.errors(include_url=False)
        name = str(found[0]["loc"][0])
        reason = "; ".join(_located(it) for it in found if it["loc"][0] == name)
        raise _misfit(offer, options[name], given[name], reason) from error
    except PydanticUserError as error:
        names, reason = ", ".join(map(str, checked)), error.message.partition("\n")[0]
        raise BrokenComponent(f"{offer} has an option that cannot be checked: {names}: {reason}") from error
    values = {name: option.default for name, option in options.items()} | values
    missing = [str(options[name]) for name, value in values.items() if value is REQUIRED]
    if missing:
        raise OptionError(f"{offer} needs {', '.join(missing)}")
    return values


def storable_value(value: Any) -> Any:
    """The value of an option, JSON-like; a path is absolute."""
    return to_jsonable_python(value.expanduser().absolute() if isinstance(value, Path) else value)


def _unknown(offer: InstalledComponent, name: str, options: Mapping[str, Option]) -> str:
    nearest = difflib.get_close_matches(name, options, n=1)
    lines = [
        f"{offer} has no option {name!r}" + (f"; did you mean {nearest[0]!r}?" if nearest else ""),
        f"its options are {', '.join(map(str, options.values())) or 'none'}",
    ]
    if misplaced := misplaced_options(offer):
        lines.append(put_star(misplaced))
    return "\n  ".join(lines)


def _namespace(factory: Callable[..., Any], option: str) -> dict[str, Any]:
    """The globals of the module in which the annotation of an option was written."""
    factory = unbound(factory)
    for owner in factory.__mro__ if dataclasses.is_dataclass(factory) and inspect.isclass(factory) else ():
        if option in vars(owner).get("__annotations__", {}):  # a field may come from a base class elsewhere
            return vars(sys.modules[owner.__module__])
    function = inspect.unwrap(factory.__init__ if inspect.isclass(factory) else factory)
    own: dict[str, Any] | None = getattr(function, "__globals__", None)
    return own if own is not None else vars(sys.modules[factory.__module__])


def _option(parameter: inspect.Parameter, plain: Any, annotation: Any) -> Option:
    fields = _fields(annotation)
    doc = " ".join(note.description for note in fields if note.description)
    words = inspect.formatannotation(plain).replace("typing.", "")
    bounds = ", ".join(_bounds(fields))
    return Option(
        name=parameter.name,
        type=f"{words} ({bounds})" if bounds else words,
        default=parameter.default,
        doc=doc,
        annotation=annotation,
    )


def _fields(annotation: Any) -> list[FieldInfo]:
    """The Fields of pydantic in an annotation."""
    notes = typing.get_args(annotation)[1:] if typing.get_origin(annotation) is Annotated else ()
    return [note for note in notes if isinstance(note, FieldInfo)]


def _bounds(fields: list[FieldInfo]) -> Iterator[str]:
    """The ranges of an option in words: "> 0", "<= 1"."""
    for constraint in (constraint for note in fields for constraint in note.metadata):
        for name, sign in _BOUNDS.items():
            if hasattr(constraint, name):
                yield f"{sign} {getattr(constraint, name)}"


def is_json(value: Any) -> bool:
    """Whether a value is made of finite numbers, strings, lists and tables."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _misfit(offer: InstalledComponent, option: Option, value: Any, reason: str) -> OptionError:
    asked = f"{option.name}={json.dumps(value, default=repr)}"
    return OptionError(f"{asked} does not fit {offer}: {reason}\n  the option is {option}")


def _located(problem: Mapping[str, Any]) -> str:
    """A finding of pydantic, after its place inside a list."""
    place = "".join(f"[{part}]" for part in problem["loc"][1:] if isinstance(part, int))
    return f"{place} {sentence(problem)}".strip()
