/* Logit lens: the predictions after each layer. */
if (data.lens) addView("lens", "Logit lens", (root) => {
  const { rows, top, ids, p, entropy, answers, rank, answer_p } = data.lens;
  const tokens = prompt.length, last = rows - 1;
  const cellOf = (r, c) => r * tokens + c;
  const name = (r) => r === 0 ? "embedding" : r === last ? "output" : "layer " + (r - 1);
  const widest = Math.log2(data.model.vocab);
  const WAYS = {
    p: ["Probability", (i) => p[i * top], "0 %", "100 %"],
    answer: ["Probability of the answer", (i) => answer_p[i], "0 %", "100 %"],
    rank: ["Rank of the answer", (i) => 1 - Math.log(rank[i]) / Math.log(data.model.vocab), "last", "first"],
    entropy: ["Entropy", (i) => entropy[i] / widest, "0 bits", widest.toFixed(1) + " bits"],
  };
  // Text is drawn on the colours, so the darkest are not used.
  const tint = (t) => level(0.8 * t);
  let way = "p", cursor = [last, focus.position];
  const cells = [], heads = prompt.map((token, c) => el("th", { scope: "col", title: at(c) }, show(token)));
  const body = el("tbody");
  for (let r = 0; r < rows; r++) {
    const line = el("tr", {}, el("th", { scope: "row" }, r === 0 ? "emb" : r === last ? "out" : r - 1));
    for (let c = 0; c < tokens; c++) {
      const i = cellOf(r, c);
      const cell = el("td", { class: ids[i * top] === answers[c] ? "same" : null, "data-at": r + " " + c }, show(ids[i * top]));
      cells.push(cell);
      line.append(cell);
    }
    body.append(line);
  }
  const grid = el("div", { class: "lens", tabindex: "0", role: "group", "aria-label": "Logit lens: layers down, positions across" }, el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, ""), heads)), body));
  const keys = el("span");
  function paint() {
    cells.forEach((cell, i) => {
      const shade = tint(WAYS[way][1](i));
      cell.style.background = css(shade);
      cell.style.color = inkOn(shade);
    });
    keys.replaceChildren(legend(tint, WAYS[way][2], WAYS[way][3]));
  }
  const bars = (r, c) => Array.from({ length: top }, (_, n) => {
    const i = cellOf(r, c) * top + n;
    return bar(show(ids[i]), p[i], percent(p[i]), css(level(ids[i] === answers[c] ? 0.75 : 0.5)));
  });
  const describe = (r, c) => [el("div", { style: { marginBottom: "4px" } }, el("b", {}, name(r)), " after ", piece(prompt[c])), ...bars(r, c),
    el("div", { class: "soft", style: { marginTop: "4px" } }, "the answer ", piece(answers[c]), ` has rank ${count(rank[cellOf(r, c)])}, ${percent(answer_p[cellOf(r, c)])}`)];
  const detail = el("div"), chart = el("canvas", { role: "img" }), chartBox = el("div", { style: { marginTop: "14px" } }, chart);
  function drawChart() {
    const width = chartBox.clientWidth, height = 170, dense = devicePixelRatio || 1, c = cursor[1];
    if (!width) return;
    chart.width = width * dense;
    chart.height = height * dense;
    Object.assign(chart.style, { width: width + "px", height: height + "px", display: "block" });
    chart.setAttribute("aria-label", "Rank and probability of the answer by layer");
    const pen = chart.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.font = "11px " + variable("--sans");
    const [left, right, above, below] = [50, 42, 14, 24];
    const x = (r) => left + (width - left - right) * r / Math.max(1, last);
    const yRank = (n) => above + (height - above - below) * Math.log(n) / Math.log(data.model.vocab);
    const yP = (share) => above + (height - above - below) * (1 - share);
    pen.strokeStyle = variable("--line");
    pen.fillStyle = variable("--soft");
    pen.textBaseline = "middle";
    for (let n = 1; n < data.model.vocab; n *= 10) {
      pen.beginPath(); pen.moveTo(left, yRank(n)); pen.lineTo(width - right, yRank(n)); pen.stroke();
      pen.textAlign = "right";
      pen.fillText("#" + count(n), left - 7, yRank(n));
    }
    pen.textAlign = "left";
    for (const share of [0, 0.5, 1]) pen.fillText(100 * share + " %", width - right + 7, yP(share));
    pen.beginPath();
    pen.moveTo(x(0), yP(0));
    for (let r = 0; r < rows; r++) pen.lineTo(x(r), yP(answer_p[cellOf(r, c)]));
    pen.lineTo(x(last), yP(0));
    pen.fillStyle = css(level(0.35));
    pen.globalAlpha = 0.55;
    pen.fill();
    pen.globalAlpha = 1;
    pen.strokeStyle = css(side(-0.6));
    pen.lineWidth = 2;
    pen.beginPath();
    for (let r = 0; r < rows; r++) pen.lineTo(x(r), yRank(rank[cellOf(r, c)]));
    pen.stroke();
    pen.fillStyle = css(side(-0.6));
    for (let r = 0; r < rows; r++) { pen.beginPath(); pen.arc(x(r), yRank(rank[cellOf(r, c)]), r === cursor[0] ? 5 : 2.5, 0, 7); pen.fill(); }
    pen.fillStyle = variable("--soft");
    pen.textAlign = "center";
    const every = Math.max(1, Math.ceil(rows * 30 / (width - left - right)));
    for (let r = 0; r < rows; r += every) pen.fillText(r === 0 ? "emb" : r - 1, x(r), height - 9);
  }
  let marked = [];
  function select(r, c, scroll) {
    cursor = [r, c];
    marked.forEach((node) => node.classList.remove("here"));
    marked = [cells[cellOf(r, c)], heads[c], body.rows[r].cells[0]];
    marked.forEach((node) => node.classList.add("here"));
    if (scroll) cells[cellOf(r, c)].scrollIntoView({ block: "nearest", inline: "center" });
    const first = Array.from({ length: rows }, (_, r2) => r2).findIndex((r2) => Array.from({ length: rows - r2 }, (_, n) => rank[cellOf(r2 + n, c)]).every((n) => n === 1));
    detail.replaceChildren(el("p", { style: { marginBottom: "8px" } }, el("b", {}, name(r)), " after ", piece(prompt[c]), ` (position ${c})`), el("div", { class: "bars" }, bars(r, c)),
      el("p", { class: "note", style: { marginTop: "10px" } }, "The answer is ", piece(answers[c]), `; its rank here is ${count(rank[cellOf(r, c)])} of ${count(data.model.vocab)}. `, first === last ? "It has rank 1 only after the last layer." : `It has rank 1 from ${name(first)} on.`));
    drawChart();
  }
  const from = (event) => { const cell = event.target.closest("td"); return cell && cell.dataset.at ? cell.dataset.at.split(" ").map(Number) : null; };
  grid.addEventListener("pointermove", (event) => { const found = from(event); if (found) tip.show(event.clientX, event.clientY, describe(...found)); else tip.hide(); });
  grid.addEventListener("pointerleave", tip.hide);
  grid.addEventListener("click", (event) => { const found = from(event); if (found) { cursor = found; look(found[1]); } });
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    cursor = [clamp(cursor[0] + step[0], 0, last), cursor[1]];
    look(clamp(cursor[1] + step[1], 0, tokens - 1));
    say(describe(...cursor));
  });
  focus.listeners.push((position) => select(cursor[0], position, true));
  const picker = el("select", { "aria-label": "Meaning of the colours", onchange: () => { way = picker.value; paint(); } }, Object.entries(WAYS).map(([key, [title]]) => el("option", { value: key }, title)));
  root.append(
    el("p", { class: "note" }, "The final norm and head applied to the residual stream after every layer. The last row is the model's output; cells with the same token are underlined."),
    el("div", { class: "split", style: { "--left": "7fr", "--right": "3fr" } },
      el("section", { class: "card" }, el("header", {}, el("h2", {}, "Most likely next token"), el("div", { class: "row" }, keys, el("label", {}, "colours", picker))), grid),
      el("section", { class: "card stay" }, el("header", {}, el("h2", {}, "One position")), detail, chartBox,
        el("p", { class: "note", style: { marginTop: "4px" } }, "Line: rank of the answer, best at the top. Area: its probability."))));
  resized(chartBox, drawChart);
  themed(() => { paint(); select(...cursor); });
  select(last, focus.position, true);
});
