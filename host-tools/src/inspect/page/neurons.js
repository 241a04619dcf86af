/* Neurons: the tokens of a text that activate them most. */
if (data.neurons) addView("neurons", "Neurons", (root) => {
  const { neurons, text, read, d_hidden } = data.neurons;
  const layers = [...new Set(neurons.map((neuron) => neuron.layer))].sort((a, b) => a - b);
  const picker = el("select", { "aria-label": "Layer", onchange: () => fill() }, el("option", { value: "" }, "all layers"), layers.map((layer) => el("option", { value: layer }, "layer " + layer)));
  const search = el("input", { type: "search", placeholder: "token or 2:17", "aria-label": "Find neurons by token or by number", oninput: () => fill() });
  const cards = el("div", { class: "cards" }), found = el("span", { class: "soft" });
  if (layers.length) picker.value = layers[layers.length - 1];
  const text2 = (tokens) => tokens.map((token) => plain(raw(token))).join("");
  function card(neuron) {
    const largest = Math.abs(neuron.places[0]?.value || 1);
    return el("section", { class: "card" },
      el("header", {}, el("h2", {}, `${neuron.layer}:${neuron.index}`), el("span", { class: "soft", style: { fontSize: "12.5px" } }, `selectivity ${fixed(neuron.selectivity, 1)}`)),
      neuron.places.map(({ value, tokens, at }) => {
        const shade = level(0.2 + 0.65 * Math.abs(value) / largest);
        return el("div", { class: "place" }, el("b", {}, signed(value, 2)), el("span", { class: "mono", title: tokens.map((token) => plain(raw(token))).join("") },
          text2(tokens.slice(0, at)), el("mark", { style: { background: css(shade), color: inkOn(shade) } }, plain(raw(tokens[at]))), text2(tokens.slice(at + 1))));
      }));
  }
  function fill() {
    const wanted = search.value.trim().toLowerCase();
    const fits = (neuron) => (picker.value === "" || neuron.layer === Number(picker.value)) &&
      (!wanted || `${neuron.layer}:${neuron.index}` === wanted || neuron.places.some(({ tokens, at }) => raw(tokens[at]).toLowerCase().includes(wanted)));
    const chosen = neurons.filter(fits);
    found.textContent = `${chosen.length} of ${neurons.length} neurons`;
    cards.replaceChildren(...chosen.slice(0, 120).map(card));
  }
  root.append(
    el("p", { class: "note" }, "Largest activations of MLP neurons over ", count(read), " tokens of ", el("span", { class: "piece" }, plain(text)), `, for the most selective of ${count(d_hidden)} neurons per layer. Selectivity is the largest magnitude divided by the root mean square.`),
    el("div", { class: "row", style: { marginBottom: "14px" } }, el("label", {}, "show", picker), search, found), cards);
  themed(fill);
});
