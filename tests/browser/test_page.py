"""The page as a person meets it, in a real browser: `make test-browser`."""

import base64
import itertools
import json
import urllib.request

import numpy as np
import pytest
from helpers.browser import AXE, without_axe
from helpers.images import ODD, file_bytes, photo

DARK = (True, False)
NAMES = ("ant", "bee", "cat", "dog", "elk", "fox")
IMAGE = file_bytes(photo(77, 300, 420), "PNG")


def ask(address, path, data=IMAGE):
    with urllib.request.urlopen(f"{address}/{path}", data, timeout=30) as answer:
        return json.loads(answer.read())


def told(answer):
    """Class → per cent of the server's own answer."""
    return {guess["name"]: round(100 * guess["probability"], 1) for guess in answer["guesses"]}


def same(bars, expected):
    assert list(bars) == list(expected)
    assert all(abs(bars[name] - expected[name]) <= 0.11 for name in bars)


def test_the_page_opens_with_an_image_and_says_what_it_is(page):
    assert page.driver.title == "What AlexNet sees"
    assert "ant, bee, cat, dog, elk and fox" in page.one("#about").text
    assert len(page.all("#example-list button")) == 16
    assert page.one("#example-list button[aria-pressed=true]")
    assert len(page.bars()) == 5
    assert len(page.all("#views li")) == 10
    assert len(page.all("#similar li")) == 6
    assert len(page.all("#kernels canvas")) == 2
    assert len(page.all("button.box")) == 14  # seven layers of two columns
    assert page.complaints() == []


@pytest.mark.parametrize("way", ["drop", "paste", "choose"])
def test_an_image_is_given(page, address, tmp_path, way):
    before = page.bars()
    if way == "choose":
        (tmp_path / "image.png").write_bytes(IMAGE)
        page.run("delete document.body.dataset.done")
        page.one("#file").send_keys(str(tmp_path / "image.png"))
        page.rest()
    else:
        page.transfer(way, IMAGE)
    same(page.bars(), told(ask(address, "predict")))
    assert page.bars() != before
    assert page.all("#example-list button[aria-pressed=true]") == []
    widths = page.run("return [...document.querySelectorAll('#bars .fill')].map((bar) => parseFloat(bar.style.width))")
    assert widths == pytest.approx(list(page.bars().values()), abs=0.11)
    assert page.complaints() == []


def test_what_is_no_image_is_said_and_the_page_goes_on(page, address):
    page.transfer("drop", b"no image")
    assert "no image this program reads" in page.one("#problem").text
    page.transfer("drop", IMAGE)
    assert page.one("#problem").text == ""
    same(page.bars(), told(ask(address, "predict")))
    page.transfer("drop", (ODD / "pil_sample_cmyk.jpg").read_bytes())  # the server reads more than the browser
    assert page.one("#problem").text == ""


def test_switches_show_what_changes(page, address):
    page.transfer("drop", IMAGE)
    whole = ask(address, "look")
    for name in ("normalization", "column1", "column2"):
        page.click(f"#without-{name}")
        less = ask(address, f"look?without={name}")
        for row in page.all("#bars li"):
            was, now = row.find_element("class name", "number").text.split(" → ")
            label = NAMES.index(row.find_element("class name", "name").text)
            assert float(was.rstrip(" %")) == pytest.approx(100 * whole["probabilities"][label], abs=0.11)
            assert float(now.rstrip(" %")) == pytest.approx(100 * less["probabilities"][label], abs=0.11)
        first = less["guesses"][0]["name"]
        assert next(iter(page.bars())) == first
        assert first in page.one("#change").text
        assert [item.text.split("\n")[0] for item in page.all("#views li")] == [one["name"] for one in less["views"]]
        page.click(f"#without-{name}")
    same(page.bars(), told(ask(address, "predict")))
    assert page.one("#change").text == ""
    assert page.complaints() == []


def test_the_last_column_cannot_be_left_out_and_a_silent_one_is_black(page):
    page.click("#without-column1")
    assert page.one("#without-column2").get_attribute("disabled")
    assert not page.one("#without-normalization").get_attribute("disabled")
    bright = """return [...document.querySelectorAll('button.box')].map((box) => {
        const canvas = box.querySelector('canvas');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return data.some((value, place) => place % 4 < 3 && value > 0);
    })"""
    assert page.run(bright) == [False, True] * 7
    page.click("#without-column1")
    assert not page.one("#without-column2").get_attribute("disabled")


def number_of_map(page):
    words = page.one("#map-name").text.split()
    assert words[0] in ("map", "neuron")
    return int(words[1])


def test_a_box_opens_at_the_map_that_is_most_active(page, address):
    page.transfer("drop", IMAGE)
    layers = {one["name"]: one for one in ask(address, "activations")["layers"]}
    for box in page.all("button.box"):
        box.click()
        layer, column = layers[box.get_attribute("data-layer")], int(box.get_attribute("data-column"))
        maps = np.frombuffer(base64.b64decode(layer["values"]), np.uint8).reshape(2, layer["maps"] // 2, -1)[column]
        assert maps[number_of_map(page) - 1].max() == maps.max()
        assert page.one("#kernel-of").is_displayed() == (layer["name"] == "conv1")


def test_layers_are_clicked_through(page):
    titles = []
    for box in page.all("button.box"):
        box.click()
        assert box.get_attribute("aria-pressed") == "true"
        assert len(page.all("button.box[aria-pressed=true]")) == 1
        titles.append(page.one("#detail-title").text)
        assert page.one("#map-name").text.endswith(f"column {int(box.get_attribute('data-column')) + 1}")
        assert len(page.all("#sheets .marker")) == 1
    assert titles[0] == titles[1] == "conv1: 8 maps 23×23"
    assert titles[-1] == "fc7: 20 neurons"
    page.all("button.box")[4].click()
    strongest = number_of_map(page)
    page.one("#next").click()
    assert number_of_map(page) == strongest % 8 + 1
    for _ in range(2):
        page.one("#previous").click()
    assert number_of_map(page) == (strongest - 2) % 8 + 1
    page.all("#kernels canvas")[1].click()  # between the second and the third of a row of four
    assert page.one("#detail-title").text.startswith("conv1")
    assert page.one("#map-name").text in ("map 2 of 4, column 2", "map 3 of 4, column 2")
    assert page.one("#sheets figure:nth-child(2) .marker")
    assert page.complaints() == []


def test_without_a_mouse(page):
    """Everything that can be done is reached with Tab, in the order of the page, and done with Space or Enter."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(key):
        ActionChains(page.driver).send_keys(key).perform()

    reached = []
    for _ in range(80):
        press(Keys.TAB)
        focused = page.driver.switch_to.active_element
        if focused.tag_name == "body":
            break
        reached.append(focused.get_attribute("id") or focused.accessible_name)
        if reached[-1] == "without-column2":
            page.run("delete document.body.dataset.done")
            press(Keys.SPACE)
            page.rest()
            assert focused.is_selected()
        if reached[-1].startswith("conv5, column 1"):
            press(Keys.ENTER)
            assert page.one("#detail-title").text.startswith("conv5")
        if reached[-1].startswith("Column 2 of conv5"):
            for key, number in ((Keys.HOME, 1), (Keys.RIGHT, 2), (Keys.RIGHT, 3), (Keys.LEFT, 2), (Keys.END, 4)):
                press(key)
                assert page.one("#map-name").text == f"map {number} of 4, column 2"
                assert focused.get_attribute("aria-valuenow") == str(number)
            assert focused.get_attribute("aria-valuetext").startswith("map 4 of 4, column 2. ")
    kernels = [name for name in reached if " kernels of " in name]
    assert len(kernels) == 2, reached
    order = [reached.index(name) for name in ("file", "without-normalization", "without-column2", "previous", "next")]
    assert order == sorted(order)
    assert sum(name.startswith(("conv", "fc")) for name in reached) == 14


@pytest.mark.skipif(bool(without_axe()), reason=without_axe())
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (320, False)])
def test_axe_finds_nothing(page, width, dark):
    """Deque's rules for who reads with a screen reader, or with weak eyes, or without a mouse."""
    page.look(width, dark)
    page.click("#without-column1")
    page.run(AXE.read_text(encoding="utf-8"))
    found = page.driver.execute_async_script(
        "axe.run().then((found) => arguments[0]([found.violations, found.passes]))"
    )
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found[0]] == []
    assert len(found[1]) > 30


def test_it_can_be_read_aloud(page):
    assert page.run("return document.documentElement.lang") == "en"
    for control in page.all("button, input, canvas[role=img], [role=slider]"):
        assert control.accessible_name, control.get_attribute("outerHTML")
    levels = page.run("return [...document.querySelectorAll('h1, h2, h3')].map((h) => +h.tagName[1])")
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert page.one("#problem").aria_role == "alert"
    assert page.one("#without-column1").aria_role == "switch"
    assert page.all("img:not([alt])") == []
    for canvas in page.all("#image, #overlay"):  # what is in them is said
        assert "No " not in canvas.accessible_name


CONTRAST = """
    const light = (text) => {
      const [r, g, b] = text.match(/[\\d.]+/g).map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
      for (let e = element; e; e = e.parentElement) {
        const colour = getComputedStyle(e).backgroundColor;
        if (colour !== 'rgba(0, 0, 0, 0)') return colour;
      }
      return 'rgb(255, 255, 255)';
    };
    return [...document.querySelectorAll('h1, h2, p, b, span, figcaption, label, strong, code, legend, output')]
      .filter((e) => e.offsetParent && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
      .map((e) => {
        const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
        return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 80)];
      });
"""


@pytest.mark.parametrize("dark", DARK)
@pytest.mark.parametrize("width", [320, 390, 800, 1200])
def test_it_fits_and_can_be_read(page, width, dark):
    page.look(width, dark)
    page.click("#without-column1")
    page.shot(f"{width}-{'dark' if dark else 'light'}", width)
    assert page.run("return document.documentElement.scrollWidth") <= width
    for ratio, what in page.run(CONTRAST):
        assert ratio >= 4.5, what


def test_nothing_is_loaded_from_elsewhere(page, address):
    loaded = page.run("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert loaded
    assert all(name.startswith((address, "data:", "blob:")) for name in loaded)


def test_a_server_that_is_gone_is_said(page):
    page.driver.execute_cdp_cmd("Network.enable", {})
    gone = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", gone)
    try:
        page.transfer("drop", IMAGE)
        assert page.one("#problem").text == "The server does not answer. Is it still running?"
    finally:
        page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**gone, "offline": False})
    page.transfer("drop", IMAGE)
    assert page.one("#problem").text == ""
