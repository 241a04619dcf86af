/* Attention: an overview of all heads, one head in detail, and its weights on the prompt. */
if (data.attention) addView("attention", "Attention", (root) => {
  const { layers, heads, causal, unit, summaries } = data.attention;
  const tokens = prompt.length;
  const bytes = Uint8Array.from(atob(data.attention.weights), (c) => c.charCodeAt(0));
  const stored = new DataView(bytes.buffer);
  const size = causal ? tokens * (tokens + 1) / 2 : tokens * tokens;
  /** Weight of key `k` for query `q` in head `h` of layer `l`. */
  const weight = (l, h, q, k) => {
    if (causal && k > q) return 0;
    const at = (l * heads + h) * size + (causal ? q * (q + 1) / 2 : q * tokens) + k;
    return stored.getUint16(2 * at, true) / unit;
  };
  const MEASURES = [
    ["patterns", "Patterns", "attention map of each head"],
    ["entropy", "Entropy", "entropy of the weights in bits"],
    ["distance", "Distance", "mean attention distance in tokens"],
    ["first", "First token", "weight of the first token (attention sink)"],
    ["previous", "Previous token", "weight of the previous token"],
    ["induction", "Induction", "on repeated random tokens, weight of the token after the earlier occurrence"],
  ].filter(([key]) => key === "patterns" || summaries.some((summary) => summary[key] !== null));
  const head = { layer: 0, head: 0 };
  const best = [...summaries].sort((a, b) => (b.induction ?? b.previous) - (a.induction ?? a.previous))[0];
  head.layer = best.layer;
  head.head = best.head;
  let measure = "patterns", root2 = true;
  const strength = (w) => root2 ? Math.sqrt(w) : w;

  /* All heads. */
  const most = (key) => key === "entropy" ? Math.log2(tokens) : key === "distance" ? Math.max(...summaries.map((s) => s.distance)) || 1 : 1;
  const shots = el("canvas"), thumbs = el("canvas", { class: "over", tabindex: "0", role: "img", "aria-label": "All heads: layers down, heads across" });
  const small = el("div", { class: "map" }, shots, thumbs);
  const scroll = el("div", { class: "scroll" }, small);
  const shot = document.createElement("canvas");
  shot.width = shot.height = tokens;
  const left = 30, above = 20;
  let cell = 40;
  function drawAll() {
    const width = scroll.clientWidth;
    if (!width) return;
    const fit = Math.floor((width - left - 2) / heads);
    cell = clamp(Math.min(fit, Math.max(26, Math.floor(1140 / layers))), 20, 104);
    const dense = devicePixelRatio || 1, w = left + heads * cell + 2, h = above + layers * cell + 2;
    small.style.width = w + "px";
    for (const canvas of [shots, thumbs]) {
      canvas.width = Math.round(w * dense);
      canvas.height = Math.round(h * dense);
      Object.assign(canvas.style, { width: w + "px", height: h + "px" });
      canvas.getContext("2d").setTransform(dense, 0, 0, dense, 0, 0);
    }
    const pen = shots.getContext("2d");
    pen.imageSmoothingEnabled = cell * dense < tokens;
    pen.imageSmoothingQuality = "high";
    pen.font = "11px " + variable("--mono");
    pen.textBaseline = "middle";
    const inner = shot.getContext("2d"), image = inner.createImageData(tokens, tokens);
    for (let l = 0; l < layers; l++) {
      for (let h2 = 0; h2 < heads; h2++) {
        const [x, y] = [left + h2 * cell, above + l * cell];
        if (measure === "patterns") {
          for (let q = 0, i = 0; q < tokens; q++) for (let k = 0; k < tokens; k++, i += 4) {
            const c = level(strength(weight(l, h2, q, k)));
            image.data[i] = c[0];
            image.data[i + 1] = c[1];
            image.data[i + 2] = c[2];
            image.data[i + 3] = 255;
          }
          inner.putImageData(image, 0, 0);
          pen.drawImage(shot, x + 1, y + 1, cell - 3, cell - 3);
          pen.strokeStyle = variable("--line");
          pen.lineWidth = 1;
          pen.strokeRect(x + 0.5, y + 0.5, cell - 2, cell - 2);
        } else {
          const value = summaries[l * heads + h2][measure], shade = level(value / most(measure));
          pen.fillStyle = css(shade);
          pen.fillRect(x, y, cell - 1, cell - 1);
          if (cell >= 34) {
            pen.fillStyle = inkOn(shade);
            pen.textAlign = "center";
            pen.fillText(value.toFixed(most(measure) > 1 ? 1 : 2), x + cell / 2, y + cell / 2);
          }
        }
      }
    }
    pen.fillStyle = variable("--soft");
    pen.textAlign = "right";
    for (let l = 0; l < layers; l++) pen.fillText(l, left - 8, above + (l + 0.5) * cell);
    pen.textAlign = "center";
    for (let h2 = 0; h2 < heads; h2++) pen.fillText(h2, left + (h2 + 0.5) * cell, 9);
    outline();
  }
  /** Outline of the selected head, on a canvas of its own so that the overview is drawn once. */
  function outline() {
    const pen = thumbs.getContext("2d");
    pen.clearRect(0, 0, thumbs.width, thumbs.height);
    pen.strokeStyle = variable("--accent");
    pen.lineWidth = 3;
    pen.strokeRect(left + head.head * cell - 0.5, above + head.layer * cell - 0.5, cell, cell);
  }
  const under = (event) => {
    const [l, h] = [Math.floor((event.offsetY - above) / cell), Math.floor((event.offsetX - left) / cell)];
    return l >= 0 && l < layers && h >= 0 && h < heads ? [l, h] : null;
  };
  const about = (l, h) => {
    const s = summaries[l * heads + h];
    const lines = [el("b", {}, `Layer ${l}, head ${h}`)];
    for (const [key, title] of MEASURES.slice(1)) lines.push(el("div", { class: "soft" }, `${title} ${fixed(s[key], key === "entropy" || key === "distance" ? 1 : 2)}`));
    return lines;
  };
  thumbs.addEventListener("pointermove", (event) => {
    const at = under(event);
    if (at) tip.show(event.clientX, event.clientY, about(...at)); else tip.hide();
  });
  thumbs.addEventListener("pointerleave", tip.hide);
  thumbs.addEventListener("click", (event) => { const at = under(event); if (at) choose(...at); });
  thumbs.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(clamp(head.layer + step[0], 0, layers - 1), clamp(head.head + step[1], 0, heads - 1));
    say(about(head.layer, head.head));
  });

  const picker = el("select", { "aria-label": "Measure of the overview", onchange: () => { measure = picker.value; meaning.textContent = MEASURES.find(([key]) => key === measure)[2]; drawAll(); } },
    MEASURES.map(([key, title]) => el("option", { value: key }, title)));
  const meaning = el("span", { class: "soft", style: { fontSize: "12.5px" } }, MEASURES[0][2]);
  const notable = el("table", { class: "plain" }, el("tbody", {}, MEASURES.slice(1).filter(([key]) => key !== "entropy").map(([key, title]) => {
    const order = [...summaries].sort((a, b) => b[key] - a[key]).slice(0, 4);
    return el("tr", {}, el("td", { class: "soft" }, title), el("td", {}, el("div", { class: "chips" }, order.map((s) =>
      el("button", { class: "chip", type: "button", title: `layer ${s.layer}, head ${s.head}`, onclick: () => choose(s.layer, s.head) }, el("b", {}, `${s.layer}.${s.head}`), el("span", { class: "soft" }, " " + fixed(s[key], key === "distance" ? 1 : 2)))))));
  })));

  /* One head. */
  const title = el("h2"), figures = el("div", { class: "figures" }), reading = el("div", { class: "reading", "aria-label": "Weights of this head on the prompt" });
  const about2 = el("p", { class: "note", style: { marginTop: "10px" } });
  const large = el("div");
  const scale = el("select", { "aria-label": "Scale of colours", onchange: () => { root2 = scale.value === "root"; drawAll(); map.draw(); read(); } },
    el("option", { value: "root" }, "square root"), el("option", { value: "linear" }, "linear"));
  const map = new HeatMap(large, {
    rows: tokens, cols: tokens, square: true, cell: [7, 30], pinRow: true, name: "Attention of one head: queries down, keys across", mark: [focus.position, 0],
    colour: (q, k) => causal && k > q ? null : level(strength(weight(head.layer, head.head, q, k))),
    rowLabel: (q) => show(prompt[q]), colLabel: (k) => show(prompt[k]),
    describe: (q, k) => [el("div", {}, piece(prompt[q]), " attends to ", piece(prompt[k])), el("div", {}, causal && k > q ? "masked: a later token" : percent(weight(head.layer, head.head, q, k)))],
    onHover: (q) => read(q),
    onPin: (q) => look(q),
  });
  function read(query = focus.position) {
    about2.replaceChildren("Attention of ", piece(prompt[query]), ` (position ${query}); select another token in the map or in the prompt.`);
    reading.replaceChildren(...prompt.map((token, k) => {
      const w = weight(head.layer, head.head, query, k), shade = level(strength(w));
      const hidden = causal && k > query;
      return el("span", {
        class: k === query ? "here" : null, title: hidden ? "masked" : percent(w), onclick: () => look(k),
        style: hidden ? { opacity: 0.35 } : { background: css(shade), color: inkOn(shade) },
      }, plain(raw(token)));
    }));
  }
  function choose(layer, number) {
    head.layer = layer;
    head.head = number;
    title.textContent = `Layer ${layer}, head ${number}`;
    const s = summaries[layer * heads + number];
    figures.replaceChildren(...MEASURES.slice(1).map(([key, name, what]) =>
      el("div", { title: what }, el("b", {}, fixed(s[key], key === "entropy" || key === "distance" ? 1 : 2)), name + (key === "entropy" ? ", bits" : ""))));
    outline();
    map.draw();
    read();
  }
  focus.listeners.push((position) => { map.mark([position, map.pinned ? map.pinned[1] : 0]); read(); });
  chooseHead = choose;

  root.append(
    el("p", { class: "note" }, "Each head attends to the prompt with weights that sum to 1. Select a head in the overview; in its map, rows are queries and columns are keys."),
    el("div", { class: "split", style: { "--left": "5fr" } },
      el("div", { class: "stack" },
        el("section", { class: "card" }, el("header", {}, el("h2", {}, "All heads"), el("div", { class: "row" }, meaning, picker)), scroll),
        el("section", { class: "card" }, el("header", {}, el("h2", {}, "Notable heads"), el("span", { class: "soft", style: { fontSize: "12.5px" } }, "layer.head, by the terms of the literature")), notable)),
      el("section", { class: "card stay" },
        el("header", {}, title, el("div", { class: "row" }, legend(level, "0", "1"), el("label", {}, "colours", scale))), figures, large, about2, reading)));
  resized(scroll, drawAll);
  themed(() => { drawAll(); read(); });
  choose(head.layer, head.head);
});
