/* Ablation: effect of each component on the answer. */
if (data.ablation) addView("ablation", "Ablation", (root) => {
  const { layers, heads, head, attention, mlp, layer, method, target, log_p } = data.ablation;
  const COLUMNS = [["attention", attention], ["MLP", mlp], ["layer", layer]];
  const effect = (l, c) => c < heads ? head[l * heads + c] : COLUMNS[c - heads][1][l];
  const most = Math.max(1e-6, ...head.concat(attention, mlp, layer).map(Math.abs));
  const share = (x) => Math.sign(x) * Math.sqrt(Math.abs(x) / most);
  const what = (l, c) => c < heads ? `head ${c} of layer ${l}` : c === heads ? `all heads of layer ${l}` : c === heads + 1 ? `the MLP of layer ${l}` : `layer ${l} as a whole`;
  const gone = method === "zero" ? "zero" : "its mean";
  const mapBox = el("div");
  new HeatMap(mapBox, {
    rows: layers, cols: heads + 3, gaps: [heads, heads + 2], cell: [18, 60], height: layers > 16 ? 22 : 34, name: "Effect of ablating each head, attention, MLP and layer",
    colour: (l, c) => side(share(effect(l, c))),
    text: (l, c) => signed(effect(l, c), Math.abs(effect(l, c)) < 9.995 ? 2 : 1),
    rowLabel: (l) => String(l), colLabel: (c) => c < heads ? String(c) : ["attention", "MLP", "layer"][c - heads],
    describe: (l, c) => [el("div", {}, `Without ${what(l, c)}`), el("b", {}, signed(effect(l, c)) + " nats"), el("div", { class: "soft" }, `the answer's probability becomes ${percent(Math.exp(log_p + effect(l, c)))}, from ${percent(Math.exp(log_p))}`)],
    onPin: (l, c) => { if (c < heads && data.attention) showHead(l, c); },
  });
  const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
  const parts = [];
  for (let l = 0; l < layers; l++) {
    for (let h = 0; h < heads; h++) parts.push([`head ${l}.${h}`, head[l * heads + h], () => { if (data.attention) showHead(l, h); }]);
    parts.push([`MLP ${l}`, mlp[l], null]);
  }
  parts.sort((a, b) => a[1] - b[1]);
  const list = el("div", { class: "bars" }), against = el("div", { class: "bars" });
  function paint() {
    const range = (list) => [Math.min(0, ...list), Math.max(0, ...list)];
    const shown = parts.slice(0, 12).concat(parts.slice(12).filter(([, x]) => x > 0).slice(-3));
    const wide = range(parts.map(([, x]) => x)), tall = range(attention.concat(mlp));
    list.replaceChildren(...shown.map(([name, x, go]) => bar(name, x, signed(x), css(side(x < 0 ? -0.6 : 0.6)), wide, go)));
    against.replaceChildren(...Array.from({ length: layers }, (_, l) => [
      bar(`${l} attention`, attention[l], signed(attention[l]), css(side(attention[l] < 0 ? -0.4 : 0.4)), tall),
      bar(`${l} MLP`, mlp[l], signed(mlp[l]), css(side(mlp[l] < 0 ? -0.8 : 0.8)), tall),
    ]).flat());
  }
  const [a, m] = [mean(attention), mean(mlp)];
  const larger = Math.abs(a) > Math.abs(m) ? "the heads" : "the MLPs";
  root.append(
    el("p", { class: "note" }, "Each component is ablated at all positions (replaced by ", gone, "), and the change of the log-probability of ", piece(target), ` after the prompt is measured; the unmodified model gives ${signed(log_p)} (${percent(Math.exp(log_p))}). Orange: the answer needs the component. Blue: the answer is more likely without it. Effects are not additive: other components can compensate. Select a head to see its attention.`),
    el("div", { class: "split", style: { "--left": "6fr", "--right": "4fr" } },
      el("section", { class: "card" }, el("header", {}, el("h2", {}, "Change of the answer's log-probability, nats"), legend(side, "−" + most.toFixed(1), "+" + most.toFixed(1))), mapBox,
        el("p", { class: "note", style: { marginTop: "10px" } }, "Layers down, heads across; then the attention, the MLP and the whole layer. Colours follow the square root to make small effects visible.")),
      el("div", { class: "stack" },
        el("section", { class: "card" }, el("header", {}, el("h2", {}, "Most needed and most harmful")), list),
        el("section", { class: "card" }, el("header", {}, el("h2", {}, "Heads or MLPs?")),
          el("p", { class: "note", style: { marginBottom: "10px" } }, `Without one layer's attention the answer changes by ${signed(a, 2)} nats on average, without one MLP by ${signed(m, 2)}: for this prompt ${larger} matter more.`), el("div", { class: "scroll", style: { maxHeight: "420px" } }, against)))));
  themed(paint);
});
