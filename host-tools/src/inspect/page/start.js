/* Page frame: model, prompt, tabs. */
const { model } = data;
const called = plain(model.file.replace(/\.atto$/, ""));
document.title = `${called} · atto inspect`;
byId("model").textContent = called;
byId("facts").textContent = [model.name === called ? "" : plain(model.name), model.architecture, `${model.layers} layers`, `${model.heads} heads`, `width ${model.d_model}`, model.parameters ? count(model.parameters) + " parameters" : "", `vocabulary ${count(model.vocab)}`]
  .filter(Boolean).join(" · ");
const chips = prompt.map((token, position) => el("button", { class: "token", type: "button", title: `position ${position}, token ${token}`, "aria-pressed": "false", onclick: () => look(position) }, show(token)));
byId("tokens").append(...chips);
focus.listeners.push((position) => chips.forEach((chip, index) => chip.setAttribute("aria-pressed", String(index === position))));
if (data.answer !== null) byId("answer").append(`${prompt.length} tokens; the most likely next token is `, piece(data.answer), ". Select a token to see its position.");
else byId("answer").append(`${prompt.length} tokens. Select a token to see its position.`);

const tabs = [];
for (const [name, view] of views) {
  view.root = el("section", { class: "view", id: "view-" + name, role: "tabpanel", "aria-labelledby": "tab-" + name });
  view.tab = el("button", { type: "button", id: "tab-" + name, role: "tab", "aria-controls": "view-" + name, onclick: () => open(name) }, view.title);
  tabs.push(name);
  byId("tabs").append(view.tab);
  byId("views").append(view.root);
}
byId("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const next = tabs[(tabs.indexOf(document.activeElement.id.slice(4)) + step + tabs.length) % tabs.length];
  open(next);
  views.get(next).tab.focus();
});
/** Shows a view; builds it on first use. */
function open(name) {
  tip.hide();
  for (const [other, view] of views) {
    const chosen = other === name;
    view.root.hidden = !chosen;
    view.tab.setAttribute("aria-selected", String(chosen));
    view.tab.tabIndex = chosen ? 0 : -1;
    if (chosen && !view.built) {
      view.built = true;
      view.build(view.root);
    }
  }
  try { history.replaceState(null, "", "#" + name); } catch { /* some viewers forbid changing the URL */ }
}
look(focus.position);
const asked = location.hash.slice(1);
if (views.size) open(views.has(asked) ? asked : tabs[0]);
document.documentElement.dataset.ready = "yes";
