"""Uses a comparison's index.html as a person would, in headless Chromium: loads, plays, steps, slides, sorts.

    python3 tests/browser/compare_page.py out/compare/index.html [--screenshots DIR]

Exit code 77 where there is no chromedriver (Debian: chromium-driver).
"""

import browser as chromium


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
    files = browser.run("return [...document.querySelectorAll('#files a')].map(a => a.getAttribute('href'))")
    assert any(file.endswith(".mp4") for file in files) and any(file.endswith(".jpg") for file in files), files
    for file in files:
        assert (page.parent / file).is_file(), f"the page leads to {file}, which is not there"
    browser.click("#sheet summary")
    browser.until("document.querySelector('#sheet img').naturalWidth > 0", "the sheet opens")
    browser.click("#sheet summary")
    if browser.run("return Boolean(data.config)"):  # clips that bitreel rendered
        titles = browser.run("return [...document.querySelectorAll('#speed th')].map(th => th.textContent)")
        on_gpu = browser.run("return data.variants.some(v => v.speed?.device_peak_bytes > 0)")  # whose kernels quantize unseen
        for title in ("s/step", "attention s/step", "denoise s", "decode s", "frames/s", "clock GHz", "host memory",
                      "GPU memory" if on_gpu else "of it quantizing"):
            assert title in titles, f"no {title} among {titles}"
        maps = browser.run("return [...document.querySelectorAll('#plans svg')].map(map => map.getAttribute('aria-label'))")
        for variant in browser.run("return data.variants.map(v => v.name)"):
            assert {f"{variant}, planned", f"{variant}, executed"} <= set(maps), f"{variant} is not among {maps}"
        browser.click("#config-card summary")
        assert '"scheduler"' in browser.run("return document.getElementById('config').innerText"), "all settings"
        browser.click("#config-card summary")
    if browser.run("return data.prompts.length") > 1:
        browser.press("]")
        browser.until("document.getElementById('words').textContent === data.prompts[1]", "] shows the next prompt")


if __name__ == "__main__":
    chromium.main(__doc__, "compare", check)
