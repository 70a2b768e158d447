from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaeframe.configuration.shorthand import expand, parse_component, parse_product
from aaeframe.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "component", "options"),
    [
        ("universal", "universal", {}),
        ("universal()", "universal", {}),
        ("  universal ( noise_size = 5 ) ", "universal", {"noise_size": 5}),
        ("aaeframe-torus:torus(r=2.5)", "aaeframe-torus:torus", {"r": 2.5}),
        ("mixture(means=[[0.0, 1.0], [2.0, 3.0]])", "mixture", {"means": [[0.0, 1.0], [2.0, 3.0]]}),
        ("p(kind='a  b', on=true)", "p", {"kind": "a  b", "on": True}),
        ('p(kind="), (+")', "p", {"kind": "), (+"}),
        ("p(\n  a=1,\n  b=2)", "p", {"a": 1, "b": 2}),
        ("p(a.b=1)", "p", {"a": {"b": 1}}),
    ],
)
def test_a_component_and_its_options(text, component, options):
    assert parse_component(text) == {"component": component, "options": options}


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("gaussian", ["gaussian"]),
        ("categorical+gaussian", ["categorical", "gaussian"]),
        ("gaussian+gaussian+gaussian", ["gaussian", "gaussian_2", "gaussian_3"]),
        ("gaussian_2=mixture+gaussian+gaussian", ["gaussian_2", "gaussian", "gaussian_3"]),
        ("aaeframe-torus:flat-torus+my.torus", ["flat_torus", "my_torus"]),
        ("y = categorical(classes=30) + style = gaussian(size=5)", ["y", "style"]),
    ],
)
def test_a_product_names_its_blocks_in_order(text, blocks):
    assert list(parse_product(text)) == blocks


@pytest.mark.parametrize("kind", ["a+b", "a)+(b", 'a\\"+b', "[", "'+("])
def test_signs_in_strings_do_not_divide_a_product(kind):
    product = parse_product(f'y=p(kind="{kind}")+q')
    assert list(product) == ["y", "q"]
    assert product["y"]["options"] == {"kind": kind.replace('\\"', '"')}


def test_a_plus_sign_in_a_list_does_not_divide_a_product():
    assert parse_product("p(means=[+1, +2])+q")["p"]["options"] == {"means": [1, 2]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"'' in '' is not of the form name\(option=value"),
        ("mlp(", r"'mlp\(' in 'mlp\(' is not of the form"),
        ("mlp)", "is not of the form"),
        ("mlp(1)", r"the options \(1\) in 'mlp\(1\)' cannot be read"),
        ("mlp(a=b)", "with strings in quotes"),
        ("mlp(a=1)(b=2)", "cannot be read"),
        ("mlp(a=1} # )", "a brace too many"),
        ("mlp(a=1, a=2)", "cannot be read"),
        ("y=mlp", r"'y=mlp' names a block, 'y'; only a product of priors does: leave out 'y='"),
        ("mlp(a=" + "9" * 5000 + ")", "cannot be read"),
        ("mlp(a=" + "[" * 5000 + ")", "cannot be read"),
        ("mlp(a" + ".a" * 5000 + "=1)", "a key has more than 64 parts"),
    ],
)
def test_what_is_no_component(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_component(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a++b", "'' in 'a..b' is not of the form"),
        ("+", "is not of the form"),
        ("y=a+y=b", "names the block 'y' twice"),
        ("Y=a", "'Y' is no name of a block"),
        ("1y=a", "'1y' is no name of a block"),
        ("Gaussian", "gives no block name; name the block: block=Gaussian"),
        ("a" * 10_001, "10001 characters"),
    ],
)
def test_what_is_no_product(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_product(text)


def test_short_forms_are_written_out_wherever_they_stand():
    table = {
        "prior": {"y": "categorical(classes=3)", "z": {"component": "gaussian", "discriminator": "spectral"}},
        "encoder": "universal(noise_size=5)",
        "optimizers": {"generator": "sgd(lr=0.1)"},
        "training": {"epochs": 3},
    }
    assert expand(table) == {
        "prior": {
            "y": {"component": "categorical", "options": {"classes": 3}},
            "z": {"component": "gaussian", "discriminator": {"component": "spectral", "options": {}}},
        },
        "encoder": {"component": "universal", "options": {"noise_size": 5}},
        "optimizers": {"generator": {"name": "sgd", "lr": 0.1}},
        "training": {"epochs": 3},
    }


_PIECES = st.sampled_from([*"abY1_.:-=+,()[]{}\"'\\# \n\t", "y=", "(a=1)", "mlp", '"+"', "=1", "é", "\0"])


@given(st.text() | st.lists(_PIECES, max_size=30).map("".join))
def test_any_text_is_a_product_or_a_config_error(text):
    try:
        product = parse_product(text)
    except ConfigError:
        return
    assert product
    assert all(set(part) == {"component", "options"} for part in product.values())


@given(
    st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.integers() | st.floats(allow_nan=False))
)
def test_options_arrive_as_they_were_written(options):
    written = ", ".join(f"{name}={value!r}" for name, value in options.items())
    assert parse_component(f"p({written})")["options"] == options


@pytest.mark.parametrize("value", ["[" * 70 + "]" * 70, "{a=" * 70 + "1" + "}" * 70])
def test_options_too_deep_to_be_walked_are_refused(value):
    with pytest.raises(ConfigError, match="nested more than 64 tables and lists deep"):
        expand({"encoder": f"mlp(a={value})"})


def test_a_long_text_is_not_printed_whole():
    for parse in (parse_component, parse_product):
        with pytest.raises(ConfigError) as caught:
            parse("mlp(" + "x" * 9000)
        assert len(str(caught.value)) < 1000
