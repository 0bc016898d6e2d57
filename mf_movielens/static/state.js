// What the person has said: kept in this browser, and in the address of the page.

export const keyOf = (id) => JSON.stringify(id);

const ADDRESS_PAUSE_MS = 150;
const SIMPLE = ['user', 'where', 'diversity', 'popularity', 'k', 'by'];

export function emptyState() {
  return {
    mode: 'new',
    ratings: [], // [[id, rating], …], last first
    user: null,
    filters: {}, // by column: a list of values, or {low, high}
    where: '',
    diversity: 0,
    popularity: 0,
    k: 10,
    by: 'mean',
  };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isId = (id) => typeof id === 'string' || typeof id === 'number';
const isRating = (pair) =>
  Array.isArray(pair) && isId(pair[0]) && Number.isFinite(pair[1]);

// Values that make no sense, as in an address that was changed, are left out
export function checked(raw) {
  const state = emptyState();
  if (!raw || typeof raw !== 'object') return state;
  if (Array.isArray(raw.ratings)) state.ratings = raw.ratings.filter(isRating);
  if (isId(raw.user)) state.user = raw.user;
  if (raw.mode === 'known') state.mode = 'known';
  const { filters } = raw;
  if (filters && typeof filters === 'object' && !Array.isArray(filters)) {
    for (const [name, filter] of Object.entries(filters)) {
      if (filter && typeof filter === 'object') state.filters[name] = filter;
    }
  }
  if (typeof raw.where === 'string') state.where = raw.where;
  for (const name of ['diversity', 'popularity']) {
    if (Number.isFinite(raw[name])) state[name] = Math.max(0, raw[name]);
  }
  state.diversity = Math.min(1, state.diversity);
  if (Number.isInteger(raw.k) && raw.k > 0 && raw.k <= 100) state.k = raw.k;
  if (['mean', 'low', 'high'].includes(raw.by)) state.by = raw.by;
  return state;
}

// The fragment has only what differs from an empty state, and from the usual models
export function toFragment(state, models = null) {
  const empty = emptyState();
  const words = new URLSearchParams();
  if (state.mode === 'known') words.set('mode', 'known');
  for (const name of SIMPLE) {
    if (state[name] !== empty[name]) words.set(name, JSON.stringify(state[name]));
  }
  if (state.ratings.length) words.set('ratings', JSON.stringify(state.ratings));
  if (Object.keys(state.filters).length) {
    words.set('filters', JSON.stringify(state.filters));
  }
  if (models) words.set('models', JSON.stringify(models));
  return words.toString();
}

// Names of the models in an address, or null
export function modelsOf(fragment) {
  const names = parse(new URLSearchParams(fragment.replace(/^#/, '')).get('models'));
  return Array.isArray(names) ? names : null;
}

export function fromFragment(fragment) {
  const words = new URLSearchParams(fragment.replace(/^#/, ''));
  const raw = { mode: words.get('mode') ?? 'new' };
  for (const name of [...SIMPLE, 'ratings', 'filters']) {
    if (words.has(name)) raw[name] = parse(words.get(name));
  }
  return Object.keys(raw).length > 1 || raw.mode === 'known' ? checked(raw) : null;
}

export class Store {
  constructor(name, models = null) {
    this.key = `mf-movielens:${name}`;
    this.models = models;
  }

  load() {
    try {
      const kept = localStorage.getItem(this.key);
      return kept ? checked(parse(kept)) : emptyState();
    } catch {
      return emptyState();
    }
  }

  save(state) {
    try {
      localStorage.setItem(this.key, JSON.stringify(state));
    } catch {
      // storage may be full or forbidden; the address still has everything
    }
    this.fragment = toFragment(state, this.models);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.writeAddress(), ADDRESS_PAUSE_MS);
  }

  // Browsers refuse to change the address at each step of a slider
  writeAddress() {
    clearTimeout(this.timer);
    if (this.fragment === undefined) return;
    const here = location.pathname + location.search;
    history.replaceState(null, '', this.fragment ? `${here}#${this.fragment}` : here);
    this.fragment = undefined;
  }
}
