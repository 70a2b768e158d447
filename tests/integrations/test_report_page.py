"""The page of a report in Chromium: it fetches nothing, decodes as torch does, and every control is reachable."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.data import from_arrays
from aaeframe.report.page import SCRIPTS, text
from aaeframe.runs.reporting import write_report
from aaeframe.storage.output import Output

playwright = pytest.importorskip("playwright.sync_api", reason="no extra 'integrations'")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no Chromium", allow_module_level=True)

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> & '<b>'"
SMALL = {"discriminator": "mlp(hidden=[8])", "epochs": 1, "progress": False}
GRAY = 1 / 255
SETTLED = "requestAnimationFrame(() => requestAnimationFrame(() => document.documentElement.dataset.settled = '1'))"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


def written(folder, **runs):
    """The page of runs, by the names that it shows."""
    path = folder / "report.html"
    write_report(runs, Output.named(path, [".html"]), split="test", warn=lambda sentence: None)
    return path


@pytest.fixture(scope="module")
def digits():
    return aaeframe.train(
        prior="swissroll", encoder="universal(hidden=[8])", network="mlp(hidden=[40])", keep=False, **SMALL
    )


@pytest.fixture(scope="module")
def page_of_digits(digits, tmp_path_factory):
    return written(tmp_path_factory.mktemp("page"), digits=digits)


@pytest.fixture(scope="module")
def table():
    """A run on a table with hostile names, a class block and a block of three dimensions."""
    rng, labels = np.random.default_rng(0), np.arange(300) % 2
    rows = rng.normal(size=(300, 5)).astype(np.float32) + 2 * labels[:, None]
    names = {"columns": (HOSTILE, "b", "c", "d", "e"), "class_names": (HOSTILE, "other")}
    data = dataclasses.replace(from_arrays(rows, labels), **names)
    prior, network = "y=categorical(classes=2)+z=gaussian(size=3)", "mlp(hidden=[16])"
    return aaeframe.train(data, prior=prior, recipe="clustering", network=network, keep=False, batch_size=50, **SMALL)


@pytest.fixture(scope="module")
def page_of_table(table, tmp_path_factory):
    return written(tmp_path_factory.mktemp("page"), **{HOSTILE: table})


@pytest.fixture
def opened(browser):
    """Opens a page, which must ask for nothing, and say nothing on its console."""
    contexts, said, asked = [], [], []

    def open_page(path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda it: said.append(it.text))
        page.on("pageerror", lambda it: said.append(str(it)))
        page.on("dialog", lambda it: said.append(it.message))
        page.on("request", lambda it: asked.append(it.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready='0']")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def settle(page):
    """Wait until what was asked for is drawn."""
    page.evaluate(f"delete document.documentElement.dataset.settled; {SETTLED}")
    page.wait_for_selector("html[data-settled]")


def until(page, condition):
    """Wait until a condition holds, without `eval`, which the page does not allow."""
    page.evaluate(
        f"() => new Promise((done) => {{ const look = () => ({condition}) ? done() : setTimeout(look, 20); look(); }})"
    )


def plane(page):
    return page.get_by_role("application")


def pixels(page, selector, index=0):
    """The gray levels of a picture, row by row."""
    read = """(shown) => {
      const copy = Object.assign(document.createElement("canvas"), { width: shown.width, height: shown.height });
      const context = copy.getContext("2d", { willReadFrequently: true });
      context.drawImage(shown, 0, 0);
      return [...context.getImageData(0, 0, copy.width, copy.height).data];
    }"""
    return np.array(page.locator(selector).nth(index).evaluate(read)).reshape(-1, 4)[:, 0]


def decoded_in(page, codes, label=None):
    """The rows to which the page decodes codes, each a mapping from blocks to numbers."""
    script = "([codes, label]) => codes.map((code) => [...aaeframe.explorer.state.decode(code, label)])"
    return np.array(page.evaluate(script, [codes, label]))


def test_every_script_parses_alone_as_strict_code(browser):
    page = browser.new_page()
    for name in SCRIPTS:
        page.evaluate("(code) => { new Function(`'use strict'; ${code}`); }", text(name))
    page.close()


def test_the_page_is_refused_what_it_might_fetch(opened, page_of_digits):
    page = opened(page_of_digits)
    (policy,) = page.locator("meta[http-equiv]").evaluate_all("(all) => all.map((it) => it.content)")

    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_a_page_decodes_as_torch_does(opened, digits, page_of_digits):
    codes = torch.randn(100, 2, generator=torch.Generator().manual_seed(0)) * 2

    found = decoded_in(opened(page_of_digits), [{"swissroll": it} for it in codes.tolist()])

    expected = digits.decode({"swissroll": codes}).flatten(1).numpy() / 16
    assert np.abs(found - expected).max() < GRAY


def test_blocks_are_decoded_together_in_the_units_of_the_data(opened, table, page_of_table):
    generator = torch.Generator().manual_seed(0)
    y = torch.softmax(torch.randn(100, 2, generator=generator), 1)
    z = torch.randn(100, 3, generator=generator)
    codes = [{"y": a, "z": b} for a, b in zip(y.tolist(), z.tolist(), strict=True)]

    found = decoded_in(opened(page_of_table), codes)

    expected = table.decode({"y": y, "z": z})
    assert (np.abs(found - expected.numpy()) / table.model.std.numpy()).max() < GRAY


def place_of(page, row):
    """The place of a row's point in the plane, in pixels."""
    script = (
        "(row) => { const it = aaeframe.explorer.scatter; return it.toScreen(it.points.slice(2 * row, 2 * row + 2)); }"
    )
    return page.evaluate(script, row)


def test_hovering_shows_the_original_and_the_reconstruction_of_that_row(opened, digits, page_of_digits):
    page = opened(page_of_digits)
    plane(page).scroll_into_view_if_needed()
    box = plane(page).bounding_box()
    rows = digits.dataset().test.array().reshape(-1, 64)
    for number in (3, 17):
        place = place_of(page, number)
        page.mouse.move(box["x"] + place[0], box["y"] + place[1])
        settle(page)
        shown = int(page.locator(".explorer").get_attribute("data-row"))
        data = page.evaluate("() => aaeframe.explorer.state.data.positions")

        original = np.round(rows[data[shown]] / 16 * 255)
        np.testing.assert_allclose(pixels(page, ".under canvas"), original, atol=1)
        code = page.evaluate("(row) => aaeframe.explorer.state.codeOfRow(row)", shown)
        z = torch.tensor([code["swissroll"]])
        decoded = digits.decode({"swissroll": z}).flatten().numpy() / 16 * 255
        np.testing.assert_allclose(pixels(page, ".under canvas", 1), decoded, atol=1)
        assert f"row {data[shown] + 1} ·" in page.locator(".under .about-row").inner_text()
        assert np.hypot(*np.subtract(place_of(page, shown), place)) <= 1  # the same row, or one at the same place


def test_moving_decodes_the_code_at_the_cursor(opened, digits, page_of_digits):
    page = opened(page_of_digits)
    plane(page).scroll_into_view_if_needed()
    box = plane(page).bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
    settle(page)

    x, y = page.evaluate("() => aaeframe.explorer.scatter.cursor")
    expected = digits.decode({"swissroll": torch.tensor([[x, y]])}).flatten().numpy() / 16 * 255
    np.testing.assert_allclose(pixels(page, ".now canvas"), expected, atol=1)


def test_clicks_pin_and_a_walk_leads_from_pin_to_pin(opened, page_of_digits):
    page = opened(page_of_digits, reduced_motion="reduce")
    between = page.get_by_role("button", name="between the last two pins")
    assert between.is_disabled()
    for x, y in ((60, 60), (300, 200)):
        plane(page).click(position={"x": x, "y": y})
    settle(page)
    assert page.locator(".pins > li").count() == 2

    between.click()
    position = page.get_by_label("Position on the walk")
    assert page.get_by_role("button", name="Play").is_visible()  # with less motion it does not begin on its own
    position.fill("1")
    settle(page)

    pinned = page.evaluate("() => aaeframe.explorer.pins.pinned.map((it) => Object.values(it.code.swissroll))")
    here = page.evaluate("() => Object.values(aaeframe.explorer.state.code.swissroll)")
    np.testing.assert_allclose(here, pinned[1], atol=1e-5)
    page.get_by_role("button", name=re.compile("Remove pin 1")).click()
    assert page.locator(".pins > li").count() == 1


def test_a_walk_along_the_roll_and_through_a_class_plays(opened, page_of_digits):
    page = opened(page_of_digits)
    page.get_by_role("button", name="along the swissroll").click()
    until(page, "document.querySelector('.player input').value > 0.02")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("group", name="walks through each class").get_by_role("button", name="3", exact=True).click()

    assert page.locator(".walker > p").inner_text() == "Walk through class 3"
    assert page.locator(".film canvas").count() == 9


NAMED = """
(all) => all.map((it) => [
  it.getAttribute("aria-label") || (it.labels && [...it.labels].map((label) => label.innerText).join(" "))
    || it.innerText, it.tagName, it.type || ""])
"""


def test_the_keyboard_reaches_every_control_and_each_has_a_name(opened, page_of_table):
    page = opened(page_of_table)
    wanted = "a[href], button, select, summary, input, [tabindex='0'], svg[tabindex]"
    number = """(all) => all.filter((it) => !it.disabled && it.checkVisibility())
        .map((it, k) => (it.dataset.stop = String(k), it.dataset.stop))"""
    stops = page.locator(wanted).evaluate_all(number)
    assert len(stops) > 20
    reached = set()
    for _ in range(len(stops) + 3):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.dataset.stop ?? null"))

    assert set(stops) <= reached
    unnamed = [it for it in page.locator(wanted).evaluate_all(NAMED) if not (it[0] or "").strip()]
    assert unnamed == []


def test_the_focus_is_visible(opened, page_of_table):
    page = opened(page_of_table)
    for _ in range(12):
        page.keyboard.press("Tab")
        width = page.evaluate("() => getComputedStyle(document.activeElement).outlineWidth")
        assert width == "3px"


def test_keys_move_the_cursor_go_from_row_to_row_and_pin(opened, page_of_digits):
    page = opened(page_of_digits)
    plane(page).focus()
    before = page.evaluate("() => aaeframe.explorer.scatter.cursor")
    page.keyboard.press("Shift+ArrowRight")
    settle(page)
    after = page.evaluate("() => aaeframe.explorer.scatter.cursor")
    assert after[0] > before[0]
    assert after[1] == pytest.approx(before[1])

    page.keyboard.press("n")
    row = int(page.locator(".explorer").get_attribute("data-row"))
    page.keyboard.press("Enter")
    settle(page)
    assert page.locator(".pins > li").count() == 1
    position = page.evaluate("(row) => aaeframe.explorer.state.data.positions[row]", row)
    assert f"row {position + 1} " in page.locator(".pin-title").inner_text()
    until(page, "document.getElementById('live').textContent.startsWith('Pinned row')")


def test_a_slider_and_a_category_change_what_is_decoded(opened, page_of_table):
    page = opened(page_of_table)
    value = page.locator(".now .value").first
    before = value.inner_text()
    page.get_by_label("z, coordinate 3").focus()
    page.keyboard.press("End")
    settle(page)
    after = value.inner_text()
    assert after != before

    chips = page.get_by_role("group", name="cluster, block y").get_by_role("button")
    chips.nth(1).click()
    assert chips.nth(1).get_attribute("aria-pressed") == "true"
    assert page.evaluate("() => Object.values(aaeframe.explorer.state.code.y)") == [0, 1]


def luminance(color):
    shares = [int(it) / 255 for it in re.findall(r"\d+", color)[:3]]
    linear = [it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in shares]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(first, second):
    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable_and_reach_the_plane(opened, page_of_digits, scheme):
    page = opened(page_of_digits, color_scheme=scheme)
    read = """() => { const read = (name) => { const it = document.createElement('p'); document.body.append(it);
        it.style.color = `var(${name})`; const found = getComputedStyle(it).color; it.remove(); return found; };
        return Object.fromEntries(['paper', 'card', 'ink', 'muted', 'accent', 'good', 'bad', 'wait']
            .map((it) => [it, read(`--${it}`)])); }"""
    colors = page.evaluate(read)

    assert (luminance(colors["paper"]) < 0.1) == (scheme == "dark")
    for ground in ("paper", "card"):
        for ink in ("ink", "muted", "accent", "good", "bad", "wait"):
            assert contrast(colors[ink], colors[ground]) >= 4.5, (ink, ground)
    corner = pixels(page, ".plane canvas")[0]
    assert corner == int(re.findall(r"\d+", colors["card"])[0])


def test_a_button_chooses_the_theme(opened, page_of_digits):
    page = opened(page_of_digits, color_scheme="light")
    for name in ("light", "dark"):
        page.get_by_role("button", name=re.compile("Theme")).click()
        assert page.get_by_role("button", name=f"Theme: {name}").is_visible()
    settle(page)

    assert pixels(page, ".plane canvas")[0] < 60


@pytest.mark.parametrize("which", ["page_of_digits", "page_of_table"])
def test_a_phone_needs_no_scrolling_sideways(opened, request, which):
    page = opened(request.getfixturevalue(which), viewport={"width": 360, "height": 740}, has_touch=True)

    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    assert plane(page).bounding_box()["width"] > 300
    assert page.get_by_role("link", name="Explorer", exact=True).bounding_box()["height"] < 30  # on one line


def test_a_finger_decodes_and_two_zoom(opened, page_of_digits):
    page = opened(page_of_digits, viewport={"width": 360, "height": 740}, has_touch=True)
    plane(page).scroll_into_view_if_needed()
    box = plane(page).bounding_box()
    session = page.context.new_cdp_session(page)

    def touch(kind, *places):
        points = [{"x": box["x"] + x, "y": box["y"] + y, "id": k} for k, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (100, 100))
    touch("touchMove", (160, 140))
    touch("touchEnd")
    settle(page)
    x, y = page.evaluate("() => aaeframe.explorer.scatter.toScreen(aaeframe.explorer.scatter.cursor)")
    assert (x, y) == pytest.approx((160, 140), abs=1.5)

    before = page.evaluate("() => aaeframe.explorer.scatter.scale")
    touch("touchStart", (140, 140), (160, 140))
    touch("touchMove", (100, 140), (200, 140))
    touch("touchEnd")
    assert page.evaluate("() => aaeframe.explorer.scatter.scale") == pytest.approx(5 * before, rel=0.05)


def test_wheel_and_drag_zoom_and_pan(opened, page_of_digits):
    page = opened(page_of_digits)
    plane(page).click(position={"x": 200, "y": 200})
    settle(page)
    box = plane(page).bounding_box()
    center, scale = page.evaluate("() => [aaeframe.explorer.scatter.center, aaeframe.explorer.scatter.scale]")
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 340, box["y"] + 210, steps=4)
    page.mouse.up()
    moved = page.evaluate("() => aaeframe.explorer.scatter.center")
    np.testing.assert_allclose((np.array(center) - moved) * scale, [40, -10], atol=1)

    page.mouse.wheel(0, -80)
    until(page, f"aaeframe.explorer.scatter.scale > {1.2 * scale}")


def test_hostile_names_stay_text(opened, page_of_table):
    page = opened(page_of_table)

    assert page.title().startswith(HOSTILE)
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator(".bars .name").first.inner_text() == HOSTILE
    assert page.locator(".legend button").first.inner_text() == HOSTILE
    assert page.locator("img, script[src], b:not(.pin-title b, figcaption b)").count() == 0


def test_colors_follow_the_choice_and_a_class_can_stand_alone(opened, page_of_table):
    page = opened(page_of_table)
    choice = page.get_by_label("Color by")
    options = choice.locator("option").all_inner_texts()
    assert options[:3] == ["class", "cluster by y", "reconstruction error"]
    assert {"z[1]", "z[3]", HOSTILE, "e"} <= set(options)
    choice.select_option(label="z[1]")
    assert page.locator(".legend .ramp").count() == 1

    choice.select_option(label="class")
    page.locator(".legend button").nth(1).click()
    alone = "() => [...aaeframe.explorer.state.colors[0].values].filter((_, k) => aaeframe.explorer.scatter.stands(k))"
    assert set(page.evaluate(alone)) == {1}


def test_other_networks_have_a_grid_which_the_page_says(opened, tmp_path):
    run = aaeframe.train(network="conv(channels=[4], hidden=8)", keep=False, **SMALL)
    page = opened(written(tmp_path, conv=run))

    assert "precomputed grid" in page.locator(".foot").inner_text()
    low, high = page.evaluate("() => [aaeframe.explorer.state.map.low, aaeframe.explorer.state.map.high]")
    middle = (np.array(low) + (np.array(high) - low) * 20 / 47).tolist()  # a place of the grid
    found = decoded_in(page, [{"gaussian": middle}])
    expected = run.decode({"gaussian": torch.tensor([middle])}).flatten().numpy() / 16
    np.testing.assert_allclose(
        found[0], expected, atol=1.01 * GRAY
    )  # on a place of the grid, whose images have 256 levels


def test_several_runs_share_curves_and_one_at_a_time_is_explored(opened, digits, table, tmp_path):
    page = opened(written(tmp_path, first=digits, second=table))

    page.get_by_label("Run", exact=True).select_option("second")
    page.wait_for_selector("html[data-ready='1']")
    assert page.locator(".explorer .bars").count() > 0
    reconstruction = page.locator(".charts .chart").first.get_attribute("aria-label")
    assert "first: training" in reconstruction
    assert "second: training" in reconstruction


def test_a_failed_run_shows_the_curves_that_tell_why_first(opened, table, tmp_path):
    page = opened(written(tmp_path, table=table))  # one epoch is too few to match the prior

    assert page.locator("#verdict .outcome").inner_text().endswith("Failed")
    first = page.locator(".failures li").first
    assert first.locator("svg.chart").count() >= 1
    chart = first.locator("svg.chart").first
    chart.focus()
    page.keyboard.press("ArrowLeft")
    assert "epoch 1" in first.locator(".readout").first.inner_text()


def test_series_are_shown_as_lines(opened, tmp_path):
    series = np.random.default_rng(0).normal(size=(100, 2, 12)).astype(np.float32)
    run = aaeframe.train(series, channels="first", network="mlp(hidden=[8])", batch_size=40, keep=False, **SMALL)
    page = opened(written(tmp_path, series=run))

    assert page.locator(".now polyline").count() == 2
    assert page.locator(".under polyline.original").count() == 2


def test_a_column_may_have_the_name_of_a_class_or_of_an_error(opened, tmp_path):
    rows = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
    data = dataclasses.replace(from_arrays(rows), columns=("class", "reconstruction error", "cluster by y", "d"))
    prior, options = "y=categorical(classes=2)+z=gaussian(size=2)", {"network": "mlp(hidden=[8])", "batch_size": 40}
    run = aaeframe.train(data, prior=prior, recipe="clustering", keep=False, **options, **SMALL)
    page = opened(written(tmp_path, run=run))

    told = page.locator("#categories-body p.hint").all_inner_texts()
    assert sum(int(re.match(r"(\d+) rows, [\d.]+ %$", it)[1]) for it in told) == len(run.dataset().test)
    assert re.fullmatch(
        r"row \d+ · cluster by y \d · reconstruction error [\d.]+",
        page.evaluate("() => aaeframe.explorer.state.describe(0)"),
    )


@pytest.fixture(scope="module")
def many():
    """A run whose decoder takes labels of 100 classes."""
    rows, labels = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32), np.arange(400) % 100
    options = {"network": "mlp(hidden=[8])", "batch_size": 40, "keep": False}
    return aaeframe.train((rows + labels[:, None] / 20, labels), recipe="supervised", **options, **SMALL)


def test_a_decoder_with_many_labels_takes_the_chosen_one(opened, many, tmp_path):
    page = opened(written(tmp_path, many=many))
    z = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))

    found = decoded_in(page, [{"gaussian": it} for it in z.tolist()], label=77)

    expected = many.decode({"gaussian": z}, torch.full((9,), 77))
    assert (np.abs(found - expected.numpy()) / many.model.std.numpy()).max() < GRAY
    page.get_by_label("class", exact=True).select_option("99")
    assert page.evaluate("() => [aaeframe.explorer.state.label, aaeframe.explorer.state.category]") == [99, 99]
    assert page.locator("#categories").is_hidden()
    short = "() => { try { aaeframe.explorer.state.decoder.decode([0, 0]); } catch (error) { return error.message; } }"
    assert page.evaluate(short) == "a layer with other weights than for 2 inputs"


def test_a_grid_of_some_labels_decodes_no_other(opened, many, tmp_path, monkeypatch):
    monkeypatch.setattr("aaeframe.report.dense.MOST_WEIGHTS", 1)
    monkeypatch.setattr("aaeframe.report.decoding.MOST_VALUES", 70 * 6 * 6**2)
    page = opened(written(tmp_path, many=many))
    low = page.evaluate("() => aaeframe.explorer.state.map.low")

    found = decoded_in(page, [{"gaussian": low}], label=69)[0]

    expected = many.decode({"gaussian": torch.tensor([low])}, torch.tensor([69]))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    other = "(low) => [...aaeframe.explorer.state.decode({ gaussian: low }, 70)].every(Number.isNaN)"
    assert page.evaluate(other, low)
    assert page.get_by_label("class", exact=True).locator("option").count() == 70
    assert "It has the first 70 of 100" in page.locator(".foot").inner_text()


def test_of_two_choices_of_a_run_the_last_is_shown(opened, digits, table, tmp_path):
    page = opened(written(tmp_path, first=digits, second=table))
    held = """() => {
      const { decode } = HTMLImageElement.prototype;
      const wait = new Promise((done) => { window.release = done; });
      HTMLImageElement.prototype.decode = async function () { await wait; await decode.call(this); window.opened = 1; };
    }"""
    page.evaluate(held)
    choice = page.get_by_label("Run", exact=True)
    choice.dispatch_event("change")  # the first run, whose images wait
    choice.select_option("second")  # a table has none
    page.wait_for_selector("html[data-ready='1']")
    page.evaluate("() => window.release()")
    until(page, "window.opened")
    settle(page)

    assert page.locator("html").get_attribute("data-ready") == "1"
    assert page.evaluate("() => aaeframe.explorer.state.data.name") == "second"
