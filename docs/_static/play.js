// Recommend films to a new user, in the page: the fold-in of Recommender.fold_in.
// No library is needed.
(() => {
  const WIDTH = 800;
  const HEIGHT = 520;
  const MARGIN = 20;
  const SVG = 'http://www.w3.org/2000/svg';

  // elements

  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  function makeSvg(tag, attributes = {}) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) {
      element.setAttribute(name, value);
    }
    return element;
  }

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

  // the map

  class FilmMap {
    constructor(data, onClick) {
      this.data = data;
      this.labels = [];
      this.tip = make('div', { className: 'tip', hidden: true });
      this.svg = makeSvg('svg', {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        role: 'img',
        'aria-label': 'Map of the films; the list tells the same in words',
      });
      const bounds = (values) => [Math.min(...values), Math.max(...values)];
      [this.left, this.right] = bounds(data.x);
      [this.bottom, this.top] = bounds(data.y);
      this.points = data.titles.map((_, item) => this.addPoint(item, onClick));
      this.element = make('div', { className: 'map' }, this.svg, this.tip);
    }

    position(item) {
      const across = (this.data.x[item] - this.left) / (this.right - this.left);
      const up = (this.data.y[item] - this.bottom) / (this.top - this.bottom);
      return [
        MARGIN + across * (WIDTH - 2 * MARGIN),
        HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN),
      ];
    }

    addPoint(item, onClick) {
      const [cx, cy] = this.position(item);
      const fill = this.data.colours[this.data.genre[item]];
      const point = makeSvg('circle', { cx, cy, r: 6, fill });
      point.addEventListener('pointerenter', () => this.showTip(item));
      point.addEventListener('pointerleave', () => {
        this.tip.hidden = true;
      });
      point.addEventListener('click', () => {
        this.showTip(item);
        onClick(item);
      });
      this.svg.append(point);
      return point;
    }

    showTip(item) {
      const [x, y] = this.position(item);
      this.tip.textContent = this.data.titles[item];
      this.tip.hidden = false;
      this.tip.style.left = `clamp(5rem, ${(x / WIDTH) * 100}%, calc(100% - 5rem))`;
      this.tip.style.top = `${(y / HEIGHT) * 100}%`;
    }

    mark(ratings, recommended) {
      const top = new Set(recommended.map(([item]) => item));
      this.points.forEach((point, item) => {
        const mark = ratings.has(item) ? 'rated' : top.has(item) ? 'top' : '';
        point.setAttribute('class', mark);
        point.setAttribute('fill-opacity', mark || !ratings.size ? 1 : 0.35);
      });
      for (const label of this.labels) label.remove();
      this.labels = [...ratings.keys()].map((item) => this.addLabel(item));
    }

    addLabel(item) {
      const [x, y] = this.position(item);
      const isRight = x > WIDTH * 0.7;
      const label = makeSvg('text', {
        x: x + (isRight ? -10 : 10),
        y: y + 4,
        'text-anchor': isRight ? 'end' : 'start',
      });
      label.textContent = this.data.titles[item];
      this.svg.append(label);
      return label;
    }
  }

  // the page

  class Page {
    constructor(data) {
      this.data = data;
      this.model = new Model(data);
      this.ratings = new Map();
      this.items = new Map(data.titles.map((title, i) => [title.toLowerCase(), i]));
      this.status = make('p', { role: 'status' });
      this.history = make('ul', { className: 'history' });
      this.recommended = make('ol', { id: 'recommended' });
      this.map = new FilmMap(data, (item) => this.add(item));
    }

    elements() {
      const section = (heading, list) =>
        make('section', {}, make('h3', { textContent: heading }), list);
      return [
        this.form(),
        this.status,
        make(
          'div',
          { className: 'columns' },
          section('Your ratings', this.history),
          section('Recommended', this.recommended),
        ),
        this.map.element,
        this.legend(),
      ];
    }

    form() {
      const films = this.data.titles.map((title) => make('option', { value: title }));
      this.input = make('input', { type: 'text', id: 'film', autocomplete: 'off' });
      this.input.setAttribute('list', 'films');
      const form = make(
        'form',
        { className: 'line' },
        make('label', { htmlFor: 'film', textContent: 'A film' }),
        this.input,
        make('datalist', { id: 'films' }, ...films),
        make('button', { textContent: 'Add' }),
      );
      form.addEventListener('submit', (event) => {
        event.preventDefault();
        this.submit(this.input.value.trim());
      });
      return form;
    }

    legend() {
      const entries = this.data.genres.map((genre, j) => {
        const dot = make('i');
        dot.style.background = this.data.colours[j];
        return make('li', {}, dot, genre);
      });
      return make('ul', { className: 'legend' }, ...entries);
    }

    // the item of that title, else the first whose title has the text in it, else -1
    find(text) {
      if (!text) return -1;
      const lower = text.toLowerCase();
      const first = () =>
        this.data.titles.findIndex((title) => title.toLowerCase().includes(lower));
      return this.items.get(lower) ?? first();
    }

    submit(text) {
      const item = this.find(text);
      if (item >= 0) {
        this.status.textContent = `${this.data.titles[item]} added.`;
        this.input.value = '';
        this.add(item);
      } else if (text) {
        this.status.textContent =
          `No film here is called “${text}”. ` +
          'Those that are here come up as you type.';
      } else {
        this.status.textContent = 'Type a title, or touch a point of the map.';
      }
    }

    add(item, stars = 5) {
      if (!this.ratings.has(item)) this.ratings.set(item, stars);
      this.draw();
    }

    draw() {
      const found = this.ratings.size ? this.model.recommend(this.ratings) : [];
      const rated = [...this.ratings].map(([item, stars]) =>
        this.ratedFilm(item, stars),
      );
      this.history.replaceChildren(...rated);
      const films = found.map(([item, score]) =>
        make(
          'li',
          { textContent: `${this.data.titles[item]} ` },
          make('small', { textContent: score.toFixed(2) }),
        ),
      );
      this.recommended.replaceChildren(...films);
      this.map.mark(this.ratings, found);
    }

    ratedFilm(item, stars) {
      const title = this.data.titles[item];
      const options = [5, 4, 3, 2, 1].map((value) =>
        make('option', {
          value,
          textContent: '★'.repeat(value),
          selected: value === stars,
        }),
      );
      const choice = make('select', { ariaLabel: `stars for ${title}` }, ...options);
      choice.addEventListener('change', () => {
        this.ratings.set(item, Number(choice.value));
        this.draw();
      });
      const remove = make('button', {
        type: 'button',
        textContent: '×',
        ariaLabel: `remove ${title}`,
      });
      remove.addEventListener('click', () => {
        this.ratings.delete(item);
        this.draw();
      });
      const name = make('span', { className: 'title', textContent: title });
      return make('li', {}, name, choice, remove);
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
    place.replaceChildren(...page.elements());
    for (const title of data.example) page.add(page.find(title));
    window.play = page; // for those who look, and for the tests
  }

  start();
})();
