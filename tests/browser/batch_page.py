"""Uses a batch's index.html as a person would, in headless Chromium: loads, filters, searches, scrolls, plays.

    python3 tests/browser/batch_page.py out/batch/index.html [--screenshots DIR]

Exit code 77 where there is no chromedriver (Debian: chromium-driver).
"""

import browser as chromium


def check(browser, page):
    browser.call("POST", "/url", {"url": page.absolute().as_uri()})
    cards = "document.querySelectorAll('.clip').length"
    browser.until(f"{cards} > 0", "the page builds itself")
    jobs = browser.run("return data.jobs.length")
    there = browser.run("return data.jobs.filter(isThere).length")
    if there:
        browser.until("[...document.querySelectorAll('video[src]')].some(v => v.readyState >= 2)", "clips in view load")

    def choose(field, value):
        browser.run(f"const s = document.getElementById('{field}'); s.value = {value!r};"
                    "s.dispatchEvent(new Event(s.type === 'search' ? 'input' : 'change'))")

    for state, count in browser.run("return Object.entries(data.counts)"):
        if not count:
            continue
        choose("state", state)
        browser.until(f"document.getElementById('count').textContent === '{count} of {jobs}'", f"{count} are {state}")
        if state == "failed":
            assert browser.run("return document.querySelectorAll('.clip pre').length") > 0, "failures say why"
            assert browser.run("return document.querySelectorAll('.clip video').length") == 0
    choose("state", "")
    name = browser.run("return data.jobs[data.jobs.length - 1].name")
    choose("search", name.upper())
    browser.until(f"{cards} > 0 && state.shown.every(job => job.name.includes({name!r}))", "the search finds a name")
    choose("search", "no such words")
    browser.until(f"{cards} === 0", "the search finds nothing")
    assert "Nothing" in browser.run("return document.getElementById('end').textContent")
    choose("search", "")
    choose("order", "longest")
    first = browser.run("return state.shown.map(job => job.seconds ?? -1)")
    assert first == sorted(first, reverse=True), "longest first"
    choose("order", "index")
    for _ in range(jobs // 48 + 1):
        browser.run("window.scrollTo(0, document.documentElement.scrollHeight)")
        browser.until("state.made === state.shown.length || document.getElementById('end')"
                      ".getBoundingClientRect().top > window.innerHeight - 700", "more below")
    browser.until(f"{cards} === {jobs}", "scrolling shows all of them")
    open_videos = "document.querySelectorAll('video[src]').length"
    browser.run("window.scrollTo(0, 0)")
    browser.until(f"{open_videos} <= 40", "clips far away are let go")
    if there:
        browser.click("#play")
        playing = "[...document.querySelectorAll('video[src]')].some(v => !v.paused && v.currentTime > 0)"
        browser.until(playing, "they play")
        browser.click("#play")
        browser.until("[...document.querySelectorAll('video[src]')].every(v => v.paused)", "they stop")


if __name__ == "__main__":
    chromium.main(__doc__, "batch", check)
