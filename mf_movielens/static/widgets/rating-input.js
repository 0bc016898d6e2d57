// One rating: stars on a short scale, a number on any other, nothing for a like.

import { make, makeSvg } from './elements.js';

export const STAR =
  '12,2 15.1,8.6 22,9.5 17,14.4 18.2,21.5 12,18.1 5.8,21.5 7,14.4 2,9.5 8.9,8.6';
const LEFT_HALF = '12,2 12,18.1 5.8,21.5 7,14.4 2,9.5 8.9,8.6';
const MAX_STARS = 10;

export const ratingText = (value) => String(Math.round(value * 100) / 100);

// scale: {kind, low, high}, as /api/models tells it
export function hasStars({ kind, low, high }) {
  return kind === 'stars' && low >= 0 && high <= MAX_STARS && high > low;
}

class StarInput {
  constructor({ scale, value, label, onChange }) {
    Object.assign(this, { scale, value, onChange });
    this.step = scale.low % 1 || scale.high % 1 ? 0.5 : 1;
    this.nStars = Math.ceil(scale.high);
    this.svg = makeSvg('svg', {
      viewBox: `0 0 ${this.nStars * 24} 24`,
      'aria-hidden': 'true',
    });
    this.parts = [];
    for (let star = 1; star <= this.nStars; star++) {
      this.addPart(STAR, star, star);
      if (this.step < 1) this.addPart(LEFT_HALF, star, star - 0.5);
    }
    this.number = make('span', { className: 'number', 'aria-hidden': 'true' });
    this.element = make(
      'span',
      {
        className: 'stars',
        tabIndex: 0,
        role: 'slider',
        'aria-label': label,
        'aria-valuemin': scale.low,
        'aria-valuemax': scale.high,
      },
      this.svg,
      this.nStars > 5 || this.step < 1 ? this.number : null,
    );
    this.svg.classList.toggle('many', this.nStars > 5);
    this.listen();
    this.show(value);
  }

  // A part is lit from some value on; the left half lies on its star
  addPart(points, star, from) {
    const transform = `translate(${(star - 1) * 24} 0)`;
    const part = makeSvg('polygon', { points, transform });
    this.parts.push({ part, from });
    this.svg.append(part);
  }

  listen() {
    const { svg, element } = this;
    element.addEventListener('keydown', (event) => this.onKey(event));
    svg.addEventListener('pointerdown', (event) => {
      if (event.button) return;
      svg.setPointerCapture(event.pointerId);
      element.focus({ preventScroll: true });
      this.show(this.valueAt(event));
    });
    svg.addEventListener('pointermove', (event) => {
      if (svg.hasPointerCapture(event.pointerId)) this.show(this.valueAt(event));
    });
    svg.addEventListener('pointerup', (event) => this.commit(this.valueAt(event)));
    svg.addEventListener('pointercancel', () => this.show(this.value));
  }

  valueAt(event) {
    const { left, width } = this.svg.getBoundingClientRect();
    return this.allowed(((event.clientX - left) / width) * this.nStars);
  }

  allowed(value) {
    const stepped = Math.ceil(value / this.step - 1e-9) * this.step;
    return Math.min(this.scale.high, Math.max(this.scale.low, stepped));
  }

  onKey(event) {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    const { low, high } = this.scale;
    let value;
    if (by && this.value == null) value = by > 0 ? low : high;
    else if (by) value = this.value + by * this.step;
    else if (event.key === 'Home') value = low;
    else if (event.key === 'End') value = high;
    else if (/^[1-9]$/.test(event.key)) value = Number(event.key);
    if (value === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.commit(this.allowed(value));
  }

  commit(value) {
    this.show(value);
    if (value === this.value) return;
    this.value = value;
    this.onChange(value);
  }

  set(value) {
    this.value = value;
    this.show(value);
  }

  show(value) {
    const none = value == null;
    for (const { part, from } of this.parts) {
      part.setAttribute('class', !none && value >= from ? 'on' : 'off');
    }
    this.element.setAttribute('aria-valuenow', none ? this.scale.low : value);
    const text = none ? 'not rated' : `${ratingText(value)} of ${this.scale.high}`;
    this.element.setAttribute('aria-valuetext', text);
    this.number.textContent = none ? '' : ratingText(value);
  }
}

class NumberInput {
  constructor({ scale, value, label, onChange }) {
    this.input = make('input', {
      type: 'number',
      className: 'rating',
      step: 'any',
      inputMode: 'decimal',
      ariaLabel: label,
    });
    this.input.min = scale.kind === 'stars' ? scale.low : 0;
    if (scale.kind === 'stars') this.input.max = scale.high;
    this.input.addEventListener('change', () => {
      if (this.input.value !== '') onChange(this.input.valueAsNumber);
    });
    this.element = this.input;
    this.set(value);
  }

  set(value) {
    if (document.activeElement === this.input && this.input.valueAsNumber === value) {
      return;
    }
    this.input.value = value ?? '';
  }
}

class NoInput {
  constructor() {
    this.element = make('span', { hidden: true });
  }

  set() {}
}

// options: {scale, value, label, onChange}; what it returns has .element and .set(value)
export function ratingInput(options) {
  if (options.scale.kind === 'likes') return new NoInput();
  return hasStars(options.scale) ? new StarInput(options) : new NumberInput(options);
}
