// Which rows a person wants to see. Pure: no document, so that it is tested alone.

export const STATES = [
  ["all", "All"],
  ["releasing", "Releasing"],
  ["waiting", "Waiting"],
  ["paused", "Paused"],
  ["failed", "Failed"],
  ["attention", "Need attention"],
  ["resting", "At rest"],
  ["other", "Other"],
];

const PLACES = {
  ns: (row) => row.namespace,
  name: (row) => row.name,
  image: (row) => row.images,
  by: (row) => row.by ?? "unknown",
  phase: (row) => row.phase,
};

export function isIn(row, state) {
  if (state === "all") return true;
  return state === "attention" ? row.attention !== undefined : row.state === state;
}

// A function that tells whether a row has what the words ask for.
export function matcher(query) {
  const terms = query.toLowerCase().split(/\s+/).filter(Boolean).map(term);
  return (row) => terms.every((fits) => fits(row));
}

function term(word) {
  if (word.startsWith("!") && word.length > 1) {
    const fits = term(word.slice(1));
    return (row) => !fits(row);
  }
  const exact = /^"(.*)"$/.exec(word);
  if (exact) return (row) => row.name === exact[1];
  const [place, rest] = word.split(/:(.*)/s);
  const read = rest !== undefined && Object.hasOwn(PLACES, place) ? PLACES[place] : undefined;
  if (read) return (row) => read(row).toLowerCase().includes(rest);
  return (row) => Object.values(PLACES).some((each) => each(row).toLowerCase().includes(word));
}

export function counts(rows) {
  const count = Object.fromEntries(STATES.map(([state]) => [state, 0]));
  for (const row of rows) {
    for (const [state] of STATES) if (isIn(row, state)) count[state] += 1;
  }
  return count;
}

// The filter as it stands in the address: it can be kept, sent and reloaded.
export function fromAddress(text) {
  const given = new URLSearchParams(text);
  const state = given.get("state") ?? "all";
  return {
    query: given.get("q") ?? "",
    state: STATES.some(([known]) => known === state) ? state : "all",
  };
}

export function toAddress({ query, state }) {
  const kept = new URLSearchParams();
  if (query) kept.set("q", query);
  if (state !== "all") kept.set("state", state);
  const text = kept.toString();
  return text ? `/?${text}` : "/";
}
