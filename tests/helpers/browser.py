"""A page in the system's Chromium: what a person does with it, and what can be read off it."""

from __future__ import annotations

import base64
import importlib.util
import os
import shutil
import sys
import time
from pathlib import Path

PROGRAMS = ("chromium", "chromedriver")
AXE = Path(sys.prefix, "lib/node_modules/axe-core/axe.min.js")  # where npm's --prefix puts it
# Without these a headless Chromium calls its maker's servers at every start.
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def missing() -> str:
    """What is not installed that these tests need, as a sentence; empty where nothing is."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"{' and '.join(absent)} missing; on Debian: apt-get install chromium chromium-driver"
    if importlib.util.find_spec("selenium") is None:
        return "selenium is missing; install this package with its extra browser"
    return ""


def without_axe() -> str:
    """Why axe-core cannot be run, as a sentence; empty where it can."""
    return "" if AXE.exists() else f"axe-core is missing: npm install --global --prefix {sys.prefix} axe-core"


def chromium(profile: Path):
    """A driver of a Chromium with an empty profile."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*QUIET, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


class Page:
    """The lecture in a browser; every action waits until the page has come to rest."""

    def __init__(self, driver, address: str) -> None:
        self.driver = driver
        self.look(1200)
        driver.get_log("browser")  # forget what earlier pages said
        driver.get(f"{address}/")
        self.rest()

    def rest(self, seconds: float = 30) -> None:
        """Wait until nothing is being computed."""
        end = time.monotonic() + seconds
        while not self.run("return document.body.dataset.done && !document.getElementById('progress').textContent"):
            assert time.monotonic() < end, "the page does not come to rest"
            time.sleep(0.02)

    def run(self, script: str, *arguments):
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list:
        """The elements that a CSS selector finds."""
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str):
        """The one element that a CSS selector finds."""
        (found,) = self.all(selector)
        return found

    def act(self, script: str, *arguments) -> None:
        """Do something by script and wait for what follows."""
        self.run("delete document.body.dataset.done; " + script, *arguments)
        self.rest()

    def click(self, selector: str) -> None:
        """Click, and wait for what is computed then."""
        self.run("delete document.body.dataset.done")
        self.one(selector).click()
        self.rest()

    def transfer(self, kind: str, data: bytes, name: str = "image.png") -> None:
        """Drop or paste a file: ``kind`` is the event's name."""
        script = """
            const bytes = Uint8Array.from(atob(arguments[1]), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], arguments[2]));
            const event = arguments[0] === "paste" ? new ClipboardEvent("paste", {clipboardData: transfer})
              : new DragEvent(arguments[0], {dataTransfer: transfer, bubbles: true, cancelable: true});
            document.getElementById("drop").dispatchEvent(event);
            if (arguments[0] === "paste") document.dispatchEvent(event);
        """
        self.act(script, kind, base64.b64encode(data).decode(), name)

    def bars(self) -> dict[str, float]:
        """Class → per cent, as they stand in the page, from the top."""
        rows = [(bar.find_element("class name", "name").text, bar.find_element("class name", "number").text)
                for bar in self.all("#bars li")]  # fmt: skip
        return {name: float(number.split("→")[-1].rstrip(" %")) for name, number in rows}

    def complaints(self) -> list[str]:
        """What the browser's console says is wrong."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def look(self, width: int, dark: bool = False) -> None:
        """Make the window so wide, and the light so."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def shot(self, name: str, width: int) -> None:
        """Keep an image of the whole page in the folder that SCREENSHOTS names, if it names one."""
        if folder := os.environ.get("SCREENSHOTS"):
            height = self.run("return document.documentElement.scrollHeight")
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            command = {"captureBeyondViewport": True, "clip": clip}
            taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", command)
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, f"{name}.png").write_bytes(base64.b64decode(taken["data"]))
