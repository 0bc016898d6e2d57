// Two sliders in powers of two, and a button back to the defaults.

import { make } from '../widgets/elements.js';
import { MAX_STEPS } from './state.js';

class Slider {
  // write(steps) gives the words for a position
  constructor({ id, label, help, write, onInput }) {
    this.write = write;
    this.input = make('input', {
      type: 'range',
      id,
      min: -MAX_STEPS,
      max: MAX_STEPS,
      step: 0.5,
      'aria-describedby': `${id}-help`,
    });
    this.output = make('output', { htmlFor: id, 'aria-live': 'off' });
    this.element = make(
      'div',
      { className: 'slider' },
      make('label', { htmlFor: id, textContent: label }),
      this.output,
      this.input,
      make('small', { id: `${id}-help`, textContent: help }),
    );
    this.input.addEventListener('input', () => {
      this.tell();
      onInput(this.input.valueAsNumber);
    });
  }

  set(steps) {
    this.input.value = steps;
    this.tell();
  }

  tell() {
    const steps = this.input.valueAsNumber;
    const words = this.write(steps) + (steps ? '' : ', the default');
    this.output.textContent = words;
    this.input.setAttribute('aria-valuetext', words);
  }
}

const digits = (value) => String(Number(value.toPrecision(3)));

export class Sliders {
  constructor({ model, onInput }) {
    const { defaultAlpha, reg, damping } = model;
    this.alpha = new Slider({
      id: 'alpha',
      label: 'α, weight of films that you did not rate',
      help: 'More counts films that you did not rate more strongly as not liked: scores fall, and films close to yours come first.',
      write: (steps) => digits(defaultAlpha * 2 ** steps),
      onInput: (steps) => onInput('alpha', steps),
    });
    this.lambda = new Slider({
      id: 'lambda',
      label: 'λ and δ, regularization',
      help: 'More draws your factors towards 0: scores fall, and films that many people like come first.',
      write: (steps) =>
        `λ = ${digits(reg * 2 ** steps)}, δ = ${digits(damping * 2 ** steps)}`,
      onInput: (steps) => onInput('lambda', steps),
    });
    this.reset = make('button', {
      type: 'button',
      className: 'defaults',
      textContent: 'Back to the defaults',
    });
    this.reset.addEventListener('click', () => {
      onInput('alpha', 0);
      onInput('lambda', 0);
    });
    const group = make(
      'div',
      { className: 'sliders', role: 'group', 'aria-label': 'Settings of the model' },
      this.alpha.element,
      this.lambda.element,
      this.reset,
    );
    // above the list, which is seen to move; on a telephone, folded at first
    this.element = make(
      'details',
      { open: matchMedia('(min-width: 60rem)').matches },
      make('summary', { textContent: 'Settings: α and λ' }),
      group,
    );
  }

  set({ alpha, lambda }) {
    this.alpha.set(alpha);
    this.lambda.set(lambda);
  }
}
