const at = id => document.getElementById(id);
let question = null;
function show(found) {
  question = found.question;
  at("status").textContent = found.status;
  at("pair").hidden = at("keys").hidden = question === null;
  if (question === null) return;
  at("first").firstElementChild.src = "data:image/jpeg;base64," + found.pictures[0];
  at("second").firstElementChild.src = "data:image/jpeg;base64," + found.pictures[1];
}
async function ask(options) {
  try { show(await (await fetch("question", options)).json()); }
  catch (problem) { question = null; at("status").textContent = "The command has ended; you can close this page."; }
}
function choose(choice) {
  if (question === null) return;
  const body = JSON.stringify({question, choice});
  question = null;
  at("status").textContent = "Painting the next two ...";
  ask({method: "POST", headers: {"Content-Type": "application/json"}, body});
}
for (const id of ["first", "second", "neither", "stop"]) at(id).addEventListener("click", () => choose(id));
const keys = {"1": "first", "2": "second", ArrowLeft: "first", ArrowRight: "second", "0": "neither", q: "stop"};
addEventListener("keydown", event => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (keys[event.key]) choose(keys[event.key]);
});
at("pair").hidden = true;
ask();
