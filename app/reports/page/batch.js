// A batch's gallery: cards that are made as the page is scrolled, clips that are loaded while they are in view.
"use strict";
const cardsAtOnce = 48;
const state = { shown: [], made: 0, plays: false };
const text = (value) => (value === null || value === undefined ? "–" : String(value));
const lower = (value) => text(value).toLowerCase();
const urlOf = (path) => path.split("/").map(encodeURIComponent).join("/");
const isThere = (job) => job.state === "done" || job.state === "skipped";
const timeText = (seconds) =>
  seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;

// Clips ---------------------------------------------------------------------------------------------------------

// A clip far out of view lets go of its file: hundreds of open ones would be too many for a browser.
const inView = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !target.getAttribute("src")) {
      target.src = target.dataset.src;
      if (state.plays) target.play().catch(() => {});
    } else if (!isIntersecting && target.getAttribute("src")) {
      target.pause();
      target.removeAttribute("src");
      target.load();
    }
  }
}, { rootMargin: "300px" });

// Of several pictures or texts of a job, which are numbered, the first.
function fileOf(job) {
  const of = (key) => job.settings[key] ?? data.common[key] ?? 1;
  return of("num_images") * of("num_prompts") > 1 ? job.output.replace(/(\.[^.]*)$/, "-1$1") : job.output;
}

function pictureOf(job) {
  const file = fileOf(job);
  const link = element("a", { href: urlOf(file) }, file);
  const none = (...children) => element("div", { class: "picture none" }, element("span", {}, ...children));
  if (!isThere(job)) return none(job.state === "failed" ? "No clip: it failed" : "No clip yet");
  const frame = element("div", { class: "picture" });
  const ending = file.endsWith("/") ? "/" : file.split(".").pop().toLowerCase();
  if (["/", "gif", "png", "jpg", "jpeg", "webp"].includes(ending)) {
    const image = element("img", { loading: "lazy", alt: text(job.prompt) });
    image.src = urlOf(file) + (ending === "/" ? "frame_0001.png" : "");
    frame.append(image);
  } else if (["mp4", "webm", "mov"].includes(ending)) {
    const video = element("video", { controls: true, loop: true, playsInline: true, preload: "metadata" });
    video.muted = true;
    video.setAttribute("aria-label", `${job.name}: ${text(job.prompt)}`);
    video.dataset.src = urlOf(file);
    video.addEventListener("error", () => {
      if (video.getAttribute("src")) frame.replaceWith(none("This browser can't play ", link));
    });
    inView.observe(video);
    frame.append(video);
  } else if (ending === "txt") {
    return none("A text: ", link);
  } else {
    return none("Browsers don't play ", link);
  }
  return frame;
}

function cardOf(job) {
  const facts = element("div", { class: "facts" });
  facts.append(element("span", { class: `state ${job.state}` }, job.state));
  if (isNumber(job.seconds)) facts.append(element("span", {}, timeText(job.seconds)));
  if (job.attempts > 1) facts.append(element("span", {}, `${job.attempts} attempts`));
  for (const key of data.varying) facts.append(element("span", {}, `${key} ${text(job.settings[key])}`));
  const words = element("div", { class: "words" }, element("h3", {}, `${job.index}  ${job.name}`),
    element("div", { class: "soft" }, text(job.prompt)), facts);
  if (job.error) words.append(element("pre", {}, job.error));
  if (isThere(job)) words.append(element("a", { href: urlOf(fileOf(job)) }, fileOf(job)));
  return element("article", { class: "clip" }, pictureOf(job), words);
}

// Filters -------------------------------------------------------------------------------------------------------

const selects = new Map();  // setting's key -> its select

function fillSelect(select, values) {
  select.append(element("option", { value: "" }, "all"), ...values.map((value) => element("option", { value }, value)));
  select.addEventListener("change", show);
}

function makeFilters() {
  fillSelect(byId("state"), Object.keys(data.counts).filter((name) => data.counts[name] > 0));
  for (const key of data.varying) {
    const values = [...new Set(data.jobs.map((job) => text(job.settings[key])))];
    if (values.length > 40) continue;  // such a list helps nobody; the search field is there
    values.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    const select = element("select", { id: `setting-${key}` });
    selects.set(key, select);
    fillSelect(select, values);
    byId("filters").append(element("label", {}, `${key} `, select));
  }
  byId("search").addEventListener("input", show);
  byId("order").addEventListener("change", show);
}

const orders = {
  index: (a, b) => a.index - b.index,
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }) || a.index - b.index,
  longest: (a, b) => (b.seconds ?? -1) - (a.seconds ?? -1) || a.index - b.index,
};

function show() {
  const words = lower(byId("search").value).split(/\s+/).filter((word) => word && word !== "–");
  state.shown = data.jobs.filter((job) =>
    (!byId("state").value || job.state === byId("state").value) &&
    [...selects].every(([key, select]) => !select.value || text(job.settings[key]) === select.value) &&
    words.every((word) => lower(job.name).includes(word) || lower(job.prompt).includes(word)));
  state.shown.sort(orders[byId("order").value]);
  state.made = 0;
  inView.disconnect();
  byId("clips").replaceChildren();
  byId("count").textContent = `${state.shown.length} of ${data.jobs.length}`;
  makeMore();
}

function makeMore() {
  const next = state.shown.slice(state.made, state.made + cardsAtOnce);
  byId("clips").append(...next.map(cardOf));
  state.made += next.length;
  const nothing = state.shown.length ? "" : "Nothing fits these filters.";
  byId("end").textContent = state.made < state.shown.length ? "more below" : nothing;
}

new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting) && state.made < state.shown.length) makeMore();
}, { rootMargin: "600px" }).observe(byId("end"));

// Page ----------------------------------------------------------------------------------------------------------

byId("play").addEventListener("click", () => {
  state.plays = !state.plays;
  byId("play").setAttribute("aria-pressed", state.plays);
  byId("play").textContent = state.plays ? "Stop" : "Play what is in view";
  for (const video of document.querySelectorAll("video[src]")) {
    if (state.plays) video.play().catch(() => {});  // one that can't be played says so itself
    else video.pause();
  }
});

document.title = `Bitreel: ${data.title}`;
byId("title").textContent = data.title;
byId("subtitle").textContent =
  `${data.jobs.length} jobs: ` + Object.entries(data.counts).map(([name, count]) => `${count} ${name}`).join(", ");
for (const [key, value] of Object.entries(data.common)) {
  byId("common").append(element("dt", {}, key), element("dd", {}, text(value)));
}
makeFilters();
show();
