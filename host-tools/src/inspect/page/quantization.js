/* Quantization: cost of quantizing each tensor alone. */
if (data.quantization) addView("quantization", "Quantization", (root) => {
  const { format, text, tokens, perplexity, costs } = data.quantization;
  const [all, ...single] = costs;
  const most = Math.max(1e-9, ...single.map((cost) => cost.kl));
  const kinds = [], byLayer = new Map();
  let layers = 0;
  for (const cost of single) {
    const [, layer, kind] = cost.tensor.match(/^layers\.(\d+)\.(.+)$/) || [];
    if (kind === undefined) continue;
    if (!kinds.includes(kind)) kinds.push(kind);
    layers = Math.max(layers, Number(layer) + 1);
    byLayer.set(layer + " " + kind, cost);
  }
  const order = ["qkv", "attn_out", "mlp_up", "mlp_down"];
  kinds.sort((a, b) => (order.indexOf(a) + 1 || 9) - (order.indexOf(b) + 1 || 9));
  const rows = el("tbody");
  const change = (cost) => signed(100 * (cost.perplexity / perplexity - 1), 2) + " %";
  const line = (cost) => {
    const track = el("i", { style: { display: "block", height: "11px", borderRadius: "2px", minWidth: "1px", width: 100 * Math.min(1, cost.kl / most) + "%", background: css(level(0.6)) } });
    return el("tr", {}, el("td", { class: "mono" }, cost.tensor), el("td", { style: { width: "32%" } }, cost === all ? "" : track), el("td", { class: "number" }, cost.kl.toPrecision(3)), el("td", { class: "number" }, change(cost)),
      el("td", { class: "number" }, count(cost.saved)), el("td", { class: "number" }, cost === all ? "" : (100 * cost.rel_error).toFixed(2) + " %"));
  };
  themed(() => rows.replaceChildren(...costs.map(line)));
  const box = el("div");
  if (layers) new HeatMap(box, {
    rows: layers, cols: kinds.length, cell: [40, 110], height: layers > 16 ? 21 : 34, name: "Quantization cost by layer and tensor role",
    colour: (l, c) => { const cost = byLayer.get(l + " " + kinds[c]); return cost ? level(Math.sqrt(cost.kl / most)) : null; },
    text: (l, c) => { const cost = byLayer.get(l + " " + kinds[c]); return cost ? short(1000 * cost.kl) : ""; },
    rowLabel: (l) => String(l), colLabel: (c) => kinds[c],
    describe: (l, c) => { const cost = byLayer.get(l + " " + kinds[c]); return cost ? [el("b", {}, cost.tensor), el("div", {}, `KL divergence ${cost.kl.toPrecision(3)} nats, perplexity ${change(cost)}`), el("div", { class: "soft" }, `${count(cost.saved)} bytes saved`)] : [el("span", {}, "–")]; },
  });
  root.append(
    el("p", { class: "note" }, `Each tensor alone is quantized to ${format}, all others stay f32: KL divergence from the unquantized model over ${count(tokens)} tokens of `, el("span", { class: "piece" }, plain(text)), ` (perplexity ${perplexity >= 1000 ? count(Math.round(perplexity)) : perplexity.toFixed(3)}). The tensors at the top benefit most from more bits.`),
    el("div", { class: "split", style: { "--left": "7fr", "--right": "4fr" } },
      el("section", { class: "card" }, el("header", {}, el("h2", {}, "Most expensive first")), el("div", { class: "scroll" }, el("table", { class: "plain" },
        el("thead", {}, el("tr", {}, ["tensor", "", "KL, nats", "perplexity", "bytes saved", "error"].map((text2, i) => el("th", { class: i > 1 ? "number" : null }, text2)))), rows))),
      layers ? el("section", { class: "card" }, el("header", {}, el("h2", {}, "By layer, KL divergence in millinats"), legend(level, "0", most.toPrecision(2))), box) : null));
});
