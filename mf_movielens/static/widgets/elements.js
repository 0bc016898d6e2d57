// Elements made in one call. Text always becomes text, never markup.

const SVG = 'http://www.w3.org/2000/svg';

// Names with a hyphen are attributes, others are properties
function assign(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role') element.setAttribute(name, value);
    else element[name] = value;
  }
}

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  assign(element, properties);
  element.append(...children.filter((child) => child != null && child !== ''));
  return element;
}

export function makeSvg(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  return element;
}

// A control with words beside it
export function field(label, control) {
  return make(
    'label',
    { className: 'field' },
    make('span', { textContent: label }),
    control,
  );
}

const wantsStillness = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

// Show entries as the children of a list. A child stays the same element as long as its
// key is there, so that it keeps the focus, and moves to its new place.
export function drawList(list, entries, { key, create, update, moves = false }) {
  const children = (list.childrenByKey ??= new Map());
  const tops = new Map();
  if (moves && !wantsStillness()) {
    for (const [name, child] of children) {
      tops.set(name, child.element.getBoundingClientRect().top);
    }
  }
  const wanted = new Map(entries.map((entry) => [key(entry), entry]));
  for (const [name, child] of children) {
    if (wanted.has(name)) continue;
    child.element.remove();
    children.delete(name);
  }
  let place = 0;
  for (const [name, entry] of wanted) {
    if (!children.has(name)) children.set(name, create(entry));
    const child = children.get(name);
    update?.(child, entry, place);
    if (list.children[place] !== child.element) {
      list.insertBefore(child.element, list.children[place] ?? null);
    }
    place += 1;
  }
  for (const [name, top] of tops) {
    const element = children.get(name)?.element;
    const way = element ? top - element.getBoundingClientRect().top : 0;
    if (!way) continue;
    element.animate([{ transform: `translateY(${way}px)` }, { transform: 'none' }], {
      duration: 250,
      easing: 'ease-out',
    });
  }
}
