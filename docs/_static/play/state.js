// What a visitor has said: kept in this browser, and in the address of the page.
// Films are named by their MovieLens ids, so that an old address keeps its meaning.

const KEY = 'mf-movielens:play';
const ADDRESS_PAUSE_MS = 200; // browsers refuse to change the address at each step
export const MAX_STEPS = 5; // of a slider, in powers of two

export function emptyState() {
  return {
    ratings: new Map(), // id: stars
    unseen: new Set(), // ids
    alpha: 0, // powers of two
    lambda: 0,
    tab: 'recommended',
  };
}

const isStars = (value) => Number.isInteger(value) && value >= 1 && value <= 5;

function steps(value) {
  if (!Number.isFinite(value)) return 0;
  return Math.round(Math.max(-MAX_STEPS, Math.min(MAX_STEPS, value)) * 2) / 2;
}

// Values that make no sense, as in an address that was changed, are left out
function checked(raw, isKnown) {
  const state = emptyState();
  for (const [id, stars] of Array.isArray(raw.ratings) ? raw.ratings : []) {
    if (isKnown(id) && isStars(stars)) state.ratings.set(id, stars);
  }
  for (const id of Array.isArray(raw.unseen) ? raw.unseen : []) {
    if (isKnown(id)) state.unseen.add(id);
  }
  state.alpha = steps(raw.alpha);
  state.lambda = steps(raw.lambda);
  if (raw.tab === 'uncertainty') state.tab = raw.tab;
  return state;
}

// ratings=100:5,183:4&alpha=1&lambda=-0.5&tab=uncertainty, without what is as at first
export function toFragment({ ratings, alpha, lambda, tab }) {
  const words = [];
  if (ratings.size) {
    words.push(`ratings=${[...ratings].map((pair) => pair.join(':')).join(',')}`);
  }
  if (alpha) words.push(`alpha=${alpha}`);
  if (lambda) words.push(`lambda=${lambda}`);
  if (tab !== 'recommended') words.push(`tab=${tab}`);
  return words.join('&');
}

// The state in a fragment, or null if there is none, as in the address of a heading
export function fromFragment(fragment, isKnown) {
  const words = new URLSearchParams(fragment.replace(/^#/, ''));
  if (!['ratings', 'alpha', 'lambda', 'tab'].some((name) => words.has(name))) {
    return null;
  }
  const pairs = (words.get('ratings') ?? '').split(',').filter(Boolean);
  return checked(
    {
      ratings: pairs.map((pair) => pair.split(':').map(Number)),
      alpha: Number(words.get('alpha')),
      lambda: Number(words.get('lambda')),
      tab: words.get('tab'),
    },
    isKnown,
  );
}

export const haveSameRatings = (a, b) =>
  a.size === b.size && [...a].every(([id, stars]) => b.get(id) === stars);

// Whether the address is of the kept ratings, as it is after a reload
export const isOwnAddress = () => history.state?.isOwn === true;

export class Store {
  constructor(isKnown) {
    this.isKnown = isKnown;
  }

  load() {
    try {
      const raw = JSON.parse(localStorage.getItem(KEY));
      return raw && typeof raw === 'object' ? checked(raw, this.isKnown) : emptyState();
    } catch {
      return emptyState();
    }
  }

  save(state) {
    const { ratings, unseen, alpha, lambda, tab } = state;
    const raw = { ratings: [...ratings], unseen: [...unseen], alpha, lambda, tab };
    try {
      localStorage.setItem(KEY, JSON.stringify(raw));
    } catch {
      // storage may be full or forbidden; the address still has everything
    }
  }

  clear() {
    try {
      localStorage.removeItem(KEY);
    } catch {
      // then nothing is kept
    }
  }

  // The address of what is shown, for the bar of the browser. It follows after a
  // pause, so its entry in the history is marked where the kept ratings are newer.
  show(state, isOwn) {
    clearTimeout(this.timer);
    this.mark(isOwn, location.href);
    this.timer = setTimeout(() => {
      const fragment = toFragment(state);
      const here = location.pathname + location.search;
      this.mark(isOwn, fragment ? `${here}#${fragment}` : here);
    }, ADDRESS_PAUSE_MS);
  }

  mark(isOwn, address) {
    if (isOwn === isOwnAddress() && address === location.href) return;
    history.replaceState({ ...history.state, isOwn }, '', address);
  }

  linkTo(state) {
    return `${location.href.split('#')[0]}#${toFragment(state)}`;
  }
}
