"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

/** An element; children are nodes or text, never markup. */
function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null) continue;
    if (name === "class") node.className = value;
    else if (name === "style") for (const [key, set] of Object.entries(value)) key.startsWith("--") ? node.style.setProperty(key, set) : node.style[key] = set;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/* Tokens. Invisible and bidirectional control characters are spelled out. */
const NAMED = { "\n": "↵", "\r": "␍", "\t": "⇥", " ": "·" };
const HIDDEN = /[\u0000-\u001f \u007f-\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
const visible = (text) => text === "" ? "∅" : text.replace(HIDDEN, (c) => NAMED[c] || (c < " " ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : "‹" + c.charCodeAt(0).toString(16) + "›"));
const raw = (id) => id in data.pieces ? data.pieces[id] : "#" + id;
const show = (id) => visible(raw(id));
/** As in running text, with plain spaces. */
const plain = (text) => visible(text).replaceAll("·", " ");
const piece = (id) => el("span", { class: "piece", title: "token " + id }, show(id));
const prompt = data.prompt;
const at = (position) => `${position} ${show(prompt[position])}`;

/* Numbers. */
const percent = (p) => p >= 0.9995 ? "100 %" : p >= 0.0995 ? (100 * p).toFixed(1) + " %" : p >= 0.001 ? (100 * p).toFixed(2) + " %" : p > 0 ? "<0.1 %" : "0";
const signed = (x, digits = 3) => Math.abs(x) < 0.5 * 10 ** -digits ? "0" : (x > 0 ? "+" : "−") + Math.abs(x).toFixed(digits);
const short = (x) => x !== 0 && Math.abs(x) < 0.01 ? x.toPrecision(2) : String(Number(x.toPrecision(2)));
const fixed = (x, digits = 2) => x === null || x === undefined ? "–" : x.toFixed(digits);
const count = (x) => x.toString().replace(/\B(?=(\d{3})+$)/g, ",");

/* Colours: one hue by lightness, or orange against blue; both remain distinguishable with colour vision deficiency and in greyscale. */
const STOPS = {
  light: ["#ffffff", "#dceaf5", "#a6cce6", "#5b9fce", "#2469a8", "#0d3a6c", "#06193a"],
  dark: ["#171b21", "#1a324c", "#1d527e", "#2f7fb6", "#62b2df", "#aaddf6", "#f4fcff"],
};
const SIDES = {
  light: ["#6b2c04", "#b4540a", "#e8953f", "#f6cf9f", "#f7f6f2", "#b2d3ea", "#5b9fce", "#2469a8", "#0b2f5c"],
  dark: ["#ffe0b8", "#f6a64b", "#bf6a1c", "#623610", "#1c2128", "#1a3b5a", "#2a74ab", "#62b2df", "#d5f0ff"],
};
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
function table(stops) {
  const points = stops.map(rgb);
  return Array.from({ length: 256 }, (_, index) => {
    const x = (index / 255) * (points.length - 1), low = Math.min(Math.floor(x), points.length - 2), share = x - low;
    return points[low].map((c, i) => Math.round(c + (points[low + 1][i] - c) * share));
  });
}
const tables = { light: [table(STOPS.light), table(SIDES.light)], dark: [table(STOPS.dark), table(SIDES.dark)] };
const theme = () => document.documentElement.dataset.theme;
/** Colour of 0 to 1. */
const level = (t) => tables[theme()][0][Math.round(255 * clamp(t, 0, 1))];
/** Colour of -1 to 1. */
const side = (t) => tables[theme()][1][Math.round(127.5 + 127.5 * clamp(t, -1, 1))];
const css = (c) => `rgb(${c[0]} ${c[1]} ${c[2]})`;
const inkOn = (c) => 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2] > 140 ? "#14181d" : "#f5f7f9";
const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function legend(of, low, high) {
  const bar = el("i");
  const paint = () => { bar.style.background = `linear-gradient(90deg, ${Array.from({ length: 13 }, (_, i) => css(of === side ? side(i / 6 - 1) : of(i / 12))).join(", ")})`; };
  themed(paint);
  return el("span", { class: "legend" }, low, bar, high);
}

/* Theme: that of the system until the user selects one. */
const painters = [];
/** Runs now and on every change of the theme. */
function themed(paint) { painters.push(paint); paint(); }
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = name === "dark" ? "☀ Light" : "☾ Dark";
  byId("theme").setAttribute("aria-label", "Use the " + (name === "dark" ? "light" : "dark") + " theme");
  painters.forEach((paint) => paint());
}
const dark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
try { chosen = localStorage.getItem("atto-theme"); } catch { /* a local file may have no storage */ }
setTheme(chosen || (dark.matches ? "dark" : "light"));
dark.addEventListener("change", () => { if (!chosen) setTheme(dark.matches ? "dark" : "light"); });
byId("theme").addEventListener("click", () => {
  chosen = theme() === "dark" ? "light" : "dark";
  try { localStorage.setItem("atto-theme", chosen); } catch { /* no storage */ }
  setTheme(chosen);
});

/** Runs when the width of a box changes; in the next frame, because drawing may resize it again. */
function resized(box, draw) {
  let width = -1;
  new ResizeObserver(() => requestAnimationFrame(() => {
    if (box.clientWidth === width) return;
    width = box.clientWidth;
    draw();
  })).observe(box);
}

/* The tooltip. */
const tip = {
  show(x, y, nodes) {
    const box = byId("tip");
    box.replaceChildren(...nodes);
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const left = x + 16 + width > innerWidth ? x - 14 - width : x + 16;
    const top = y + 18 + height > innerHeight ? y - 12 - height : y + 18;
    box.style.transform = `translate(${clamp(left, 4, Math.max(4, innerWidth - width - 4))}px, ${Math.max(4, top)}px)`;
  },
  hide() { byId("tip").hidden = true; },
};
addEventListener("scroll", tip.hide, { passive: true, capture: true });
const say = (nodes) => { byId("spoken").textContent = nodes.map((node) => node.textContent).join("; "); };

/** A bar for a value in a range around 0, [0, 1] unless given. */
function bar(name, value, text, colour, [low, high] = [0, 1], onclick) {
  const place = (x) => 100 * (x - low) / (high - low || 1);
  const track = el("span", { class: "track" }, el("i", {
    style: { background: colour, left: place(Math.min(0, value)) + "%", width: `max(1px, ${place(Math.max(0, value)) - place(Math.min(0, value))}%)` },
  }));
  return el(onclick ? "button" : "div", { class: "bar", type: onclick ? "button" : null, onclick }, el("span", {}, name), track, el("span", {}, text));
}

/* The selected position of the prompt, shared by all views. */
const focus = { position: prompt.length - 1, listeners: [] };
function look(position) {
  focus.position = clamp(position, 0, prompt.length - 1);
  focus.listeners.forEach((listener) => listener(focus.position));
}

/** Shows a head in the attention view. */
let chooseHead = () => {};
function showHead(layer, head) {
  open("attention");
  chooseHead(layer, head);
}

/* Views by name, in the order of their tabs. */
const views = new Map();
const addView = (name, title, build) => views.set(name, { title, build });
