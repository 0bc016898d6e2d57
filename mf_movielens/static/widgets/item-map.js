// A map of items: a point for each, in the colour of its group. A click or a touch shows
// the title of the nearest point, and a button that does something with the item.

import { make, makeSvg } from './elements.js';

const MARGIN = 20;
const REACH = 28; // of a click or touch, in pixels
const N_COLOURS = 9; // the last one is that of all other groups
const MAX_LABELS = 12;

const overlap = (a, b) =>
  a.x < b.x + b.width &&
  b.x < a.x + a.width &&
  a.y < b.y + b.height &&
  b.y < a.y + a.height;

export class ItemMap {
  // items: [{key, title, x, y, group}]; groups: names, most important first
  constructor({ label, items, groups, action, onAction }) {
    Object.assign(this, { items, groups, action, onAction });
    this.labels = [];
    this.rated = new Set();
    this.selected = null;
    const bounds = (values) => [Math.min(...values), Math.max(...values)];
    [this.left, this.right] = bounds(items.map((item) => item.x));
    [this.bottom, this.top] = bounds(items.map((item) => item.y));
    this.svg = makeSvg('svg', { role: 'img', 'aria-label': label });
    this.points = items.map((item) => this.addPoint(item));
    this.tip = make('div', { className: 'tip', hidden: true });
    this.caption = make('p', { className: 'map-caption' });
    this.frame = make('div', { className: 'map' }, this.svg, this.tip);
    this.element = make('div', {}, this.frame, this.caption, this.legend());
    this.listen();
    this.select(null);
  }

  colourOf(group) {
    const j = this.groups.indexOf(group);
    return `group-${j < 0 ? N_COLOURS - 1 : Math.min(j, N_COLOURS - 1)}`;
  }

  addPoint(item) {
    const point = makeSvg('circle', { class: this.colourOf(item.group) });
    this.svg.append(point);
    return point;
  }

  legend() {
    const entries = this.groups.map((group) =>
      make('li', {}, make('i', { className: this.colourOf(group) }), group),
    );
    return make(
      'ul',
      { className: 'legend' },
      ...entries,
      make('li', {}, make('i', { className: 'ring rated' }), 'rated'),
      make('li', {}, make('i', { className: 'ring top' }), 'recommended'),
    );
  }

  listen() {
    new ResizeObserver(() => this.place()).observe(this.frame);
    this.svg.addEventListener('pointermove', (event) => {
      if (event.pointerType === 'mouse') this.showTip(this.nearest(event));
    });
    this.svg.addEventListener('pointerleave', () => this.showTip(null));
    this.svg.addEventListener('click', (event) => this.select(this.nearest(event)));
  }

  place() {
    this.width = this.svg.clientWidth;
    this.height = this.svg.clientHeight;
    if (!this.width) return;
    this.svg.setAttribute('viewBox', `0 0 ${this.width} ${this.height}`);
    this.points.forEach((point, j) => {
      const [x, y] = this.position(this.items[j]);
      point.setAttribute('cx', x);
      point.setAttribute('cy', y);
      point.setAttribute('r', this.width < 600 ? 4 : 5.5);
    });
    this.label();
  }

  position({ x, y }) {
    const across = (x - this.left) / (this.right - this.left || 1);
    const up = (y - this.bottom) / (this.top - this.bottom || 1);
    return [
      MARGIN + across * (this.width - 2 * MARGIN),
      this.height - MARGIN - up * (this.height - 2 * MARGIN),
    ];
  }

  nearest(event) {
    const { left, top } = this.svg.getBoundingClientRect();
    let best = null;
    let least = REACH;
    for (const item of this.items) {
      const [x, y] = this.position(item);
      const distance = Math.hypot(event.clientX - left - x, event.clientY - top - y);
      if (distance < least) [best, least] = [item, distance];
    }
    return best;
  }

  showTip(item) {
    this.tip.hidden = !item;
    if (!item) return;
    const [x, y] = this.position(item);
    this.tip.textContent = item.title;
    const half = this.tip.offsetWidth / 2;
    this.tip.style.left = `${Math.max(half, Math.min(this.width - half, x))}px`;
    this.tip.style.top = `${y}px`;
    this.tip.classList.toggle('below', y < 50);
  }

  select(item) {
    this.selected = item;
    this.showTip(item);
    if (!item) {
      this.caption.textContent = 'Touch or click a point to see what it is.';
    } else {
      const button = make('button', { type: 'button', textContent: this.action });
      button.addEventListener('click', () => this.onAction(item.key));
      const name = make('strong', { textContent: item.title });
      this.caption.replaceChildren(name, item.group ? ` ${item.group} ` : ' ', button);
    }
    this.points.forEach((point, j) => {
      point.classList.toggle('selected', this.items[j] === item);
    });
  }

  // rated and top are sets of keys
  mark(rated, top) {
    this.rated = rated;
    this.points.forEach((point, j) => {
      const item = this.items[j];
      const isRated = rated.has(item.key);
      const isTop = !isRated && top.has(item.key);
      point.classList.toggle('rated', isRated);
      point.classList.toggle('top', isTop);
      point.classList.toggle('quiet', !isRated && !isTop && rated.size > 0);
    });
    // what is marked lies above what is not
    for (const point of this.svg.querySelectorAll('.top, .rated'))
      this.svg.append(point);
    this.label();
  }

  label() {
    for (const label of this.labels) label.remove();
    if (!this.width) return;
    this.labels = [];
    const boxes = [];
    for (const item of this.items) {
      if (this.labels.length === MAX_LABELS) return;
      if (!this.rated.has(item.key)) continue;
      const label = this.addLabel(item);
      const box = label.getBBox();
      if (boxes.some((other) => overlap(box, other))) label.remove();
      else {
        this.labels.push(label);
        boxes.push(box);
      }
    }
  }

  addLabel(item) {
    const [x, y] = this.position(item);
    const isRight = x > this.width * 0.6;
    const label = makeSvg('text', {
      x: x + (isRight ? -10 : 10),
      y: y + 4,
      'text-anchor': isRight ? 'end' : 'start',
    });
    label.textContent = item.title;
    this.svg.append(label);
    return label;
  }
}
