/* Attention weights of a head computed by a board. */
if (data.board) addView("board", "Board", (root) => {
  const { machine, layer, head, unit, weights, differing, compared } = data.board;
  const bytes = Uint8Array.from(atob(weights), (c) => c.charCodeAt(0)), stored = new DataView(bytes.buffer);
  const weight = (q, k) => k > q ? 0 : stored.getUint16(q * (q + 1) + 2 * k, true) / unit;
  const box = el("div");
  const map = new HeatMap(box, {
    rows: prompt.length, cols: prompt.length, square: true, cell: [7, 26], pinRow: true, name: "Attention weights from a board: queries down, keys across", mark: [focus.position, 0],
    colour: (q, k) => k > q ? null : level(Math.sqrt(weight(q, k))),
    rowLabel: (q) => show(prompt[q]), colLabel: (k) => show(prompt[k]),
    describe: (q, k) => [el("div", {}, piece(prompt[q]), " attends to ", piece(prompt[k])), el("div", {}, k > q ? "masked: a later token" : percent(weight(q, k)))],
    onPin: (q) => look(q),
  });
  focus.listeners.push((position) => map.mark([position, 0]));
  root.append(
    el("p", { class: "note" }, `Layer ${layer}, head ${head}, computed by ${plain(machine)} during the prefill of the prompt. `,
      el("b", {}, differing === 0 ? `All ${count(compared)} weights equal those of this PC.` : `${count(differing)} of ${count(compared)} weights differ from those of this PC.`)),
    el("section", { class: "card" }, el("header", {}, el("h2", {}, `${plain(machine)}: layer ${layer}, head ${head}`), legend(level, "0", "1")), box));
});
