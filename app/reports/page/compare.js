// The comparison's page: synchronised players, one clip over another, curves with a cursor, tables, plans.
"use strict";
const palette = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c8c", "#b8a700", "#6a51a3", "#a6761d"];
const variants = data.variants.map((variant, index) => ({ ...variant, colour: palette[index % palette.length] }));
const baseline = variants.find((variant) => variant.name === data.baseline) ?? variants[0];
const state = { prompt: 0, frame: 0, playing: false, flickers: false };
const frameCount = () => data.frames[state.prompt];
const fps = data.fps;
const clipOf = (variant) => variant.prompts[state.prompt];

// Players -------------------------------------------------------------------------------------------------------

const players = new Map();  // variant -> video; the first is the clock
const stage = {};           // left, right: the two videos of the slider
const charts = [];          // with a cursor each

function player(variant) {
  const video = element("video", { muted: true, loop: true, playsInline: true, preload: "auto" });
  video.muted = true;
  video.setAttribute("aria-label", `${variant.name}, prompt ${state.prompt + 1}`);
  video.src = clipOf(variant).video;
  video.playbackRate = Number(byId("rate").value);
  return video;
}

const videos = () => [...players.values(), stage.left, stage.right].filter(Boolean);
const clock = () => players.values().next().value;
const timeOf = (frame) => (frame + 0.5) / fps;  // its middle: rounding can't show a neighbour
const clamp = (frame) => Math.min(frameCount() - 1, Math.max(0, frame));

function showFrame(frame) {
  state.frame = frame;
  byId("seek").value = frame;
  byId("frame").textContent = `frame ${frame} of ${frameCount() - 1}`;
  for (const chart of charts) chart.cursor(frame);
}

function seek(frame) {
  showFrame(clamp(frame));
  for (const video of videos()) video.currentTime = timeOf(state.frame);
}

function play(plays) {
  state.playing = plays;
  byId("play").setAttribute("aria-pressed", plays);
  byId("play").textContent = plays ? "Pause" : "Play";
  for (const video of videos()) {
    if (!plays) video.pause();
    else video.play().catch(() => {});  // a codec that this browser lacks shows as an empty picture
  }
  if (plays) requestAnimationFrame(follow);
  else seek(state.frame);
}

// While playing: the cursor follows the first player, the others are pulled to it when they drift by half a frame.
function follow() {
  if (!state.playing) return;
  const time = clock().currentTime;
  showFrame(clamp(Math.floor(time * fps + 1e-3)));
  for (const video of videos()) {
    const ahead = Math.abs(video.currentTime - time);
    const length = frameCount() / fps;
    if (Math.min(ahead, length - ahead) > 0.5 / fps && !video.seeking) video.currentTime = time;
  }
  requestAnimationFrame(follow);
}

function caption(variant) {
  const clip = clipOf(variant), parts = [element("strong", {}, variant.name)];
  if (variant !== baseline && isNumber(clip.psnr)) parts.push(` PSNR ${shown(clip.psnr, 1)} dB, SSIM ${shown(clip.ssim, 3)}`);
  if (isNumber(clip.step_seconds)) parts.push(`, ${shown(clip.step_seconds, 3)} s a step`);
  return parts;
}

function fillPlayers() {
  players.clear();
  byId("players").replaceChildren(...variants.filter((variant) => clipOf(variant)).map((variant) => {
    const video = player(variant);
    players.set(variant.name, video);
    return element("figure", {}, video, element("figcaption", {}, ...caption(variant)));
  }));
  byId("words").textContent = data.prompts[state.prompt];
  fillFiles();
  byId("seek").max = frameCount() - 1;
}

// What lies in the folder beside the page: all variants in one video and on one sheet, and where each differs most.
function fillFiles() {
  const together = data.side_by_side?.[state.prompt] ?? {};
  const links = [[together.video, "side by side, a video"], [together.sheet, "sheet of frames"],
    ...variants.map((variant) => [clipOf(variant)?.difference, `${variant.name}: difference`])].filter(([path]) => path);
  byId("files").replaceChildren(...links.map(([path, text]) => element("a", { href: path, target: "_blank" }, text)));
  byId("sheet").replaceChildren(...(together.sheet
    ? [element("summary", {}, "Sheet of frames"), element("a", { href: together.sheet, target: "_blank" },
        element("img", { src: together.sheet, alt: "Frames of every variant, a row each", loading: "lazy" }))]
    : []));
  byId("sheet").hidden = !together.sheet;
}

// One over the other --------------------------------------------------------------------------------------------

const chosen = (side) => variants.find((variant) => variant.name === byId(side).value);

function fillStage() {
  const [left, right] = [chosen("left"), chosen("right")];
  stage.left = player(left);
  stage.right = player(right);
  stage.edge = element("div", { class: "edge" });
  byId("stage").replaceChildren(stage.right, stage.left, stage.edge,
    element("span", { class: "name a" }, left.name), element("span", { class: "name b" }, right.name));
  cut();
  const picture = [right, left].map(clipOf).find((clip) => clip.difference)?.difference;
  byId("pictures").replaceChildren(...(picture
    ? [element("p", { class: "soft" }, `Frame ${clipOf(right).worst_frame ?? clipOf(left).worst_frame}, where they differ most: ${baseline.name}, the other, their difference.`),
       element("img", { src: picture, alt: "Difference at the worst frame", loading: "lazy" })]
    : []));
}

function cut() {
  const percent = state.flickers ? (state.shows ? 100 : 0) : Number(byId("split").value);
  stage.left.style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
  stage.edge.style.left = `calc(${percent}% - 1px)`;
  stage.edge.hidden = state.flickers;
}

let flickering = 0;
function flicker(flickers) {
  state.flickers = flickers;
  state.shows = true;
  byId("flicker").setAttribute("aria-pressed", flickers);
  clearInterval(flickering);
  if (flickers) flickering = setInterval(() => { state.shows = !state.shows; cut(); }, 250);
  cut();
}

// Curves, plans, tables -----------------------------------------------------------------------------------------

const frameCurves = [
  { key: "psnr", title: "PSNR against the baseline, dB", compares: true },
  { key: "ssim", title: "SSIM against the baseline", compares: true },
  { key: "motion", title: "Motion, pixels a frame (optical flow)" },
  { key: "flicker", title: "Flicker, levels (what motion does not explain)" },
];

function fillCurves() {
  charts.length = 0;
  byId("legend").replaceChildren(...variants.map((variant) =>
    element("span", {}, element("i", { style: `background:${variant.colour}` }), variant.name)));
  const lines = (key, compares) => variants
    .filter((variant) => !(compares && variant === baseline) && clipOf(variant)?.per_frame?.[key])
    .map((variant) => ({ name: variant.name, colour: variant.colour, values: clipOf(variant).per_frame[key] }));
  byId("curves").replaceChildren(...frameCurves.flatMap(({ key, title, compares }) => {
    const series = lines(key, compares);
    if (!series.length) return [];
    const chart = lineChart({ title, across: "frame", series });
    charts.push(chart);
    return [chart.svg];
  }));
  const perStep = [["latent_error", "Relative error of the latents", true], ["seconds_per_step", "Seconds a step"]];
  const steps = perStep.flatMap(([key, title, compares]) => {
    const series = variants
      .filter((variant) => !(compares && variant === baseline) && clipOf(variant)?.[key]?.length)
      .map((variant) => ({ name: variant.name, colour: variant.colour, values: clipOf(variant)[key] }));
    return series.length ? [lineChart({ title, across: "step", series, least: 0 }).svg] : [];
  });
  byId("steps").replaceChildren(...steps);
  byId("steps-card").hidden = !steps.length;
}

const bitsOf = (name) => (name === "full" ? "full" : name.includes("4") && !name.includes("8") ? "four" : "eight");
const bitsText = { full: "full precision", eight: "8 bits", four: "4 bits" };

function planMap(title, rows) {
  const layers = rows[0].length, cell = 8, left = 26, top = 18;
  const width = left + cell * rows.length, height = top + cell * layers + 4;
  const svg = drawn("svg", { viewBox: `0 0 ${Math.max(width, 240)} ${height}`, role: "img", "aria-label": title });
  svg.append(drawn("text", { x: left, y: 12 }, title));
  svg.append(drawn("text", { x: left - 4, y: top + cell * layers, "text-anchor": "end" }, "0"));
  svg.append(drawn("text", { x: left - 4, y: top + cell, "text-anchor": "end" }, String(layers - 1)));
  rows.forEach((row, step) => row.forEach((name, layer) => {
    const box = drawn("rect", { x: left + cell * step, y: top + cell * (layers - 1 - layer), width: cell - 0.6, height: cell - 0.6,
      fill: `var(--${bitsOf(name)})` });
    box.append(drawn("title", {}, `step ${step}, layer ${layer}: ${name}`));
    svg.append(box);
  }));
  return svg;
}

function fillPlans() {
  const maps = variants.flatMap((variant) => {
    const clip = clipOf(variant);
    return [["planned", variant.planned], ["executed", clip?.executed]]
      .filter(([, rows]) => rows?.length)
      .map(([what, rows]) => planMap(`${variant.name}, ${what}`, rows));
  });
  byId("plans").replaceChildren(...maps);
  byId("bits").replaceChildren(...Object.entries(bitsText).map(([bits, text]) =>
    element("span", {}, element("i", { style: `background:var(--${bits})` }), text)));
  byId("plans-card").hidden = !maps.length;
}

const ratioTo = (variant, key) => {
  const own = variant.speed?.[key], theirs = baseline.speed?.[key];
  return isNumber(own) && isNumber(theirs) && own > 0 ? theirs / own : undefined;
};

function testText(variant, key) {
  const test = variant.statistics?.[key]?.test;
  if (!test) return "–";
  const sign = test.median_difference > 0 ? "+" : "";
  return `${sign}${shown(test.median_difference, 3)}, p ${test.p < 0.001 ? "< 0.001" : `= ${shown(test.p, 3)}`}, n ${test.n}`;
}

const mean = (variant, key) => variant.statistics?.[key]?.mean;
const meanText = (variant, key, digits) => {
  const found = variant.statistics?.[key];
  return found ? `${shown(found.mean, digits)} ± ${shown(found.deviation, digits)}` : "–";
};
const last = (list) => (list?.length ? list[list.length - 1] : undefined);

// Where the time goes, and what it takes: medians over prompts, memory at its highest.
function fillSpeed() {
  const figures = [["step_seconds", "s/step", 3], ["attention_seconds", "attention s/step", 3], ["quantize_seconds", "of it quantizing", 4],
    ["text_seconds", "text s", 2], ["denoise_seconds", "denoise s", 2], ["decode_seconds", "decode s", 2],
    ["clip_seconds", "clip s", 2], ["frames_per_second", "frames/s", 2], ["clock_ghz", "clock GHz", 2]];
  const has = (key) => variants.some((variant) => isNumber(variant.speed?.[key]));
  const columns = [
    { title: "variant", value: (v) => v.name, kind: "text", text: (v) => (v === baseline ? `${v.name} (baseline)` : v.name) },
    ...figures.filter(([key]) => has(key)).map(([key, title, digits]) =>
      ({ title, value: (v) => v.speed?.[key], text: (v) => shown(v.speed?.[key], digits) })),
    ...["attention_seconds", "clip_seconds"].filter((key) => isNumber(ratioTo(baseline, key))).map((key) =>
      ({ title: `${key === "clip_seconds" ? "clip" : "attention"}, times ${baseline.name}'s speed`,
        value: (v) => ratioTo(v, key), text: (v) => `${shown(ratioTo(v, key), 2)}x` })),
    ...[["host_peak_bytes", "host memory"], ["device_peak_bytes", "GPU memory"]].filter(([key]) => has(key)).map(([key, title]) =>
      ({ title, value: (v) => v.speed?.[key], text: (v) => bytesText(v.speed?.[key]) })),
  ];
  byId("speed-card").hidden = columns.length === 1;
  sortableTable(byId("speed"), columns, variants);
}

function fillTables() {
  const has = (test) => variants.some(test);
  const columns = [
    { title: "variant", value: (v) => v.name, kind: "text", text: (v) => (v === baseline ? `${v.name} (baseline)` : v.name) },
    has((v) => v.shares) && { title: "cells", value: (v) => v.shares ?? "", kind: "text" },
    has((v) => isNumber(v.speed?.step_seconds)) && { title: "s/step", value: (v) => v.speed?.step_seconds, text: (v) => shown(v.speed?.step_seconds, 3) },
    has((v) => isNumber(ratioTo(v, "step_seconds"))) && { title: `step, times ${baseline.name}'s speed`, value: (v) => ratioTo(v, "step_seconds"), text: (v) => `${shown(ratioTo(v, "step_seconds"), 2)}x` },
    has((v) => isNumber(last(v.latent_error))) && { title: "latent error", value: (v) => last(v.latent_error), text: (v) => (v === baseline ? "–" : shown(last(v.latent_error), 4)) },
    { title: "PSNR dB", value: (v) => mean(v, "psnr"), text: (v) => (v === baseline ? "–" : meanText(v, "psnr", 1)) },
    { title: "SSIM", value: (v) => mean(v, "ssim"), text: (v) => (v === baseline ? "–" : meanText(v, "ssim", 3)) },
    { title: "flicker", value: (v) => mean(v, "flicker"), text: (v) => meanText(v, "flicker", 2) },
    has((v) => v.statistics?.flicker?.test) && { title: "flicker against baseline", value: (v) => v.statistics?.flicker?.test?.p, text: (v) => testText(v, "flicker") },
    { title: "motion px", value: (v) => mean(v, "motion"), text: (v) => meanText(v, "motion", 2) },
    has((v) => isNumber(mean(v, "judge"))) && { title: "judge, right", value: (v) => mean(v, "judge"), text: (v) => `${shown(100 * mean(v, "judge"), 0)} %` },
  ].filter(Boolean);
  sortableTable(byId("summary"), columns, variants);
  fillSpeed();
  byId("summary-note").textContent =
    "PSNR and SSIM are of decoded frames before encoding unless files were compared, against the baseline's; mean ± standard deviation over prompts. "
    + "p: Wilcoxon's signed-rank test on prompts, two-sided; above 0.05 a difference may be noise.";
  const rows = variants.flatMap((variant) => variant.prompts.map((clip, index) => ({ variant, clip, index })).filter((row) => row.clip));
  sortableTable(byId("clips"), [
    { title: "variant", value: (row) => row.variant.name },
    { title: "prompt", value: (row) => data.prompts[row.index], kind: "text",
      text: (row) => {
        const link = element("a", { href: "#players-title" }, data.prompts[row.index]);
        link.addEventListener("click", () => choosePrompt(row.index));
        return link;
      } },
    { title: "seed", value: (row) => data.seeds?.[row.index] ?? "" },
    { title: "PSNR dB", value: (row) => row.clip.psnr, text: (row) => (row.variant === baseline ? "–" : shown(row.clip.psnr, 2)) },
    { title: "SSIM", value: (row) => row.clip.ssim, text: (row) => (row.variant === baseline ? "–" : shown(row.clip.ssim, 4)) },
    { title: "worst frame", value: (row) => row.clip.worst_frame ?? "", text: (row) => (row.variant === baseline ? "–" : String(row.clip.worst_frame ?? "–")) },
    { title: "flicker", value: (row) => row.clip.flicker, text: (row) => shown(row.clip.flicker, 2) },
    { title: "motion px", value: (row) => row.clip.motion, text: (row) => shown(row.clip.motion, 2) },
    { title: "s/step", value: (row) => row.clip.step_seconds, text: (row) => shown(row.clip.step_seconds, 3) },
    { title: "judge", value: (row) => row.clip.judge ?? "", text: (row) => (row.clip.judge === undefined ? "–" : row.clip.judge ? "right" : "wrong") },
  ], rows);
}

// All of it -----------------------------------------------------------------------------------------------------

function choosePrompt(index) {
  state.prompt = index;
  byId("prompt").value = index;
  const plays = state.playing;
  if (plays) play(false);
  fillPlayers();
  fillStage();
  fillCurves();
  fillPlans();
  seek(0);
  if (plays) play(true);
}

function listen() {
  byId("play").addEventListener("click", () => play(!state.playing));
  const step = (by) => { play(false); seek(state.frame + by); };
  byId("back").addEventListener("click", () => step(-1));
  byId("forward").addEventListener("click", () => step(1));
  byId("seek").addEventListener("input", (event) => {
    const frame = Number(event.target.value);  // before pausing, which shows the frame that played
    play(false);
    seek(frame);
  });
  byId("rate").addEventListener("change", () => { for (const video of videos()) video.playbackRate = Number(byId("rate").value); });
  byId("prompt").addEventListener("change", (event) => choosePrompt(Number(event.target.value)));
  byId("split").addEventListener("input", () => { flicker(false); });
  byId("flicker").addEventListener("click", () => flicker(!state.flickers));
  for (const side of ["left", "right"]) byId(side).addEventListener("change", () => { fillStage(); seek(state.frame); if (state.playing) play(true); });
  const drag = (event) => {
    const box = byId("stage").getBoundingClientRect();
    byId("split").value = (100 * (event.clientX - box.left)) / box.width;
    flicker(false);
  };
  byId("stage").addEventListener("pointerdown", (event) => { byId("stage").setPointerCapture(event.pointerId); drag(event); });
  byId("stage").addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
  const keys = {
    " ": () => play(!state.playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1),
    Home: () => { play(false); seek(0); }, End: () => { play(false); seek(frameCount() - 1); }, f: () => flicker(!state.flickers),
    "[": () => choosePrompt(Math.max(0, state.prompt - 1)), "]": () => choosePrompt(Math.min(data.prompts.length - 1, state.prompt + 1)),
  };
  document.addEventListener("keydown", (event) => {
    const tag = event.target.tagName;
    if (event.ctrlKey || event.metaKey || event.altKey || tag === "SELECT" || tag === "INPUT" || tag === "SUMMARY") return;
    if (tag === "BUTTON" && event.key === " ") return;  // presses the button
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

document.title = `Bitreel: ${variants.map((variant) => variant.name).join(", ")}`;
byId("title").textContent = `${variants.length} variants, ${data.prompts.length} ${data.prompts.length === 1 ? "clip" : "prompts"} each`;
byId("subtitle").textContent = [data.model, data.device, `${data.width}x${data.height}`, `${fps} frames a second`,
  `baseline: ${baseline.name}`, data.created].filter(Boolean).join(" · ");
byId("prompt").replaceChildren(...data.prompts.map((prompt, index) => element("option", { value: String(index) }, `${index + 1}. ${prompt}`)));
for (const [side, variant] of [["left", baseline], ["right", variants.find((v) => v !== baseline) ?? baseline]]) {
  byId(side).replaceChildren(...variants.map((v) => element("option", { value: v.name }, v.name)));
  byId(side).value = variant.name;
}
byId("config").textContent = JSON.stringify(data.config ?? {}, null, 1);
byId("config-card").hidden = !data.config;
fillTables();
listen();
choosePrompt(0);
document.documentElement.dataset.ready = "true";  // for tests: the page has been built
