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
      describe: (l, c) => [el("div", {}, el("b", {}, `layer ${l}`), " at ", piece(prompt[c]), other[c] === prompt[c] ? "" : " instead of ", other[c] === prompt[c] ? "" : piece(other[c])), el("div", {}, `${(100 * values[l * tokens + c]).toFixed(1)} % of the answer is restored`)],
      onPin: (l, c) => look(c),
    });
    return el("section", { class: "card" }, el("header", {}, el("h2", {}, title), legend(side, "−1", "1")), el("p", { class: "note", style: { marginBottom: "10px" } }, text), box);
  };
  const several = window > 1 ? ` of ${window} layers around` : "";
  root.append(
    el("p", { class: "note" }, "The other prompt is run with single activations of this prompt's run. The answer ", piece(target), ` has probability ${percent(Math.exp(log_p))} after this prompt and ${percent(Math.exp(other_log_p))} after the other; 1 means that the activation restores the whole difference in log-probability, so it carries the difference between the prompts.`),
    el("p", { class: "strip", style: { marginBottom: "16px" }, "aria-label": "Other prompt" }, other.map((token, c) => el("span", { class: "token", style: prompt[c] === token ? null : { background: "var(--mark)" } }, show(token)))),
    el("div", { class: "thirds" },
      map("Residual stream", "After a layer: all information at that position.", data.patching.residual),
      map("Attention", `Contribution of the attention${several}.`, data.patching.attention),
      map("MLP", `Contribution of the MLP${several}, such as recalled facts.`, data.patching.mlp)));
});
