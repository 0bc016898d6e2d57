// Filters by the columns of the items, and the condition of `where` that they make.

import { make } from './widgets/elements.js';

const MAX_CHIPS = 24;

// A Python literal; JSON writes text as Python reads it
const literal = (value) => JSON.stringify(value);
const quoted = (name) => `\`${name}\``;

const isEmpty = (filter) =>
  !filter || (Array.isArray(filter) ? !filter.length : !filter.low && !filter.high);

export const nameOf = (column) =>
  column === 'n_ratings' ? 'number of ratings' : column.replaceAll('_', ' ');

// Known of all items, whatever their table holds
const N_RATINGS = { name: 'n_ratings', kind: 'number', low: 0, high: 'any' };

// The columns that can be filtered
export function filterable(columns) {
  const isThere = columns.some(({ name }) => name === N_RATINGS.name);
  const all = isThere ? columns : [N_RATINGS, ...columns];
  return all.filter(({ name, kind, values, low, high }) => {
    if (name === 'item' || name.includes('`')) return false;
    if (kind === 'category') return values?.length > 0;
    return (kind === 'number' || kind === 'date') && low != null && low !== high;
  });
}

export function toWhere(filters, columns, condition) {
  const parts = [];
  for (const { name, kind } of filterable(columns)) {
    const filter = filters[name];
    if (isEmpty(filter)) continue;
    if (Array.isArray(filter)) {
      if (kind === 'category') parts.push(`${quoted(name)} in ${literal(filter)}`);
      continue;
    }
    const end = (value) => (kind === 'date' ? literal(value) : Number(value));
    if (filter.low) parts.push(`${quoted(name)} >= ${end(filter.low)}`);
    if (filter.high) parts.push(`${quoted(name)} <= ${end(filter.high)}`);
  }
  if (condition.trim()) parts.push(parts.length ? `(${condition})` : condition.trim());
  return parts.join(' and ');
}

export function describe(filters, columns) {
  const entries = [];
  for (const { name } of filterable(columns)) {
    const filter = filters[name];
    if (isEmpty(filter)) continue;
    let text;
    if (Array.isArray(filter)) text = filter.join(' or ');
    else if (filter.low && filter.high) text = `${filter.low} to ${filter.high}`;
    else text = filter.low ? `from ${filter.low}` : `up to ${filter.high}`;
    entries.push({ name, text: `${nameOf(name)}: ${text}` });
  }
  return entries;
}

function chip(column, value, filter, onChange) {
  const box = make('input', { type: 'checkbox', checked: filter.has(value) });
  box.addEventListener('change', () => {
    if (box.checked) filter.add(value);
    else filter.delete(value);
    onChange(column, [...filter]);
  });
  return make(
    'label',
    { className: 'chip' },
    box,
    make('span', { textContent: value }),
  );
}

function categoryFilter({ name, values }, chosen, onChange) {
  const filter = new Set(Array.isArray(chosen) ? chosen : []);
  const chips = make('div', { className: 'chips' });
  const legend = make('legend', { textContent: nameOf(name) });
  if (values.length <= MAX_CHIPS) {
    chips.append(...values.map((value) => chip(name, value, filter, onChange)));
    return make('fieldset', {}, legend, chips);
  }
  const choice = make(
    'select',
    { ariaLabel: `add a value of ${nameOf(name)}` },
    make('option', { value: '', textContent: 'Add …' }),
    ...values.map((value) => make('option', { value, textContent: value })),
  );
  choice.addEventListener('change', () => {
    if (choice.value && !filter.has(choice.value)) {
      filter.add(choice.value);
      chips.append(chip(name, choice.value, filter, onChange));
      onChange(name, [...filter]);
    }
    choice.value = '';
  });
  chips.append(...[...filter].map((value) => chip(name, value, filter, onChange)));
  return make('fieldset', {}, legend, choice, chips);
}

function rangeFilter({ name, kind, low, high }, chosen, onChange) {
  const filter = { low: '', high: '', ...chosen };
  const end = (which, word) => {
    const type = kind === 'date' ? 'date' : 'number';
    const bound = which === 'low' ? low : high;
    const input = make('input', {
      type,
      value: filter[which],
      placeholder: kind === 'date' ? '' : String(bound),
      ariaLabel: `${nameOf(name)} ${word}`,
    });
    if (kind === 'date')
      [input.min, input.max] = [low, high].map((d) => d.slice(0, 10));
    else input.step = 'any';
    input.addEventListener('change', () => {
      filter[which] = input.value;
      onChange(name, { ...filter });
    });
    return input;
  };
  return make(
    'fieldset',
    {},
    make('legend', { textContent: nameOf(name) }),
    make('div', { className: 'range' }, end('low', 'from'), 'to', end('high', 'up to')),
  );
}

// The fields for the columns; onChange(column, filter)
export function filterFields(columns, filters, onChange) {
  const isCategory = ({ kind }) => kind === 'category';
  const shown = filterable(columns);
  return [
    ...shown.filter((column) => !isCategory(column)),
    ...shown.filter(isCategory),
  ].map((column) => {
    const create = isCategory(column) ? categoryFilter : rangeFilter;
    return create(column, filters[column.name], onChange);
  });
}
