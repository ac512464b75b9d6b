"""Uses a comparison's index.html as a person would, in headless Chromium: loads, plays, steps, slides, sorts.

    python3 tests/browser/compare_page.py out/compare/index.html [--screenshots DIR]

Exit code 77 where there is no chromedriver (Debian: chromium-driver); ctest calls that skipped.
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


def check(browser, page):
    browser.call("POST", "/url", {"url": page.absolute().as_uri()})
    browser.until("document.documentElement.dataset.ready === 'true'", "the page builds itself")
    videos = "[...document.querySelectorAll('video')]"
    browser.until(f"{videos}.every(v => v.readyState >= 2)", "every video loads")
    fps = browser.run("return data.fps")

    near = lambda frame: f"{videos}.every(v => Math.abs(v.currentTime - {(frame + 0.5) / fps}) < 0.4 / {fps} && !v.seeking)"
    right, end = "\ue014", "\ue010"
    browser.press(right)
    browser.press(right)
    browser.until(near(2), "two presses of the right arrow show frame 2 everywhere")
    browser.press(end)
    browser.until(near(browser.run("return data.frames[0] - 1")), "End shows the last frame")
    browser.click("#back")
    browser.until(near(browser.run("return data.frames[0] - 2")), "the button steps back")
    marks = browser.run("return [...document.querySelectorAll('#curves .cursor')].map(m => Number(m.getAttribute('x1')))")
    assert marks and min(marks) > 300, f"the curves' cursors stand near the right end: {marks}"

    browser.run("document.getElementById('seek').value = 0; document.getElementById('seek').dispatchEvent(new Event('input'))")
    browser.until(near(0), "the seek bar goes to frame 0")
    browser.press(" ")
    browser.until(f"{videos}.every(v => !v.paused)", "space plays")
    browser.until("state.frame >= 3", "the cursor follows")
    browser.press(" ")
    browser.until(f"{videos}.every(v => v.paused)", "space pauses")

    edge = "document.querySelector('#stage video:nth-of-type(2)').style.clipPath"
    browser.run("document.getElementById('split').value = 20; document.getElementById('split').dispatchEvent(new Event('input'))")
    assert "80%" in browser.run(f"return {edge}"), "the slider cuts the left clip"
    browser.press("f")
    browser.until(f"{edge}.includes('100%')", "flicker hides the left clip")
    browser.until(f"!{edge}.includes('100%')", "and shows it again")
    browser.press("f")

    browser.click("#summary th:last-child button")
    assert browser.run("return document.querySelector('#summary th:last-child').getAttribute('aria-sort')") == "ascending"
    if browser.run("return data.prompts.length") > 1:
        browser.press("]")
        browser.until("document.getElementById('words').textContent === data.prompts[1]", "] shows the next prompt")
    overflow = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"the page is {overflow} pixels wider than its window"
    problems = [entry["message"] for entry in browser.call("POST", "/se/log", {"type": "browser"})
                if entry["level"] in ("SEVERE", "WARNING")]
    assert not problems, f"the console complains: {problems}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
                if arguments.screenshots:
                    arguments.screenshots.mkdir(parents=True, exist_ok=True)
                    picture = base64.b64decode(browser.call("GET", "/screenshot"))
                    (arguments.screenshots / f"compare-{width}.png").write_bytes(picture)
            finally:
                browser.call("DELETE", "")
            print(f"{arguments.page}: fine at {width} pixels")


if __name__ == "__main__":
    main()
