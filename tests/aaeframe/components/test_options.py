from __future__ import annotations

import importlib
from collections.abc import Iterable  # read at run time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field

from aaeframe.components.options import REQUIRED, options_for, options_of, resolve_component
from aaeframe.components.registry import InstalledComponent
from aaeframe.errors import BrokenComponent, ConfigError, OptionError
from aaeframe.hookspecs import Component

if TYPE_CHECKING:
    from somewhere import Network

Width = Annotated[int, Field(gt=0)]


class Factory:
    """Options of every shape."""

    def __init__(
        self,
        network: Network,
        *,
        scale: Annotated[float, Field(gt=0, le=10, description="standard deviation")] = 1.0,
        classes: int | None = None,
        hidden: Annotated[tuple[Width, ...], Field(min_length=1)] = (3, 4),
        means: list[list[float]] | None = None,
        mode: Literal["a", "b"] = "a",
        json: bool = False,  # a name that pydantic's models have already
        anything=None,
    ):
        self.network = network
        self.scale, self.classes, self.hidden, self.means = scale, classes, hidden, means
        self.mode, self.json, self.anything = mode, json, anything


def raising(*, error: str = "ValueError"):
    errors = {
        "ValueError": ValueError("3 is too much"),
        "TypeError": TypeError("of the wrong type"),
        "ConfigError": ConfigError("does not fit"),
        "KeyError": KeyError("lost"),
        "SystemExit": SystemExit("bye"),
    }
    raise errors[error]


def needing(*, size: int): ...


def unresolvable(*, network: Network | None = None): ...


def uncheckable(*, factory: Factory | None = None): ...


def once(*, hidden: Iterable[int] = (3,)): ...


def once_within(*, hidden: dict[str, tuple[Iterable[int], ...]] | None = None): ...


def fielded(*, size: int = Field(3, gt=0)): ...


def aliased(*, size: Annotated[int, Field(alias="width")] = 3): ...


def same_alias(*, size: Annotated[int, Field(alias="size")] = 3): ...


def unstorable(*, anything: Any = Factory): ...


def positional(first, *, size: int = 2): ...


def starless(arms: int = 3): ...


def two_starless(arms: int = 3, turns: float = 1.0): ...


def reading(*, path: Path):
    return path


def offer(factory="Factory", kind="prior"):
    return InstalledComponent(kind, Component("toy", f"{__name__}:{factory}", "a toy"), "aaeframe-toy", "1.2", "toy")


def test_options_are_the_keyword_only_parameters_in_order():
    options = {option.name: option for option in options_of(Factory)}

    assert list(options) == ["scale", "classes", "hidden", "means", "mode", "json", "anything"]
    assert (options["scale"].type, options["scale"].default) == ("float (> 0, <= 10)", 1.0)
    assert options["scale"].doc == "standard deviation"
    assert options["classes"].type == "int | None"
    assert options["hidden"].type == "tuple[int, ...] (length >= 1)"
    assert options["mode"].type == "Literal['a', 'b']"
    assert options["anything"].type == "Any"


def test_a_required_option_says_so():
    assert options_of(needing)[0].default is REQUIRED


def test_a_partial_shows_its_bound_value_as_default():
    assert options_of(partial(Factory, scale=2.0))[0].default == 2.0


def test_resolved_options_are_complete_and_json_like():
    resolved = resolve_component(offer(), {"hidden": [5], "means": [[1, 2]]}).stored()

    assert resolved == {
        "scale": 1.0,
        "classes": None,
        "hidden": [5],
        "means": [[1.0, 2.0]],
        "mode": "a",
        "json": False,
        "anything": None,
    }
    assert resolve_component(offer(), resolved).stored() == resolved


def test_a_path_is_stored_from_the_root_to_be_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/user")

    assert resolve_component(offer("reading"), {"path": "x.npy"}).stored() == {"path": str(tmp_path / "x.npy")}
    assert resolve_component(offer("reading"), {"path": "~/x.npy"}).stored() == {"path": "/home/user/x.npy"}
    with pytest.raises(OptionError, match="has a path that cannot be resolved"):
        resolve_component(offer("reading"), {"path": "~nobody-has-this-name/x.npy"}).stored()


def test_values_reach_the_factory_as_the_types_it_asks_for():
    built = resolve_component(offer(), {"scale": 3, "hidden": [5, 6], "anything": {"a": [1]}}).build("network")

    assert built.network == "network"
    assert built.scale == 3.0
    assert isinstance(built.scale, float)
    assert built.hidden == (5, 6)
    assert built.anything == {"a": [1]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"scale": "3"},
            "scale=\"3\" does not fit the prior 'toy' of aaeframe-toy 1.2: should be a valid number",
        ),
        ({"scale": True}, "scale=true does not fit"),
        ({"scale": 0}, "should be greater than 0"),
        ({"scale": 11}, "should be less than or equal to 10"),
        ({"scale": float("inf")}, "an option is made of finite numbers, strings, lists and tables"),
        ({"scale": Ellipsis}, "an option is made of finite numbers, strings, lists and tables"),
        ({"scale": None}, "should be a valid number"),
        ({"classes": 2.0}, "should be a valid integer"),
        ({"classes": "2"}, "should be a valid integer"),
        ({"hidden": 5}, "must be a list, as in [a, b], found 5"),
        ({"hidden": [5, 0]}, "[1] should be greater than 0"),
        ({"hidden": []}, "at least 1 item"),
        ({"means": [[1], ["x"]]}, "[1][0] should be a valid number"),
        ({"mode": "c"}, "should be 'a' or 'b'"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_wrong_value_is_named_with_the_component_and_the_option(given, message):
    with pytest.raises(OptionError) as raised:
        resolve_component(offer(), given).stored()
    assert message in str(raised.value)
    assert f"the option is {next(iter(given))}: " in str(raised.value)


def test_an_unknown_option_gets_the_nearest_and_all_of_them():
    with pytest.raises(OptionError) as raised:
        resolve_component(offer(), {"scales": 1}).stored()
    assert "the prior 'toy' of aaeframe-toy 1.2 has no option 'scales'; did you mean 'scale'?" in str(raised.value)
    assert "its options are scale: float (> 0, <= 10) = 1.0, classes: int | None = None, " in str(raised.value)


def test_positional_parameters_are_no_options():
    with pytest.raises(OptionError, match="has no option 'network'"):
        resolve_component(offer(), {"network": 1}).stored()


@pytest.mark.parametrize(
    ("factory", "kind", "told"),
    [
        (
            "starless",
            "prior",
            "its parameter arms is not keyword-only and so not an option: put * before arms "
            "(in a dataclass, _: KW_ONLY)",
        ),
        ("starless", "network", None),
        (
            "positional",
            "prior",
            "its parameter first is not keyword-only and so not an option: put * before first "
            "(in a dataclass, _: KW_ONLY)",
        ),
        (
            "two_starless",
            "prior",
            "its parameters arms, turns are not keyword-only and so not options: put * before arms "
            "(in a dataclass, _: KW_ONLY)",
        ),
        ("needing", "prior", None),
    ],
)
def test_a_forgotten_star_is_told(factory, kind, told):
    with pytest.raises(OptionError, match="has no option 'arms'") as raised:
        resolve_component(offer(factory, kind), {"arms": 5}).stored()
    assert str(raised.value).splitlines()[2:] == ([f"  {told}"] if told else [])


def test_a_missing_required_option_is_named():
    with pytest.raises(OptionError, match=r"the prior 'toy' of aaeframe-toy 1\.2 needs size: int"):
        resolve_component(offer("needing"), {}).stored()
    assert resolve_component(offer("needing"), {"size": 3}).stored() == {"size": 3}


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("ValueError", OptionError, 'refuses its options {"error": "ValueError"}: 3 is too much'),
        ("TypeError", OptionError, "of the wrong type"),
        ("ConfigError", ConfigError, "does not fit"),
        ("KeyError", BrokenComponent, "the prior 'toy' of aaeframe-toy 1.2 fails: KeyError: 'lost'"),
        ("SystemExit", BrokenComponent, "fails: SystemExit: bye"),
    ],
)
def test_what_a_factory_raises(error, kind, message):
    with pytest.raises(kind) as raised:
        resolve_component(offer("raising"), {"error": error}).build()
    assert message in str(raised.value)
    assert type(raised.value) is kind


def test_a_factory_that_takes_other_positional_arguments_is_broken():
    with pytest.raises(BrokenComponent, match=r"cannot be called as prior\(\): missing a required argument: 'first'"):
        resolve_component(offer("positional"), {}).build()


def test_an_annotation_that_exists_for_the_type_checker_only_breaks_an_option():
    with pytest.raises(BrokenComponent, match=r"the options of the prior 'toy' .* cannot be read: name 'Network'"):
        options_for(offer("unresolvable"))


def test_an_annotation_that_cannot_be_checked_breaks_the_option_when_given():
    assert resolve_component(offer("uncheckable"), {}).stored() == {"factory": None}
    with pytest.raises(BrokenComponent, match="has an option that cannot be checked: factory: "):
        resolve_component(offer("uncheckable"), {"factory": 1}).stored()


@pytest.mark.parametrize("value", [[8, 4], ["wrong"]])
def test_an_iterable_which_the_second_component_would_find_empty_breaks_the_option(value):
    with pytest.raises(BrokenComponent, match=r"hidden: .* can be read only once; annotate it as a Sequence"):
        resolve_component(offer("once"), {"hidden": value})


def test_so_does_an_iterable_within_the_option():
    with pytest.raises(BrokenComponent, match=r"hidden: .* can be read only once; annotate it as a Sequence"):
        resolve_component(offer("once_within"), {"hidden": {"encoder": [[8, 4]]}})


def test_a_field_in_place_of_a_default_breaks_the_component():
    with pytest.raises(BrokenComponent, match=r"write size: Annotated\[TYPE, Field\(...\)\] = DEFAULT"):
        resolve_component(offer("fielded"), {"size": 0})


def test_a_second_name_breaks_the_component():
    with pytest.raises(BrokenComponent, match=r"size has the alias 'width', .*: name the parameter 'width'"):
        resolve_component(offer("aliased"), {"size": 4})


def test_its_own_name_is_no_second_name():
    assert resolve_component(offer("same_alias"), {"size": 4}).options == {"size": 4}


def test_a_default_that_is_not_json_like_breaks_the_component():
    with pytest.raises(BrokenComponent, match="has an option whose value is not JSON-like"):
        resolve_component(offer("unstorable"), {}).stored()


def test_an_option_inherited_from_another_module_keeps_its_annotation(tmp_path, monkeypatch):
    """As of a recipe that a plugin derives from one of ours: its own module does not import what the base used."""
    (tmp_path / "derived_recipe.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import KW_ONLY, dataclass\n"
        "from aaeframe.recipes.reduction import Reduction\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Reduction):\n"
        "    _: KW_ONLY\n"
        "    extra: float = 1.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    options = {it.name: it for it in options_of(importlib.import_module("derived_recipe").Mine)}
    assert {"head_distance", "extra"} <= set(options)
