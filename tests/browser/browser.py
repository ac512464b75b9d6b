"""Headless Chromium for the scripts beside this file, through chromedriver (Debian: chromium-driver).

A script exits with 77 where there is no chromedriver.
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
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the W3C WebDriver protocol's name for "this is an element"


class Browser:
    """One session of the W3C WebDriver protocol, over plain HTTP."""

    def __init__(self, port, width):
        self.root = f"http://127.0.0.1:{port}"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},1000"]
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.root += "/session/" + answer["sessionId"]

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


def main(description, name, check):
    """A script: check(browser, page) at two widths. name: of the screenshots."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path)
    arguments = parser.parse_args()
    if not shutil.which("chromedriver"):
        print("skipped: there is no chromedriver (Debian: apt-get install chromium-driver)")
        sys.exit(77)
    with driver() as port:
        for width in (1280, 500):
            browser = Browser(port, width)
            try:
                check(browser, arguments.page)
                check_window(browser)
                if arguments.screenshots:
                    arguments.screenshots.mkdir(parents=True, exist_ok=True)
                    picture = base64.b64decode(browser.call("GET", "/screenshot"))
                    (arguments.screenshots / f"{name}-{width}.png").write_bytes(picture)
            finally:
                browser.call("DELETE", "")
            print(f"{arguments.page}: fine at {width} pixels")
