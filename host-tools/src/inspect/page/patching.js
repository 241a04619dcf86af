/* Activation patching between two prompts. */
if (data.patching) addView("patching", "Patching", (root) => {
  const { other, target, log_p, other_log_p, window, layers } = data.patching;
  const tokens = prompt.length;
  const both = (c) => prompt[c] === other[c] ? show(prompt[c]) : `${show(other[c])}→${show(prompt[c])}`;
  const map = (title, text, values) => {
    const box = el("div");
    new HeatMap(box, {
      rows: layers, cols: tokens, cell: [9, 34], labels: 150, height: layers > 16 ? 15 : 26, name: title + ": layers down, positions across",
      colour: (l, c) => side(values[l * tokens + c]),
      rowLabel: (l) => String(l), colLabel: both, keep: (c) => prompt[c] !== other[c],
      describe: (l, c) => [el("div", {}, el("b", {}, `layer ${l}`), " at ", piece(prompt[c]), other[c] === prompt[c] ? "" : " in the place of ", other[c] === prompt[c] ? "" : piece(other[c])), el("div", {}, `${(100 * values[l * tokens + c]).toFixed(1)} % of the answer comes back`)],
      onPin: (l, c) => look(c),
    });
    return el("section", { class: "card" }, el("header", {}, el("h2", {}, title), legend(side, "−1", "1")), el("p", { class: "note", style: { marginBottom: "10px" } }, text), box);
  };
  const several = window > 1 ? ` of ${window} layers around` : "";
  root.append(
    el("p", { class: "note" }, "The other prompt is run with single rows of this prompt's run in their place. The answer ", piece(target), ` has ${percent(Math.exp(log_p))} behind this prompt and ${percent(Math.exp(other_log_p))} behind the other; 1 means that all of the difference in its log-probability comes back, so that the row carries what the prompts differ in.`),
    el("p", { class: "strip", style: { marginBottom: "16px" }, "aria-label": "Other prompt" }, other.map((token, c) => el("span", { class: "token", style: prompt[c] === token ? null : { background: "var(--mark)" } }, show(token)))),
    el("div", { class: "thirds" },
      map("Residual stream", "Behind a layer: everything known at that position.", data.patching.residual),
      map("Attention", `What the attention${several} adds.`, data.patching.attention),
      map("MLP", `What the MLP${several} adds: facts that it recalls.`, data.patching.mlp)));
});
