// The page of model.serve. Everything that the server or a person says reaches the page as text, never as markup.
"use strict";
(() => {
const byId = (id) => document.getElementById(id);
const KEYS = {l: "like", n: "dislike", w: "later", s: "seen", k: "skip"};
const SAID = {like: "liked", dislike: "not for me", "not interested": "not interested", later: "want to see", seen: "seen", skip: "skipped"};
const BECAUSE = {
  favorite: "your favorite", like: "you liked", dislike: "you said no to", "not interested": "not interested in",
  later: "you want to see", seen: "you have seen", text: "movies near", words: "it fits", average: "liked by people in general",
  genre: "share of your favorites’ genres:", popularity: "well known:",
  diversity: "a little off your usual genres", traits: "your favorites share:", turn: "whose turn it is:",
};
const store = {
  get: (key) => { try { return JSON.parse(localStorage.getItem("tastevec." + key)); } catch { return null; } },
  set: (key, value) => {
    try {
      if (value === null) localStorage.removeItem("tastevec." + key);
      else localStorage.setItem("tastevec." + key, JSON.stringify(value));
    } catch { /* a private window may refuse: the page works until it is closed */ }
  },
};
let session = null;
let mine = null;  // whose token this is, if it is one person's
let picks = store.get("picks") || [];
let busy = false;
let why = false;
let file = null;
const MOST_BARS = 9;

// ---------------------------------------------------------------- elements, words, the server

function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}
const named = (movie) => movie.year ? `${movie.title} (${movie.year})` : movie.title;
const title = (text) => el("bdi", {}, text);
const number = new Intl.NumberFormat("en");
const count = (n, one, many = one + "s") => `${number.format(n)} ${n === 1 ? one : many}`;
let languages = null;
try { languages = new Intl.DisplayNames(["en"], {type: "language"}); } catch { /* codes, then */ }
function language(code) {
  try { return code === "cn" ? "Cantonese" : languages.of(code); } catch { return code; }
}
function say(text) {
  byId("said").textContent = "";
  setTimeout(() => { byId("said").textContent = text; }, 60);
}
function trouble(text) {
  const close = el("button", {type: "button", ariaLabel: "Close this message", onclick: () => trouble("")}, "✕");
  byId("trouble").replaceChildren(...(text ? [el("span", {dir: "auto"}, text), close] : []));
}

class Refused extends Error {
  constructor(status, detail) { super(detail); this.status = status; }
}
// hear: gets (kind, data) of each event, where the answer is a stream of them.
async function ask(method, path, body, raw, hear) {
  const headers = {Authorization: `Bearer ${store.get("token") || ""}`, Accept: hear ? "text/event-stream" : "application/json"};
  if (body !== undefined && !raw) headers["Content-Type"] = "application/json";
  if (raw) headers["Content-Type"] = "application/octet-stream";
  let answer;
  try {
    answer = await fetch(path, {method, headers, body: raw || body === undefined ? body : JSON.stringify(body), cache: "no-store"});
  } catch {
    throw new Refused(0, "The server does not answer. Is it running? Try again in a moment.");
  }
  if (answer.ok && hear) return listen(answer, hear);
  const data = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (answer.ok) return data;
  if (answer.status === 401) {
    store.set("token", null);
    show("key");
  }
  const detail = data && typeof data.detail === "string" ? data.detail : `The server answered ${answer.status}.`;
  throw new Refused(answer.status, detail);
}
async function listen(answer, hear) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = "", part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const found = /^event: (.*)\ndata: (.*)$/.exec(text.slice(0, end));
      text = text.slice(end + 2);
      if (found) hear(found[1], JSON.parse(found[2]));
    }
  }
}
// One request that changes something at a time: a second click before the answer is not heard. A control with a name
// is heard: its latest work waits, and what it shows stays.
const waiting = new Map();
async function once(work, name) {
  if (busy) { if (name) waiting.set(name, work); return; }
  busy = true;
  byId("movie").setAttribute("aria-busy", "true");
  trouble("");
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    trouble(error.status === 401 ? "This token is not known here, or has ended." : error.message);
    if (error.status === 409 && session) await reread().catch(() => {});
    if (error.status === 404 && session) await reread().catch((again) => { if (again.status === 404) forget(); });
  } finally {
    busy = false;
    byId("movie").removeAttribute("aria-busy");
    for (const [name, next] of waiting) {
      waiting.delete(name);
      once(next, name);
      break;
    }
  }
}
const query = (values) => new URLSearchParams(values).toString();

// ---------------------------------------------------------------- a search box with suggestions

let nBoxes = 0;
function suggest(input, choose) {
  const id = `options-${++nBoxes}`;
  const list = el("ul", {id, className: "options", hidden: true, role: "listbox", ariaLabel: "Movies"});
  input.after(list);
  for (const [name, value] of Object.entries({role: "combobox", "aria-autocomplete": "list", "aria-controls": id, "aria-expanded": "false"}))
    input.setAttribute(name, value);
  let found = [], active = -1, asked = 0, timer = 0;
  const mark = (place) => {
    active = place;
    [...list.children].forEach((one, i) => one.setAttribute("aria-selected", String(i === active)));
    if (active >= 0) {
      input.setAttribute("aria-activedescendant", list.children[active].id);
      list.children[active].scrollIntoView({block: "nearest"});
    } else input.removeAttribute("aria-activedescendant");
  };
  const fill = (movies) => {
    found = movies;
    list.replaceChildren(...movies.map((movie, i) => el("li", {
      id: `${id}-${i}`, role: "option", ariaSelected: "false", onpointerdown: (event) => { event.preventDefault(); take(i); },
    }, title(named(movie)), el("small", {}, movie.genres.join(", ")))));
    list.hidden = !movies.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark(movies.length ? 0 : -1);
  };
  const close = () => { asked++; clearTimeout(timer); fill([]); };
  const take = (i) => { const movie = found[i]; input.value = ""; close(); choose(movie); };
  const look = async () => {
    const text = input.value.trim(), mine = ++asked;
    if (!text) return fill([]);
    try {
      const {movies} = await ask("GET", "movies/search?" + query({q: text, limit: 8}));
      if (mine !== asked) return;
      fill(movies);
      say(movies.length ? `${count(movies.length, "movie")}, up and down to choose` : "No movie of this title");
    } catch (error) {
      if (mine === asked) trouble(error.message);
    }
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 90); });
  input.addEventListener("keydown", async (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!found.length) return look();
      event.preventDefault();
      mark((active + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length);
    } else if (event.key === "Enter" && input.value.trim()) {
      event.preventDefault();
      clearTimeout(timer);
      if (!found.length) await look();
      if (found.length) take(Math.max(active, 0));
      else if (input.value.trim()) trouble(`No movie is called “${input.value.trim()}” here.`);
    } else if (event.key === "Escape" && found.length) { event.stopPropagation(); close(); }
  });
  input.addEventListener("blur", close);
}

// ---------------------------------------------------------------- views

const TITLES = {key: "token", start: "a movie for you", movies: "a movie for you", watchlist: "want to see", chat: "chat"};
let view = "";
function show(name) {
  const wanted = name === "movies" && !session ? "start" : name;
  for (const one of Object.keys(TITLES)) byId(`view-${one}`).hidden = one !== wanted;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${wanted === "start" ? "movies" : wanted}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.body.dataset.view = wanted;
  document.title = `tastevec: ${TITLES[wanted]}`;
  byId("anew").hidden = !session;
  const moved = view && view !== wanted;
  view = wanted;
  if (moved) byId(`view-${wanted}`).querySelector("h1").focus({preventScroll: true});
  if (moved) scrollTo(0, 0);
}
function route() {
  const wanted = location.hash.slice(1);
  if (view === "key") return;
  show(["watchlist", "chat"].includes(wanted) ? wanted : "movies");
}

function chip(movie, drop) {
  const place = map.place(movie.movie_id);
  const node = el("li", {},
    el("span", {className: "dot", ariaHidden: "true"}), title(named(movie)),
    drop && el("button", {type: "button", ariaLabel: `Remove ${named(movie)}`, onclick: drop}, "✕"));
  if (place) node.firstChild.style.background = map.tint(...place);
  node.addEventListener("pointerenter", () => map.point(movie.movie_id));
  node.addEventListener("pointerleave", () => map.point(null));
  node.addEventListener("focusin", () => map.point(movie.movie_id));
  node.addEventListener("focusout", () => map.point(null));
  return node;
}

// ---------------------------------------------------------------- the start

function showPicks() {
  store.set("picks", picks.length ? picks : null);
  byId("picks").replaceChildren(...picks.map((movie) => chip(movie, () => {
    picks = picks.filter((one) => one.movie_id !== movie.movie_id);
    showPicks();
    byId("pick").focus();
    say(`${named(movie)} removed`);
  })));
  map.mark();
}
function pick(movie) {
  if (!picks.some((one) => one.movie_id === movie.movie_id)) {
    const {movie_id, title, year, genres} = movie;
    picks = [...picks, {movie_id, title, year, genres}];
  }
  showPicks();
  const more = picks.length < 4 ? " Another one, or Enter to start." : "";
  say(`${named(movie)} picked, ${count(picks.length, "movie")}.${more}`);
}
async function start(given) {
  session = await ask("POST", "sessions", {...given, user_id: person()});
  store.set("session", session.session_id);
  store.set("trail", null);
  picks = [];
  showPicks();
  byId("wish").value = "";
  await draw(true);
  show("movies");
  if (location.hash !== "#movies") history.replaceState(null, "", "#movies");
  byId("movie-title").focus({preventScroll: true});
  scrollTo(0, 0);
}
function forget() {
  session = null;
  waiting.clear();
  for (const key of ["session", "trail"]) store.set(key, null);
  byId("n-later").textContent = "";
  showWatchlist();
  map.mark();
  history.replaceState(null, "", "#movies");
  show("movies");
}

// ---------------------------------------------------------------- bringing ratings

function unpacked(list, name, line) {
  if (!list.length) return "";
  return el("details", {}, el("summary", {}, `${name}`, el("span", {}, number.format(list.length))),
    el("ul", {}, list.slice(0, 200).map((one) => el("li", {}, title(line(one)))), list.length > 200 ? el("li", {}, "…") : ""));
}
const raw = (one) => one.year ? `${one.title} (${one.year})` : String(one.title);
async function importFile(chosen) {
  file = chosen;
  const preview = byId("preview");
  preview.hidden = false;
  preview.replaceChildren(el("p", {}, "Reading ", title(file.name), " …"));
  const found = await once(() => sendFile(false));
  if (!found) return preview.replaceChildren(el("p", {}, "Nothing was imported."));
  const {matched, guessed, missed} = found;
  const use = el("button", {type: "button", className: "main", onclick: () => once(useFile)}, `Use ${count(matched.length, "movie")}`);
  preview.replaceChildren(
    el("p", {}, `${count(matched.length, "movie")} of yours found. Nothing is stored yet.`),
    unpacked(matched, "Found", (one) => `${named(one.movie)}: ${SAID[one.answer] || one.answer}`),
    unpacked(guessed, "Guesses, left out", (one) => one.movie ? `${raw(one)}: perhaps ${named(one.movie)}` : raw(one)),
    unpacked(missed, "Not in this catalogue", raw),
    matched.length ? use : "");
  say(`${count(matched.length, "movie")} found`);
}
const sendFile = (apply) => ask("POST", "imports?" + query({filename: file.name, user_id: person(), apply}), file, true);
// Whose sessions, imports and conversation these are: of the token's person, or else of this browser.
function person() {
  if (mine) return mine;
  if (!store.get("user")) store.set("user", "browser-" + [...crypto.getRandomValues(new Uint8Array(8))].map((n) => n.toString(16).padStart(2, "0")).join(""));
  return store.get("user");
}
async function useFile() {
  const {applied} = await sendFile(true);
  byId("preview").hidden = true;
  byId("file").value = "";
  await start({favorites: picks.map((one) => one.movie_id), words: []});
  say(`${count(applied, "movie")} imported.`);
}

// ---------------------------------------------------------------- one movie at a time

async function reread() {
  session = await ask("GET", `sessions/${encodeURIComponent(session.session_id)}` + (why ? "?why=true" : ""));
  await draw();
}
async function change(method, what, body) {
  const before = session.movie && session.movie.movie_id;
  const path = `sessions/${encodeURIComponent(session.session_id)}${what && "/" + what}`;
  session = await ask(method, path, body);
  await draw(before !== (session.movie && session.movie.movie_id));
}
function answer(kind) {
  if (!session || !session.movie) return;
  const movie = session.movie;
  return once(async () => {
    await change("POST", "answer", {movie_id: movie.movie_id, answer: kind});
    say(`${named(movie)}: ${SAID[kind]}. ${session.movie ? `Next: ${named(session.movie)}` : "No movie is left."}`);
  });
}
async function draw(fresh = false) {
  const {movie} = session;
  const rated = movie && movie.n_ratings ? `${count(movie.n_ratings, "person", "people")} rated it` : "nobody has rated it yet";
  byId("turn").textContent = movie ? `For you now · ${rated}` : "";
  byId("movie-title").replaceChildren(...(movie
    ? [movie.title, movie.year ? " " : "", movie.year ? el("small", {}, String(movie.year)) : ""] : ["No movie is left."]));
  byId("facts").textContent = movie
    ? [movie.genres.join(", "), movie.language && movie.language !== "en" ? language(movie.language) : ""].filter(Boolean).join(" · ")
    : "Widen the filters, or start anew.";
  byId("overview").textContent = movie ? movie.overview : "";
  byId("people").replaceChildren(...(movie ? people(movie) : []));
  const place = movie && map.place(movie.movie_id);
  byId("movie").style.setProperty("--tint", place ? map.tint(...place) : "var(--accent)");
  byId("answers").hidden = byId("why").hidden = !movie;
  if (fresh) {
    byId("movie").classList.remove("fresh");
    void byId("movie").offsetWidth;  // the animation starts again
    byId("movie").classList.add("fresh");
  }
  byId("told").replaceChildren(...session.words.map((text) => el("li", {dir: "auto"}, text)));
  byId("dial").closest(".field").hidden = session.familiarity === null;
  if (session.familiarity !== null && !waiting.has("dial")) dialled(session.familiarity);
  if (!waiting.has("filter")) showFilter();
  const last = session.favorites.length + session.words.length < 2;
  byId("favorites").replaceChildren(...session.favorites.map((one) => chip(one, last ? null : () => once(async () => {
    await change("PATCH", "", {drop_favorite: one.movie_id});
    byId("more").focus();
    say(`${named(one)} removed`);
  }))));
  byId("past").hidden = !session.answers.length;
  byId("n-answers").textContent = session.answers.length || "";
  byId("history").start = session.answers.length;
  byId("history").replaceChildren(...session.answers.slice(-100).reverse().map((one) =>
    el("li", {}, title(named(one.movie)), el("span", {}, ` ${SAID[one.answer] || one.answer}`))));
  showWatchlist();
  map.mark();
  await showWhy();
}
function people(movie) {
  const parts = [];
  if (movie.director) parts.push("Directed by ", el("b", {dir: "auto"}, movie.director), ". ");
  if (movie.cast.length) parts.push("With ", el("bdi", {}, movie.cast.slice(0, 12).join(", ")), ". ");
  if (/^(tt)?\d+$/.test(movie.imdb_id || "")) {
    const href = `https://www.imdb.com/title/tt${movie.imdb_id.replace("tt", "")}/`;
    parts.push(el("a", {href, target: "_blank", rel: "noopener noreferrer"}, "IMDb", el("span", {className: "unseen"}, " (opens another tab)")));
  }
  return parts;
}
async function showWhy() {
  byId("why").setAttribute("aria-expanded", String(why));
  byId("because").hidden = !why || !session.movie;
  if (byId("because").hidden) return;
  if (session.score === null) session = await ask("GET", `sessions/${encodeURIComponent(session.session_id)}?why=true`);
  byId("because").replaceChildren(bars(session.because, session.score, session.movie));
}
// Each bar begins where the one above has ended, and the last one is their sum.
function bars(terms, score, movie) {
  const least = [...terms].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(MOST_BARS);
  const rest = {kind: "rest", value: least.reduce((sum, term) => sum + term.value, 0)};
  const kept = terms.filter((term) => !least.includes(term));
  let end = 0;
  const steps = (least.length ? [...kept, rest] : kept).map((term) => { const from = end; end += term.value; return {term, from, to: end}; });
  const low = Math.min(0, score, ...steps.map((one) => one.to)), high = Math.max(0, score, ...steps.map((one) => one.to));
  const share = (value) => 100 * (value - low) / (high - low || 1);
  const line = (label, from, to, value, kind, row = "") => {
    const bar = el("i", {className: kind}), zero = el("b");
    bar.style.left = `${share(Math.min(from, to))}%`;
    bar.style.width = `${Math.abs(share(to) - share(from))}%`;
    zero.style.left = `${share(0)}%`;
    const track = el("div", {className: "track", ariaHidden: "true"}, zero, bar);
    return el("tr", {className: row}, el("th", {scope: "row"}, label), el("td", {className: "bar"}, track),
      el("td", {className: "value"}, (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2)));
  };
  const rows = steps.map(({term, from, to}) => {
    if (term === rest) return line(`${count(least.length, "smaller reason")}, together`, from, to, term.value, term.value < 0 ? "down" : "");
    const said = term.kind === "words" || term.kind === "text", what = term.title || (said ? `“${term.text}”` : term.text);
    const known = term.kind === "popularity" && number.format(movie.n_ratings) + " people rated it";
    const label = el("span", {}, BECAUSE[term.kind] || term.kind, " ", title(known || what));
    return line(label, from, to, term.value, term.value < 0 ? "down" : "");
  });
  return el("table", {className: "because"}, el("caption", {}, "What speaks for ", title(named(movie)), ", and what against. It adds up to its score."),
    el("thead", {className: "unseen"}, el("tr", {}, ["Reason", "Bar", "Points"].map((name) => el("th", {scope: "col"}, name)))),
    el("tbody", {}, rows, line("Score", 0, score, score, "all", "sum")));
}
function dialled(value) {
  byId("dial").value = value;
  const far = Math.round(100 * value);
  byId("dial").setAttribute("aria-valuetext", far < 30 ? `${far}%: only for me` : far > 70 ? `${far}%: what everybody likes` : `${far}%: in between`);
}
let filterSaid = "";
function showFilter(typed = document.activeElement) {
  const {genres, exclude_genres: without, year_from: from, year_to: to} = session.filter;
  const years = from && to ? `${from}–${to}` : from ? `from ${from}` : to ? `to ${to}` : "";
  const parts = [genres.length && `only ${genres.join(", ")}`, without.length && `not ${without.join(", ")}`, years];
  byId("filter-now").textContent = parts.filter(Boolean).join("; ");
  const all = [...new Set([...map.genres(), ...genres, ...without])].sort();
  for (const [id, on] of [["only", genres], ["without", without]]) {
    if (byId(id).childElementCount !== all.length) {
      byId(id).replaceChildren(...all.map((name) => el("label", {className: "tick"}, el("input", {type: "checkbox", value: name}), name)));
    }
    for (const box of byId(id).querySelectorAll("input")) box.checked = on.includes(box.value);
  }
  if (typed !== byId("year-from")) byId("year-from").value = from || "";
  if (typed !== byId("year-to")) byId("year-to").value = to || "";
  filterSaid = JSON.stringify({genres, exclude_genres: without, year_from: from, year_to: to});
}
function filters() {
  const ticked = (id) => [...byId(id).querySelectorAll("input:checked")].map((box) => box.value);
  const year = (id) => byId(id).value ? Number(byId(id).value) : null;
  return {genres: ticked("only"), exclude_genres: ticked("without"), year_from: year("year-from"), year_to: year("year-to")};
}
const sendFilter = () => sendLatest("filter", () => {
  const filter = filters();
  return JSON.stringify(filter) === filterSaid ? null : {filter};
});
function sendLatest(name, body) {
  return once(async () => {
    try {
      const given = body();
      if (!given) return;
      await change("PATCH", "", given);
      say(session.movie ? `Now: ${named(session.movie)}` : "No movie is left.");
    } catch (error) {
      if (!waiting.size) { dialled(session.familiarity); showFilter(null); }
      throw error;
    }
  }, name);
}

// ---------------------------------------------------------------- watchlist, chat

function showWatchlist() {
  const movies = session ? session.watchlist : [];
  byId("n-later").textContent = movies.length || "";
  byId("watchlist-none").hidden = movies.length > 0;
  byId("watchlist-more").hidden = !movies.length;
  byId("watchlist").replaceChildren(...movies.map((movie) => el("li", {}, el("b", {dir: "auto"}, named(movie)), el("br"), el("small", {}, movie.genres.join(", ")),
    el("p", {}, [["seen", "Seen it"], ["skip", "Take it off"]].map(([kind, text]) =>
      el("button", {type: "button", className: "quiet", ariaLabel: `${text}: ${named(movie)}`, onclick: () => off(movie, kind)}, text))))));
}
const off = (movie, kind) => once(async () => {
  await change("POST", "answer", {movie_id: movie.movie_id, answer: kind});
  byId("watchlist-title").focus();
  say(`${named(movie)} is off the watchlist`);
});
function csv() {
  const cell = (value) => /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  const imdb = (id) => /^\d+$/.test(id || "") ? `tt${id}` : id || "";
  const lines = session.watchlist.map((one) => [one.title, String(one.year || ""), one.tmdb_id || "", imdb(one.imdb_id)]);
  return [["Title", "Year", "tmdbID", "imdbID"], ...lines].map((line) => line.map(cell).join(",")).join("\n") + "\n";
}
function download() {
  const link = el("a", {href: URL.createObjectURL(new Blob([csv()], {type: "text/csv"})), download: "watchlist.csv"});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
async function chat(event) {
  event.preventDefault();
  const text = byId("message").value.trim();
  if (!text) return;
  const log = byId("log");
  const writing = byId("writing");
  let asked = null;
  const add = (node) => { log.append(node); log.scrollTop = (asked || node).offsetTop - log.offsetTop - 8; return node; };
  const turn = await once(async () => {
    asked = add(el("div", {className: "mine", dir: "auto"}, text));
    byId("message").value = "";
    writing.hidden = false;
    writing.textContent = "…";
    try {
      let last = null;
      await ask("POST", `chat/${encodeURIComponent(person())}`, {message: text}, false, (kind, said) => {
        if (kind === "writing") writing.textContent = said.text;
        else last = {kind, said};
      });
      if (last && last.kind === "turn") return last.said;
      throw new Refused(last ? last.said.status : 0, last ? last.said.detail : "The answer broke off. Say it again.");
    } catch (error) {
      asked.remove();
      byId("message").value = text;
      throw error;
    } finally {
      writing.hidden = true;
    }
  });
  if (!turn) return;
  store.set(talk(), [...(store.get(talk()) || []), {text, turn}].slice(-20));
  add(answered(turn));
}
const talk = () => "talk." + (mine || store.get("user"));  // the server goes on in it after a reload: so does its log
function showTalk() {
  const said = store.get(talk()) || [];
  byId("log").replaceChildren(...said.flatMap(({text, turn}) => [el("div", {className: "mine", dir: "auto"}, text), answered(turn)]));
}
function answered(turn) {
  const known = (one) => session && session.favorites.some((other) => other.movie_id === one.movie_id);
  const love = (one) => known(one) ? el("small", {}, "a favorite") : el("button", {type: "button", ariaLabel: `I love it: ${named(one)}`, onclick: (event) => once(async () => {
    if (session) await change("PATCH", "", {add_favorite: one.movie_id});
    else pick({...one, genres: []});
    event.target.replaceWith(el("small", {}, "a favorite"));
    say(`${named(one)} is a favorite`);
  })}, "I love it");
  return el("div", {},
    turn.understood ? el("p", {className: "soft", dir: "auto"}, `Understood: ${turn.understood}`) : "",
    turn.answer ? el("p", {dir: "auto"}, turn.answer) : "",
    turn.suggestions.length ? el("ol", {className: "suggestions"}, turn.suggestions.map((one) => el("li", {},
      el("b", {dir: "auto"}, named(one)), el("p", {dir: "auto"}, one.about), el("p", {className: "soft", dir: "auto"}, one.because), love(one)))) : "",
    turn.note ? el("p", {className: "soft"}, `Without the model: ${turn.note}`) : "");
}

// ---------------------------------------------------------------- the map of tastes

const map = (() => {
  const canvas = byId("canvas"), tip = byId("tip"), still = matchMedia("(prefers-reduced-motion: reduce)"), dark = matchMedia("(prefers-color-scheme: dark)");
  let data = null, rows = new Map(), box = null, base = null, size = 0, me = null, trail = [], pointed = null, moving = 0;
  const place = (id) => box && rows.has(id) ? [data.x[rows.get(id)], data.y[rows.get(id)]] : null;
  // A color for each place: the direction from the center is the hue, the distance how strong it is.
  const tint = (x, y, alpha = 1) => {
    const hue = Math.atan2(y - box.y, x - box.x) * 180 / Math.PI + 15, far = Math.min(1, Math.hypot(x - box.x, y - box.y) / (0.8 * box.half));
    return `hsl(${hue.toFixed(0)} ${(18 + 42 * far).toFixed(0)}% ${dark.matches ? 64 : 44}% / ${alpha})`;
  };
  const spot = ([x, y]) => [size * (0.5 + 0.47 * (x - box.x) / box.half), size * (0.5 - 0.47 * (y - box.y) / box.half)];
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  async function load() {
    try { data = await ask("GET", "map.json"); } catch { return; }
    if (!data.x) {  // not drawn for these movies
      if (session) await draw();
      return;
    }
    rows = new Map(data.movie_ids.map((id, row) => [id, row]));
    const [left, right, low, high] = [Math.min(...data.x), Math.max(...data.x), Math.min(...data.y), Math.max(...data.y)];
    box = {x: (left + right) / 2, y: (low + high) / 2, half: Math.max(right - left, high - low) / 2 || 1};
    byId("map").hidden = false;
    byId("about").textContent = `${count(data.x.length, "movie")}: those near each other are liked by the same people, and alike. Point at one, or go there by arrow keys, Shift for far ones.`;
    new ResizeObserver(paint).observe(canvas);
    dark.addEventListener("change", paint);
    if (session) await draw(); else showPicks();
  }
  function paint() {
    const wide = canvas.clientWidth, ratio = devicePixelRatio || 1;
    if (!wide) return;
    size = wide;
    canvas.width = canvas.height = Math.round(wide * ratio);
    base = document.createElement("canvas");
    base.width = base.height = canvas.width;
    const pen = base.getContext("2d");
    pen.scale(ratio, ratio);
    const most = Math.max(1, ...data.n_ratings), order = data.x.map((_, i) => i).sort((a, b) => data.n_ratings[a] - data.n_ratings[b]);
    for (const i of order) {
      const [x, y] = spot([data.x[i], data.y[i]]), share = Math.sqrt(data.n_ratings[i] / most);
      pen.fillStyle = tint(data.x[i], data.y[i], (0.3 + 0.55 * share).toFixed(2));
      pen.beginPath();
      pen.arc(x, y, (0.7 + 3.6 * share) * Math.max(0.75, size / 480), 0, 7);
      pen.fill();
    }
    names(pen);
    frame();
  }
  // Names of genres where their movies are, but none over another.
  function names(pen) {
    const taken = [];
    pen.font = `italic ${Math.max(11, size / 36)}px ${color("--serif")}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    pen.strokeStyle = color("--raised");
    pen.fillStyle = color("--ink");
    for (const one of data.genres.filter((one) => "x" in one)) {
      const [x, y] = spot([one.x, one.y]), w = pen.measureText(one.name).width / 2 + 6, h = size / 44 + 4;
      if (taken.some((other) => Math.abs(x - other.x) < w + other.w && Math.abs(y - other.y) < 2 * h)) continue;
      taken.push({x, y, w});
      pen.globalAlpha = 0.75;
      pen.strokeText(one.name, x, y);
      pen.globalAlpha = 0.9;
      pen.fillText(one.name, x, y);
    }
    pen.globalAlpha = 1;
  }
  function marks() {
    if (!session) return picks.map((movie) => [movie.movie_id, "favorite"]);
    const said = session.answers.filter((one) => one.answer !== "skip").map((one) => [one.movie.movie_id, one.answer]);
    return [...said, ...session.favorites.map((movie) => [movie.movie_id, "favorite"])];
  }
  function frame() {
    if (!base) return;
    const pen = canvas.getContext("2d"), ratio = canvas.width / size, ink = color("--ink"), accent = color("--accent"), paper = color("--raised");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(base, 0, 0);
    pen.scale(ratio, ratio);
    const round = (x, y, r, fill, line, width = 2) => {
      pen.beginPath();
      pen.arc(x, y, r, 0, 7);
      if (fill) { pen.fillStyle = fill; pen.fill(); }
      if (line) { pen.strokeStyle = line; pen.lineWidth = width; pen.stroke(); }
    };
    for (const [id, kind] of marks()) {
      if (!place(id)) continue;
      const [x, y] = spot(place(id));
      if (kind === "favorite") {
        pen.fillStyle = ink; pen.strokeStyle = paper; pen.lineWidth = 2; pen.beginPath();
        for (const [dx, dy] of [[0, -7], [7, 0], [0, 7], [-7, 0]]) pen.lineTo(x + dx, y + dy);
        pen.closePath(); pen.stroke(); pen.fill();
      } else if (kind === "like") round(x, y, 5, ink, paper);
      else if (kind === "later") { round(x, y, 5, paper, ink); }
      else if (kind === "seen") round(x, y, 3.5, color("--soft"), paper);
      else {
        for (const [width, line] of [[4.5, paper], [2, color("--soft")]]) {
          pen.lineWidth = width; pen.strokeStyle = line; pen.beginPath();
          for (const d of [1, -1]) { pen.moveTo(x - 4, y - 4 * d); pen.lineTo(x + 4, y + 4 * d); }
          pen.stroke();
        }
      }
    }
    if (session && session.movie && place(session.movie.movie_id)) {
      const [x, y] = spot(place(session.movie.movie_id));
      round(x, y, 7, null, paper, 4.5);
      round(x, y, 7, null, accent, 2.25);
    }
    if (me) {
      if (trail.length > 1) {
        pen.strokeStyle = accent; pen.lineWidth = 1.75; pen.globalAlpha = 0.55; pen.beginPath();
        for (const at of [...trail.slice(0, -1), me]) pen.lineTo(...spot(at));
        pen.stroke(); pen.globalAlpha = 1;
      }
      const [x, y] = spot(me);
      pen.globalAlpha = 0.22; round(x, y, 15, accent); pen.globalAlpha = 1;
      round(x, y, 6.5, accent, paper, 2.5);
    }
    const at = pointed !== null && place(pointed);
    tip.hidden = !at;
    if (at) {
      const [x, y] = spot(at);
      round(x, y, 8, null, paper, 4.5);
      round(x, y, 8, null, ink, 2);
      tip.textContent = data.titles[rows.get(pointed)];
      const left = Math.min(Math.max(4, x - tip.offsetWidth / 2), size - tip.offsetWidth - 4);
      tip.style.transform = `translate(${left}px, ${y > tip.offsetHeight + 18 ? y - tip.offsetHeight - 14 : y + 14}px)`;
    }
  }
  function mark() {
    if (!box) return;
    const to = session && session.point;
    trail = to ? (store.get("trail") || []) : [];
    if (to && (!trail.length || String(trail[trail.length - 1]) !== String(to))) trail = [...trail, to].slice(-40);
    store.set("trail", trail.length ? trail : null);
    cancelAnimationFrame(moving);
    const from = me;
    me = to;
    if (from && to && !still.matches) {
      const began = performance.now();
      const step = (now) => {
        const t = Math.min(1, Math.max(0, (now - began) / 700)), s = t * t * (3 - 2 * t);
        me = [from[0] + s * (to[0] - from[0]), from[1] + s * (to[1] - from[1])];
        frame();
        if (t < 1) moving = requestAnimationFrame(step);
      };
      moving = requestAnimationFrame(step);
    } else frame();
  }
  function nearest(event) {
    if (!box || !size) return null;
    const edge = canvas.getBoundingClientRect(), px = event.clientX - edge.left, py = event.clientY - edge.top;
    let best = null, least = 14 * 14;
    const known = new Set(marks().map(([id]) => id));
    for (let i = 0; i < data.x.length; i++) {
      const [x, y] = spot([data.x[i], data.y[i]]), id = data.movie_ids[i];
      const d = (x - px) ** 2 + (y - py) ** 2 - (known.has(id) ? 60 : 0);
      if (d < least) { least = d; best = id; }
    }
    return best;
  }
  const point = (id) => { if (pointed !== id) { pointed = id; frame(); } };
  canvas.addEventListener("pointermove", (event) => point(nearest(event)));
  canvas.addEventListener("pointerdown", (event) => point(nearest(event)));
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") point(null); });
  // The nearest movie in a direction, where what lies aside counts three times; far: a sixth of the map away at least.
  function next([dx, dy], far) {
    const [px, py] = spot(place(pointed ?? session?.movie?.movie_id) || me || [box.x, box.y]);
    let best = pointed, least = Infinity;
    for (let i = 0; i < data.x.length; i++) {
      const [x, y] = spot([data.x[i], data.y[i]]), ahead = (x - px) * dx + (y - py) * dy, aside = Math.abs((x - px) * dy + (y - py) * dx);
      if (ahead > (far ? size / 6 : 0) && ahead + 3 * aside < least) { least = ahead + 3 * aside; best = data.movie_ids[i]; }
    }
    return best;
  }
  const ways = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape") point(null);
    if (!ways[event.key] || !size) return;
    event.preventDefault();
    point(next(ways[event.key], event.shiftKey));
    if (pointed !== null) say(data.titles[rows.get(pointed)]);
  });
  canvas.addEventListener("blur", () => point(null));
  const genres = () => data ? data.genres.map((one) => one.name) : [];
  return {load, mark, place, tint, point, genres};
})();

// ---------------------------------------------------------------- what the person does

suggest(byId("pick"), pick);
suggest(byId("more"), (movie) => once(async () => {
  await change("PATCH", "", {add_favorite: movie.movie_id});
  say(`${named(movie)} is a favorite now`);
}));
byId("start").addEventListener("submit", (event) => {
  event.preventDefault();
  const wish = byId("wish").value.trim(), user = mine || store.get("user");
  if (!picks.length && !wish && !user) {
    trouble("Name a movie first, or say what you feel like.");
    return byId("pick").focus();
  }
  once(() => start({favorites: picks.map((movie) => movie.movie_id), words: wish ? [wish] : []}));
});
byId("answers").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) answer(button.dataset.answer);
});
byId("why").addEventListener("click", () => { why = !why; once(showWhy); });
byId("undo").addEventListener("click", undo);
function undo() {
  return once(async () => {
    await change("POST", "undo");
    say(`Taken back. ${session.movie ? named(session.movie) : ""}`);
  });
}
byId("tell").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("words").value.trim();
  if (text) once(async () => {
    await change("POST", "tell", {text});
    byId("words").value = "";
    say(`Heard. ${session.movie ? `Now: ${named(session.movie)}` : "No movie is left."}`);
  });
});
byId("dial").addEventListener("input", (event) => dialled(Number(event.target.value)));
byId("dial").addEventListener("change", () => sendLatest("dial", () => ({familiarity: Number(byId("dial").value)})));
byId("filter").addEventListener("change", (event) => {
  if (!event.target.checkValidity()) {
    showFilter(null);
    return trouble("A year has four digits. The filters stay as they were.");
  }
  if (event.target.type === "checkbox" && event.target.checked) {  // a genre can't be wanted and refused
    const other = event.target.closest("#only") ? "without" : "only";
    for (const box of byId(other).querySelectorAll("input")) if (box.value === event.target.value) box.checked = false;
  }
  sendFilter();
});
byId("filter").addEventListener("submit", (event) => { event.preventDefault(); sendFilter(); });
byId("filter").addEventListener("reset", () => setTimeout(() => {
  for (const box of byId("filter").querySelectorAll("input:checked")) box.checked = false;
  sendFilter();
}));
byId("download").addEventListener("click", download);
byId("chat").addEventListener("submit", chat);
byId("anew").addEventListener("click", () => byId("sure").showModal());
byId("anew").addEventListener("click", () => { byId("sure-all").hidden = !store.get("user"); });
byId("sure").addEventListener("close", () => {
  const said = byId("sure").returnValue;
  if (said === "yes" || said === "all") once(async () => {
    if (session) await ask("DELETE", `sessions/${encodeURIComponent(session.session_id)}`);
    if (said === "all") {
      await ask("DELETE", `users/${encodeURIComponent(store.get("user"))}`).catch((error) => { if (error.status !== 404) throw error; });
      store.set(talk(), null);
      store.set("user", null);
      showTalk();
    }
    forget();
    say("A new start");
  });
});
byId("file").addEventListener("change", (event) => { if (event.target.files.length) importFile(event.target.files[0]); });
const drop = byId("drop");
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over-it", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) importFile(event.dataTransfer.files[0]);
  });
}
addEventListener("dragover", (event) => event.preventDefault());  // a file dropped beside the box replaces no page
addEventListener("drop", (event) => event.preventDefault());
byId("keys").checked = store.get("keys") !== false;
document.body.classList.toggle("no-keys", !byId("keys").checked);
byId("keys").addEventListener("change", (event) => {
  store.set("keys", event.target.checked);
  document.body.classList.toggle("no-keys", !event.target.checked);
});
addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=range]):not([type=checkbox]), dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat || view !== "movies" || !byId("keys").checked) return;
  const key = event.key.toLowerCase();
  if (KEYS[key]) answer(KEYS[key]);
  else if (key === "y") byId("why").click();
  else if (key === "u") undo();
  else return;
  event.preventDefault();
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  store.set("token", byId("key").value.trim());
  session = null;
  byId("key").value = "";
  trouble("");
  begin();
});
addEventListener("hashchange", () => { if (!takeToken()) route(); });

// ---------------------------------------------------------------- begin, or go on

function takeToken() {
  const given = /^#token=(.+)$/.exec(location.hash);
  if (!given) return false;
  store.set("token", given[1]);
  session = null;
  history.replaceState(null, "", location.pathname);
  begin();
  return true;
}
async function begin() {
  if (!store.get("token")) return show("key");
  const known = store.get("session");
  view = "";
  if (!known) { showPicks(); route(); }
  try {
    mine = (await ask("GET", "me")).user_id;
  } catch (error) {
    trouble(error.status === 401 ? "This token is not known here, or has ended." : error.message);
    if (error.status === 401) return;
  }
  if (known && !session) {
    try {
      session = await ask("GET", `sessions/${encodeURIComponent(known)}`);
      await draw();
    } catch (error) {
      if (error.status === 404) for (const key of ["session", "trail"]) store.set(key, null);
      else { trouble(error.message); if (error.status === 401) return; }
    }
  }
  showTalk();
  showPicks();
  route();
  await map.load();
}
if (!takeToken()) begin();
})();
