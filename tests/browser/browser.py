"""Headless Chromium for the scripts beside this file, through chromedriver (Debian: chromium-driver).

A script exits with 77 where there is no chromedriver, and says so. ctest runs pages.py, which runs the others.
"""

import argparse
import base64
import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import typing
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the W3C WebDriver protocol's name for "this is an element"


class Window(typing.NamedTuple):
    name: str
    width: int
    height: int
    scheme: str  # light or dark
    touch: bool


WINDOWS = (Window("desk-light", 1280, 1000, "light", False), Window("desk-dark", 1280, 1000, "dark", False),
           Window("phone-light", 390, 844, "light", True), Window("phone-dark", 390, 844, "dark", True))


class Browser:
    """One session of the W3C WebDriver protocol, over plain HTTP."""

    def __init__(self, port, window):
        self.root = f"http://127.0.0.1:{port}"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.root += "/session/" + answer["sessionId"]
        self.devtools("Emulation.setDeviceMetricsOverride", width=window.width, height=window.height,
                      deviceScaleFactor=1, mobile=window.touch)
        self.devtools("Emulation.setEmulatedMedia",
                      features=[{"name": "prefers-color-scheme", "value": window.scheme}])

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def picture(self, of):
        """PNG of the window, or of the whole page."""
        size = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
        clip = {} if of == "window" else {"captureBeyondViewport": True, "clip": size | {"x": 0, "y": 0, "scale": 1}}
        return base64.b64decode(self.devtools("Page.captureScreenshot", format="png", **clip)["data"])

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def find(self, css):
        return self.call("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self.call("POST", f"/element/{self.find(css)}/click", {})

    def press(self, key):
        self.call("POST", f"/element/{self.find('body')}/value", {"text": key})

    def until(self, script, what, seconds=20):
        end = time.monotonic() + seconds
        while not self.run(f"return {script}"):
            assert time.monotonic() < end, f"{what}: {script} did not become true in {seconds} s"
            time.sleep(0.05)


@contextlib.contextmanager
def driver():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([shutil.which("chromedriver"), f"--port={port}", "--log-level=SEVERE"],
                               stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def check_window(browser):
    """What holds for every page: it fits its window, and the console has nothing to say."""
    overflow = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"the page is {overflow} pixels wider than its window"
    problems = [entry["message"] for entry in browser.call("POST", "/se/log", {"type": "browser"})
                if entry["level"] in ("SEVERE", "WARNING")]
    assert not problems, f"the console complains: {problems}"


def check_colours(browser, window):
    """Words stand out from what is behind them, in the scheme that the person has."""
    brightness = ("(c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number); return 0.2126*r + 0.7152*g + 0.0722*b; })"
                  "(getComputedStyle(document.body).%s)")
    behind, words = (browser.run("return " + brightness % of) for of in ("backgroundColor", "color"))
    dark = window.scheme == "dark"
    assert (behind < 80 and words > 160) if dark else (behind > 200 and words < 90), (
        f"{window.scheme}: words of brightness {words:.0f} on {behind:.0f}")


def is_there():
    """Whether there is a browser to drive; says so when there is none."""
    if shutil.which("chromedriver"):
        return True
    print("skipped: there is no chromedriver (Debian: apt-get install chromium-driver)")
    return False


def drive(page, name, check, screenshots=None):
    """check(browser, page) in every window, and what holds for every page. name: of the screenshots."""
    with driver() as port:
        for window in WINDOWS:
            browser = Browser(port, window)
            try:
                check(browser, page)
                check_colours(browser, window)
                check_window(browser)
                if screenshots:
                    screenshots.mkdir(parents=True, exist_ok=True)
                    browser.run("window.scrollTo(0, 0); for (const e of document.querySelectorAll('*')) e.scrollLeft = 0;")
                    (screenshots / f"{name}-{window.name}-top.png").write_bytes(browser.picture("window"))
                    (screenshots / f"{name}-{window.name}.png").write_bytes(browser.picture("page"))
            finally:
                browser.call("DELETE", "")
            print(f"{page}: fine in {window.name}, {window.width} pixels", flush=True)


def main(description, name, check):
    """A script on a page that is there."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path)
    arguments = parser.parse_args()
    if not is_there():
        sys.exit(77)
    drive(arguments.page, name, check, arguments.screenshots)
