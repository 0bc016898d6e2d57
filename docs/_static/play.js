// Recommend films to a new user, in the page: the fold-in of Recommender.fold_in.
// No library is needed. The elements are those of the app of `mf-movielens serve`.

import { drawList, make } from './widgets/elements.js';
import { ItemMap } from './widgets/item-map.js';
import { RatedList } from './widgets/rated-list.js';
import { SearchBox } from './widgets/search-box.js';

const STARS = { kind: 'stars', low: 1, high: 5 };
const N_FOUND = 12;

// the model

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

class Model {
  constructor(data) {
    this.data = data;
    this.nFactors = data.n_factors;
    this.rounded = new Int8Array(bytes(data.factors).buffer);
    this.scale = new Float32Array(bytes(data.factor_scale).buffer);
    this.gram = new Float32Array(bytes(data.gram).buffer);
  }

  itemFactors(item) {
    const first = item * this.nFactors;
    return Float64Array.from(this.scale, (s, f) => this.rounded[first + f] * s);
  }

  // (alpha QᵀQ + Σ q qᵀ + (reg n + damping) I) p = Σ y q; ratings maps items to stars
  foldIn(ratings) {
    const { alpha, reg, damping } = this.data;
    const size = this.nFactors;
    const matrix = Array.from({ length: size }, (_, a) =>
      Float64Array.from({ length: size }, (_, b) => alpha * this.gram[a * size + b]),
    );
    const target = new Float64Array(size);
    for (const [item, stars] of ratings) {
      const factors = this.itemFactors(item);
      for (let a = 0; a < size; a++) {
        target[a] += ((stars - 1) / 4) * factors[a];
        for (let b = 0; b < size; b++) matrix[a][b] += factors[a] * factors[b];
      }
    }
    for (let a = 0; a < size; a++) matrix[a][a] += reg * ratings.size + damping;
    return solve(matrix, target);
  }

  recommend(ratings, k = 10) {
    const userFactors = this.foldIn(ratings);
    const scored = [];
    for (let item = 0; item < this.data.titles.length; item++) {
      if (ratings.has(item)) continue;
      const factors = this.itemFactors(item);
      scored.push([item, factors.reduce((sum, q, f) => sum + q * userFactors[f], 0)]);
    }
    return scored.sort((a, b) => b[1] - a[1]).slice(0, k);
  }
}

// Solve a positive definite system by Cholesky's method, in place
function solve(matrix, x) {
  const size = x.length;
  for (let a = 0; a < size; a++) {
    for (let b = 0; b <= a; b++) {
      let rest = matrix[a][b];
      for (let c = 0; c < b; c++) rest -= matrix[a][c] * matrix[b][c];
      matrix[a][b] = a === b ? Math.sqrt(rest) : rest / matrix[b][b];
    }
  }
  for (let a = 0; a < size; a++) {
    for (let c = 0; c < a; c++) x[a] -= matrix[a][c] * x[c];
    x[a] /= matrix[a][a];
  }
  for (let a = size - 1; a >= 0; a--) {
    for (let c = a + 1; c < size; c++) x[a] -= matrix[c][a] * x[c];
    x[a] /= matrix[a][a];
  }
  return x;
}

// the page

class Page {
  constructor(data) {
    this.data = data;
    this.model = new Model(data);
    this.ratings = new Map();
    this.items = new Map(data.titles.map((title, i) => [title.toLowerCase(), i]));
    this.status = make('p', { role: 'status' });
    this.recommended = make('ol', { id: 'recommended' });
    this.search = new SearchBox({
      id: 'film',
      label: 'A film',
      placeholder: 'Type a part of its title',
      atOnce: true,
      find: (text) => this.matches(text),
      pick: ({ key, title }) => {
        this.status.textContent = `${title} added.`;
        this.add(key);
      },
      none: (text) => {
        this.status.textContent = text
          ? `No film here is called “${text}”. Those that are here come up as you type.`
          : 'Type a title, or touch a point of the map.';
      },
    });
    this.history = new RatedList({
      scale: STARS,
      onChange: (item, stars) => {
        this.ratings.set(item, stars);
        this.draw();
      },
      onRemove: (item) => {
        this.ratings.delete(item);
        this.draw();
      },
      onEmpty: () => this.search.input.focus(),
    });
    this.map = new ItemMap({
      label: 'Map of the films; the list tells the same in words',
      items: data.titles.map((title, item) => ({
        key: item,
        title,
        x: data.x[item],
        y: data.y[item],
        group: data.genres[data.genre[item]],
      })),
      groups: data.genres,
      action: 'Add',
      onAction: (item) => {
        this.status.textContent = `${data.titles[item]} added.`;
        this.add(item);
      },
    });
  }

  elements() {
    const section = (heading, list) =>
      make('section', {}, make('h3', { textContent: heading }), list);
    return [
      this.search.element,
      this.status,
      make(
        'div',
        { className: 'columns' },
        section('Your ratings', this.history.element),
        section('Recommended', this.recommended),
      ),
      this.map.element,
    ];
  }

  // Films whose title has the text in it, words that begin with it first
  matches(text) {
    const lower = text.toLowerCase();
    const begins = (title) => ` ${title.toLowerCase()}`.includes(` ${lower}`);
    const found = this.data.titles
      .map((title, key) => ({ key, title }))
      .filter(({ title }) => title.toLowerCase().includes(lower));
    const first = found.filter(({ title }) => begins(title));
    const rest = found.filter(({ title }) => !begins(title));
    return lower ? [...first, ...rest].slice(0, N_FOUND) : [];
  }

  // the item of that title, else the first whose title has the text in it, else -1
  find(text) {
    return this.items.get(text.toLowerCase()) ?? this.matches(text)[0]?.key ?? -1;
  }

  add(item, stars = 5) {
    if (!this.ratings.has(item)) this.ratings.set(item, stars);
    this.draw();
  }

  draw() {
    const found = this.ratings.size ? this.model.recommend(this.ratings) : [];
    const { titles } = this.data;
    const rated = [...this.ratings];
    this.history.draw(
      rated.map(([key, rating]) => ({ key, title: titles[key], rating })),
    );
    drawList(this.recommended, found, {
      key: ([item]) => item,
      create: ([item]) => {
        const score = make('small');
        return { element: make('li', {}, `${titles[item]} `, score), score };
      },
      update: (row, [, score]) => {
        row.score.textContent = score.toFixed(2);
      },
      moves: true,
    });
    const top = new Set(found.map(([item]) => item));
    this.map.mark(new Set(this.ratings.keys()), top);
  }
}

async function start() {
  const place = document.getElementById('play');
  if (!place) return;
  let data;
  try {
    data = await (await fetch(place.dataset.source)).json();
  } catch {
    return; // the picture stays
  }
  const page = new Page(data);
  place.classList.add('widgets');
  place.replaceChildren(...page.elements());
  for (const title of data.example) page.add(page.find(title));
  window.play = page; // for those who look, and for the tests
}

start();
