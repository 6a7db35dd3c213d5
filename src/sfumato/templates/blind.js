"use strict";
const at = id => document.getElementById(id);
const page = JSON.parse(at("page").textContent);
const place = "sfumato-votes-" + page.page;
// `state.votes[i]` is the choice and the seconds of trial i; the trial shown is the first without a vote.
const state = {voter: "", votes: []};
let since = 0;
try {
  Object.assign(state, JSON.parse(localStorage.getItem(place)));
} catch { /* a browser without storage: the votes last until the page is closed */ }

function keep() {
  try { localStorage.setItem(place, JSON.stringify(state)); } catch { /* as above */ }
}

function show() {
  const done = state.votes.length, all = page.trials.length, open = done < all;
  at("progress").textContent = open ? `${done + 1} of ${all}`
    : `All ${all} are done, thank you. Export the votes and send the file to the person who asked you.`;
  at("trial").hidden = !open;
  for (const choice of ["left", "same", "right"]) at("vote-" + choice).disabled = !open;
  at("undo").disabled = at("export").disabled = done === 0;
  if (open) ["photo", "style", "left", "right"].forEach((id, i) => {
    at(id).src = "data:image/jpeg;base64," + page.pictures[page.trials[done][i]];
  });
  else at("export").focus();
  since = performance.now();
}

function vote(choice) {
  if (state.votes.length === page.trials.length) return;
  state.votes.push([choice, Math.round((performance.now() - since) / 10) / 100]);
  keep();
  show();
}

function undo() {
  if (!state.votes.length) return;
  state.votes.pop();
  keep();
  show();
}

function save() {
  const bytes = Uint8Array.from(atob(page.key), letter => letter.charCodeAt(0));
  const key = JSON.parse(new TextDecoder().decode(bytes));
  const file = {format: page.format, page: page.page, question: page.question};
  if (state.voter) file.voter = state.voter;
  file.votes = state.votes.map(([choice, seconds], i) => {
    const [content, style, left, right] = key[i];
    return {content, style, left, right, choice, seconds};
  });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1)], {type: "application/json"}));
  link.download = `votes-${page.page}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

for (const choice of ["left", "same", "right"]) at("vote-" + choice).addEventListener("click", () => vote(choice));
at("undo").addEventListener("click", undo);
at("export").addEventListener("click", save);
at("voter").value = state.voter;
at("voter").addEventListener("input", () => { state.voter = at("voter").value.trim(); keep(); });
document.addEventListener("keydown", event => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.target === at("voter")) return;
  const choice = {ArrowLeft: "left", ArrowDown: "same", ArrowRight: "right"}[event.key];
  if (!choice && event.key !== "Backspace") return;
  event.preventDefault();
  if (choice) vote(choice); else undo();
});
show();
