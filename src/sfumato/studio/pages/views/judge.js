// Judge blindly: two paintings of one photo, without their names. What they are shows after the vote.

import { html, useEffect, useRef, useState } from "../lib.js";
import { get, listPictures, post, useLoaded, usePicture, useStyles } from "../api.js";
import { number, percent, t, useLanguage } from "../i18n.js";
import { Button, EmptyState, Icon, toastError } from "../ui.js";
import { useKeys } from "../keys.js";
import { download } from "./actions.js";
import { differences, recipeLines, styleTitle } from "./facts.js";
import { ErrorNote } from "./parts.js";
import { Twins } from "./viewer.js";

const PAGES = 5; // of the gallery that pairs are drawn from

async function paintings(signal) {
  const found = [];
  let before = null;
  for (let page = 0; page < PAGES; page++) {
    const { items, next } = await listPictures({ kind: "result", limit: 100, before }, signal);
    found.push(...items.filter(each => each.photo && each.recipe && !each.gone));
    before = next;
    if (!next) break;
  }
  return found;
}

const NARROW = matchMedia("(max-width: 600px)");
const shape = picture => picture.width / picture.height;
const wayOf = ({ recipe }) => JSON.stringify([recipe.styles?.map(each => each.name), recipe.strength, recipe.stroke, recipe.color,
  recipe.quality, recipe.seed, recipe.finish, recipe.masks]);

/** All pairs of one photo, alike in shape and made in different ways: [first, second]. */
function pairsOf(all) {
  const groups = new Map();
  for (const each of all) groups.set(each.photo, [...(groups.get(each.photo) ?? []), each]);
  const pairs = [];
  for (const group of groups.values()) {
    group.forEach((first, place) => {
      for (const second of group.slice(place + 1)) {
        if (Math.abs(shape(first) / shape(second) - 1) < 0.02 && wayOf(first) !== wayOf(second)) pairs.push([first, second]);
      }
    });
  }
  return pairs;
}

const keyOf = pair => pair.map(each => each.id).sort().join(" ");

/** A pair that was not seen yet, its sides by chance; null when all were seen. */
function draw(pairs, seen) {
  const left = pairs.filter(pair => !seen.has(keyOf(pair)));
  if (!left.length) return null;
  const pair = left[Math.floor(Math.random() * left.length)];
  return Math.random() < 0.5 ? pair : [...pair].reverse();
}

export default function Judge() {
  useLanguage();
  const pairs = useLoaded(async signal => pairsOf(await paintings(signal)), []);
  const votes = useLoaded(() => get("/votes"), []);
  const [counted, setCounted] = useState(null);
  const [pair, setPair] = useState(null);
  const [choice, setChoice] = useState(null);
  const seen = useRef(new Set());
  const since = useRef(0);
  const told = useRef(null);
  const styles = useStyles();
  const [narrow, setNarrow] = useState(NARROW.matches);
  useEffect(() => {
    const follow = () => setNarrow(NARROW.matches);
    NARROW.addEventListener("change", follow);
    return () => NARROW.removeEventListener("change", follow);
  }, []);

  const next = () => {
    const drawn = draw(pairs.value ?? [], seen.current);
    if (drawn) seen.current.add(keyOf(drawn));
    setPair(drawn);
    setChoice(null);
    since.current = performance.now();
  };
  useEffect(() => { if (pairs.value) next(); }, [pairs.value]);
  useEffect(() => { if (choice) told.current?.focus({ preventScroll: true }); }, [choice]);
  const vote = async chosen => {
    if (choice || !pair) return;
    setChoice(chosen);
    const [left, right] = pair.map(each => each.id);
    const seconds = Math.min(86400, (performance.now() - since.current) / 1000);
    try {
      setCounted(await post("/votes", { left, right, choice: chosen, seconds }));
    } catch (problem) {
      setChoice(null);
      toastError(problem);
    }
  };
  const onArrow = chosen => event => (event.target.closest?.("[role=radiogroup], [role=menu]") ? false : vote(chosen));
  useKeys({
    arrowleft: onArrow("left"), arrowright: onArrow("right"), arrowdown: onArrow("same"),
    n: () => (choice ? next() : false),
  });
  const again = () => { seen.current.clear(); next(); };

  const now = counted ?? votes.value;
  const stacked = narrow && pair && shape(pair[0]) > 1;
  const names = choice && differences(pair, styles).map((text, place) => (choice === ["left", "right"][place] ? `✓ ${text}` : text));
  const sides = stacked ? ["upper", "lower"] : ["left", "right"];
  return html`<section class="judge page" aria-labelledby="judge-title">
    <div class="row wrap"><h1 id="judge-title">${t("jud.title")}</h1><span class="gap"></span>
      ${now?.count > 0 && html`<span class="small muted number">${t("jud.count", { n: now.count })}</span>`}</div>
    ${pairs.error && html`<${ErrorNote} error=${pairs.error} retry=${pairs.reload} />`}
    ${pairs.value && !pair && (pairs.value.length
      ? html`<${EmptyState} icon="check" title=${t("jud.all_seen")} text=${t("jud.all_seen_hint")}>
          <${Button} icon="refresh" onClick=${again}>${t("jud.once_more")}<//><//>`
      : html`<${EmptyState} icon="scale" title=${t("jud.none")} text=${t("jud.none_hint")}>
          <a class="button primary" href="#/paint">${t("gal.paint_first")}</a><//>`)}
    ${pair && html`<p class="muted">${t("jud.question")}</p>
      <div class="judge-stage"><${Twins} key=${keyOf(pair)} pictures=${pair} stacked=${stacked}
        alts=${sides.map(side => t(`jud.${side}_alt`))} labels=${choice ? names : sides.map(side => t(`jud.${side}`))} /></div>
      ${choice
        ? html`<div class="judge-told" ref=${told} tabindex="-1" role="group" aria-label=${t("jud.they_are")}>
            <${Button} kind="primary" big onClick=${next}>${t("jud.next")} <kbd>N</kbd><//>
            <${Told} pair=${pair} choice=${choice} sides=${sides} /></div>`
        : html`<div class="judge-answers" role="group" aria-label=${t("jud.question")}>
            <${Button} big onClick=${() => vote("left")}><kbd>←</kbd> ${t(`jud.choose_${sides[0]}`)}<//>
            <${Button} big onClick=${() => vote("same")}><kbd>↓</kbd> ${t("jud.same")}<//>
            <${Button} big onClick=${() => vote("right")}>${t(`jud.choose_${sides[1]}`)} <kbd>→</kbd><//></div>`}`}
    ${votes.error && html`<${ErrorNote} error=${votes.error} retry=${votes.reload} />`}
    ${now && now.count > 0 && html`<${Standings} votes=${now} />`}
  </section>`;
}

/** What the two were, once the vote is given. */
function Told({ pair, choice, sides }) {
  const styles = useStyles();
  const photo = usePicture(pair[0].photo);
  const [left, right] = pair.map(each => new Map(recipeLines(each.recipe, styles)));
  const terms = [...new Set([...left.keys(), ...right.keys()])];
  const differing = terms.filter(term => left.get(term) !== right.get(term));
  const chosen = side => choice === side && html`<span class="chosen-mark"><${Icon} name="check" size="16" />${t("jud.yours")}</span>`;
  return html`<table class="differences"><caption>${photo?.title ? t("jud.they_are_of", { title: photo.title }) : t("jud.they_are")}</caption>
    <thead><tr><td></td>${["left", "right"].map((side, place) => html`<th key=${side} scope="col">
      <a href="#/gallery/${pair[place].id}">${t(`jud.${sides[place]}`)}</a> ${chosen(side)}</th>`)}</tr></thead>
    <tbody>${differing.map(term => html`<tr key=${term}><th scope="row">${term}</th><td>${left.get(term) ?? "–"}</td>
      <td>${right.get(term) ?? "–"}</td></tr>`)}</tbody></table>`;
}

/** The service's name of a way of painting in the reader's words. */
function methodTitle(method, styles) {
  return method.split(", ").map(part => {
    const [word, value] = part.split(" ");
    if (part === "unknown quality") return t("pic.quality_draft"); // recipes leave the draft out
    if (["draft", "standard", "best"].includes(part)) return t(`pic.quality_${part}`);
    if (word === "strength") return `${t("pic.strength")} ${percent(Number(value))}`;
    if (word === "stroke") return Number(value) === 1 ? "" : `${t("pic.stroke")} ${number(Number(value))} ×`;
    if (word === "color") return value === "style" ? "" : `${t("pic.colour")} ${t(`pic.colour_${value}`)}`;
    if (word === "seed") return `${t("pic.seed")} ${value}`;
    if (part === "finished") return t("jud.finished");
    return part.split(" + ").map(name => styleTitle(name, styles)).join(" + ");
  }).filter(Boolean).join(" · ");
}

function Standings({ votes }) {
  const styles = useStyles();
  const { standings } = votes;
  const low = Math.min(...standings.map(each => each.low));
  const span = Math.max(...standings.map(each => each.high)) - low || 1;
  const place = value => `${((value - low) / span) * 100}%`;
  return html`<div class="row wrap"><h2>${t("jud.standings")}</h2><span class="gap"></span>
      <${Button} kind="quiet" icon="download" onClick=${() => download("/api/v1/votes/file", "votes-studio.json")}>${t("jud.download")}<//></div>
    ${standings.length > 0
      ? html`<div class="table-scroll" tabindex="0" role="region" aria-label=${t("jud.standings")}><table class="standings">
          <thead><tr><th scope="col">${t("jud.way")}</th><th scope="col">${t("jud.strength")}</th><th scope="col">${t("jud.wins")}</th>
            <th scope="col">${t("jud.votes")}</th></tr></thead>
          <tbody>${standings.map(each => html`<tr key=${each.method}><th scope="row">${methodTitle(each.method, styles)}</th>
            <td><span class="interval" title=${t("jud.interval", { low: number(each.low, { maximumFractionDigits: 2 }), high: number(each.high, { maximumFractionDigits: 2 }) })}>
              <span class="reach" style=${{ left: place(each.low), right: `calc(100% - ${place(each.high)})` }}></span>
              <span class="point" style=${{ left: place(each.strength) }}></span>
              <span class="hidden-text">${number(each.strength, { maximumFractionDigits: 2 })}</span></span></td>
            <td class="number">${percent(each.win_rate)}</td><td class="number">${number(each.votes)}</td></tr>`)}</tbody></table></div>
        <p class="small muted">${t("jud.standings_hint")}</p>`
      : html`<p class="muted">${t("jud.too_few")}</p>`}`;
}
