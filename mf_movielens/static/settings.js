// Filters and order of the recommendations.

import { describe, filterFields } from './filters.js';
import { emptyState } from './state.js';
import { field, make } from './widgets/elements.js';

const LENGTHS = [5, 10, 20, 50];
const ORDERS = {
  mean: 'expected rating',
  low: 'low end: nothing doubtful',
  high: 'high end: what may surprise',
};

const option = (value, textContent) => make('option', { value, textContent });

export class Settings {
  // models that are served, of which one or two are shown
  constructor({ models, shown, state, onChange, onModels }) {
    Object.assign(this, { state, onChange });
    this.columns = shown[0].item_columns;
    this.resets = []; // functions that show the state in the fields
    const fields = [
      field('Length of the list', this.lengthField()),
      this.slider('Diversity', 'diversity', 1),
      this.slider('Less of what is popular', 'popularity', 3),
    ];
    if (shown.some((model) => model.gives_intervals)) {
      fields.push(field('Order by', this.orderField()));
    }
    if (models.length > 1) fields.unshift(...this.modelFields(models, shown, onModels));
    this.filters = make('div', { className: 'filters' });
    this.active = make('ul', {
      className: 'active',
      ariaLabel: 'filters that are set',
    });
    this.summary = make('summary', { textContent: 'Filters and order' });
    const reset = make('button', {
      type: 'button',
      className: 'quiet',
      textContent: 'Reset all',
    });
    reset.addEventListener('click', () => this.reset());
    const body = make(
      'div',
      { className: 'settings-body' },
      make('div', { className: 'fields' }, ...fields),
      this.filters,
      this.conditionField(),
      reset,
    );
    this.details = make('details', {}, this.summary, body);
    this.element = make('div', { className: 'settings' }, this.details, this.active);
    this.drawFilters();
    this.drawActive();
  }

  change(name, value) {
    this.state[name] = value;
    this.drawActive();
    this.onChange();
  }

  modelFields(models, [first, second], onModels) {
    const names = models.map(({ name }) => name);
    const main = make('select', {}, ...names.map((name) => option(name, name)));
    const others = names.filter((name) => name !== first.name);
    const beside = make(
      'select',
      {},
      option('', 'none'),
      ...others.map((name) => option(name, name)),
    );
    main.value = first.name;
    beside.value = second?.name ?? '';
    main.addEventListener('change', () => {
      const isSame = main.value === beside.value;
      onModels([main.value, isSame ? first.name : beside.value]);
    });
    beside.addEventListener('change', () => onModels([main.value, beside.value]));
    return [field('Model', main), field('Beside it', beside)];
  }

  lengthField() {
    const lengths = new Set([...LENGTHS, this.state.k]);
    const select = make('select', {}, ...[...lengths].map((n) => option(n, n)));
    select.value = this.state.k;
    select.addEventListener('change', () => this.change('k', Number(select.value)));
    return select;
  }

  orderField() {
    const entries = Object.entries(ORDERS);
    const select = make('select', {}, ...entries.map((entry) => option(...entry)));
    const show = () => {
      select.value = this.state.by;
    };
    select.addEventListener('change', () => this.change('by', select.value));
    this.resets.push(show);
    show();
    return select;
  }

  slider(label, name, max) {
    const output = make('span', { className: 'value' });
    const input = make('input', { type: 'range', min: 0, max, step: 0.1 });
    const show = () => {
      input.value = this.state[name];
      output.textContent = this.state[name];
    };
    input.addEventListener('input', () => {
      output.textContent = input.value;
      this.change(name, input.valueAsNumber);
    });
    this.resets.push(show);
    show();
    return make(
      'label',
      { className: 'field' },
      make('span', {}, `${label} `, output),
      input,
    );
  }

  conditionField() {
    this.condition = make('input', {
      type: 'text',
      value: this.state.where,
      spellcheck: false,
      autocomplete: 'off',
      placeholder: this.exampleCondition(),
      autocapitalize: 'off',
      'aria-describedby': 'condition-error',
    });
    this.error = make('p', { id: 'condition-error', className: 'error', hidden: true });
    this.condition.addEventListener('change', () =>
      this.change('where', this.condition.value),
    );
    this.resets.push(() => {
      this.condition.value = this.state.where;
    });
    return make('div', {}, field('Condition', this.condition), this.error);
  }

  exampleCondition() {
    const category = this.columns.find(
      ({ kind, values }) => kind === 'category' && values?.length,
    );
    const first = category
      ? `not ${category.name} == '${category.values[0]}' and `
      : '';
    return `${first}n_ratings > 20`;
  }

  // Text shown at the condition; none if it is empty
  showError(text) {
    this.error.textContent = text;
    this.error.hidden = !text;
    if (text) this.condition.setAttribute('aria-invalid', 'true');
    else this.condition.removeAttribute('aria-invalid');
  }

  drawFilters() {
    const fields = filterFields(this.columns, this.state.filters, (name, filter) =>
      this.change('filters', { ...this.state.filters, [name]: filter }),
    );
    this.filters.replaceChildren(...fields);
  }

  // What is set is told even when the fields are folded, each with a button that unsets it
  drawActive() {
    const { state } = this;
    const entries = describe(state.filters, this.columns);
    const condition = state.where.trim();
    if (condition) entries.push({ name: null, text: condition });
    this.active.replaceChildren(...entries.map((entry) => this.activeFilter(entry)));
    this.active.hidden = !entries.length;
  }

  activeFilter({ name, text }) {
    const remove = make('button', {
      type: 'button',
      textContent: `${text} ×`,
      ariaLabel: `remove the filter ${text}`,
    });
    remove.addEventListener('click', () => {
      if (name === null) this.change('where', '');
      else this.change('filters', { ...this.state.filters, [name]: undefined });
      this.showState();
      (this.active.querySelector('button') ?? this.summary).focus();
    });
    return make('li', {}, remove);
  }

  reset() {
    const empty = emptyState();
    for (const name of ['filters', 'where', 'diversity', 'popularity', 'k', 'by']) {
      this.state[name] = empty[name];
    }
    this.showState();
    this.drawActive();
    this.onChange();
  }

  showState() {
    for (const show of this.resets) show();
    this.drawFilters();
  }
}
